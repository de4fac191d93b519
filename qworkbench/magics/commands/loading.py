"""Loading a model, calibrating it, choosing among several workbenches."""

from __future__ import annotations

import re
from argparse import Namespace
from pathlib import Path
from typing import Any

from qworkbench.magics.progress import reporter
from qworkbench.magics.registry import Argument, Command, MagicUsageError
from qworkbench.magics.results import Lines, Step
from qworkbench.magics.state import State


def load(state: State, given: Namespace) -> Any:
    """Capture a model, place it, calibrate it if data is given."""
    from qworkbench.workbench.session import Workbench
    from qworkbench.workbench.trained import holds_training

    _check_method(given)
    model = state.model(given.model)
    is_file = isinstance(model, Path)
    wanted = given.example is not None or not is_file
    example = state.variable(given.example or "x") if wanted else None
    shape = None if given.input_shape is None else input_shapes(given.input_shape)
    # a trained model brings its march along
    march = given.march or (None if not is_file and holds_training(model) else state.options.march)
    with reporter("capturing the model"):
        workbench = Workbench(model, example, march=march, name=given.name, input_shape=shape)
    if given.calibration is not None:
        _calibrate(workbench, calibration_data(state, given.calibration), given)
    name = given.name or (model.stem if is_file else given.model)
    former = kept_words(state, state.add(name, workbench))
    placed = workbench.placement
    removed = placed.count("NONE")
    text = (
        f"{workbench.title}: {len(placed)} nodes, {placed.count('BPU')} on the BPU in {placed.subgraphs} "
        f"subgraph{'' if placed.subgraphs == 1 else 's'}, {placed.count('CPU')} on the CPU"
        f"{f', {removed} removed at inference' if removed else ''}"
    )
    on_cpu = sorted((n for n in placed.values() if n.on == "CPU"), key=lambda n: n.reason.code != "no_kernel")
    changes = [n.reason.sentence for n in on_cpu]
    changes = [*former, *(f"not followed: {remark}" for remark in workbench.remarks), *changes]
    hint = "%qwb run compares with float" if workbench.statistics else "%qwb calibrate DATA comes next"
    return Step(text, changes[:8] + ([f"... and {len(changes) - 8} more"] if len(changes) > 8 else []), hint)


def kept_words(state: State, name: str) -> list[str]:
    """Return the line about a workbench that made place for another one; none where there was no edit to lose."""
    if not name:
        return []
    count = len(state.workbenches[name].journal)
    return [f"the former one, with {count} step{'' if count == 1 else 's'} in its journal, is kept: %qwb use {name}"]


def input_shapes(text: str) -> tuple[int, ...] | dict[str, tuple[int, ...]]:
    """Read ``1x3x224x224``, or ``image=1x3x224x224,scale=1x2`` for several inputs.

    Raises
    ------
    MagicUsageError
    """
    found: dict[str, tuple[int, ...]] = {}
    for part in text.split(","):
        name, _, sizes = part.rpartition("=")
        if not re.fullmatch(r"\d+(x\d+)*", sizes) or (not name and "," in text):
            raise MagicUsageError(
                f"{text!r} is no input shape; write 1x3x224x224, or image=1x3x224x224,scale=1x2 for several inputs"
            )
        found[name] = tuple(int(size) for size in sizes.split("x"))
    return found.get("", found)


def calibrate(state: State, given: Namespace) -> Any:
    """Calibrate with data, or switch the method on the data seen before."""
    _check_method(given)
    workbench = state.workbench
    if given.candidate is not None:
        workbench.use_candidate(given.candidate)
        return Step(f"calibration is {given.candidate} now", [])
    data = None if given.data is None else calibration_data(state, given.data)
    result = _calibrate(workbench, data, given)
    if result is not None:
        return result
    seen = workbench.statistics.samples if workbench.statistics is not None else 0
    return Step(f"calibrated on {seen} samples, {workbench.config.calibration.describe()}", [])


def _check_method(given: Namespace) -> None:
    if given.percentile is not None and given.method != "max-percentile":
        raise MagicUsageError("--percentile belongs to --method max-percentile; give both")


def calibration_data(state: State, word: str) -> Any:
    """Return what a data argument means: a word with a slash is a folder, anything else a variable."""
    if "/" in word:
        return Path(word).expanduser()
    if word.partition(".")[0] not in state.namespace and Path(word).is_dir():
        raise MagicUsageError(
            f"no notebook variable {word!r}, but there is a folder of that name; write {word}/ for it"
        )
    return state.variable(word)


def _calibrate(workbench: Any, data: Any, given: Namespace) -> Any:
    with reporter("calibrating", "steps") as report:
        return workbench.calibrate(
            data,
            method=given.method,
            percentile=given.percentile,
            per_channel=given.per_channel or None,
            progress=lambda done, total: report("", done, total or 0),
        )


def use(state: State, given: Namespace) -> Any:
    """Make another workbench current; without a name, return the current one."""
    return state.workbench if given.workbench is None else state.use(given.workbench)


def listing(state: State, _: Namespace) -> Any:
    """List the workbenches of this notebook."""
    lines = [f"{'*' if name == state.current else ' '} {name}: {wb!r}" for name, wb in state.workbenches.items()]
    if not lines:
        raise MagicUsageError("no model is loaded; %qwb load MODEL --example X --calibration IMAGES")
    return Lines(lines)


DEFAULT_PERCENTILE = 0.99995
METHODS = ("max", "max-percentile", "kl", "mse", "moving-average", "entropy", "default", "mix")
METHOD = (
    Argument("--method", "how thresholds are read (default: the one in force, max at first)", "choice", METHODS),
    Argument("--percentile", f"fraction for max-percentile (default {DEFAULT_PERCENTILE})", "number"),
    Argument("--per-channel", "one threshold per feature-map channel where possible", "flag"),
)

LOADING = (
    Command(
        "load",
        "capture a model, place it and calibrate it",
        load,
        (
            Argument("model", "notebook variable of the model, or an .onnx file", "variable"),
            Argument("--example", "variable with one sample (default: x; none for a file)", "variable"),
            Argument("--input-shape", "sizes that an .onnx file leaves open, e.g. 1x3x224x224", "text"),
            Argument("--calibration", "variable with calibration samples", "variable"),
            Argument(
                "--march", "BPU architecture (default: a trained model's own, else %config QWorkbench.march)", "march"
            ),
            Argument("--name", "name of the workbench (default: the variable's or the file's)", "text"),
            *METHOD,
        ),
        "%qwb load model --example x --calibration images --march bayes-e",
        "load",
    ),
    Command(
        "calibrate",
        "calibrate with data, or only switch the method",
        calibrate,
        (
            Argument("data", "variable with calibration samples, or a folder/", "variable", optional=True),
            *METHOD,
            Argument("--candidate", "apply another candidate of the newest search, by its name", "text"),
        ),
        "%qwb calibrate images --method max-percentile",
        "load",
    ),
    Command(
        "use",
        "make another workbench current, or return the current one",
        use,
        (Argument("workbench", "its name, or a variable that holds one", "workbench", optional=True),),
        "wb = %qwb use",
        "load",
    ),
    Command("list", "list the workbenches of this notebook", listing, (), "%qwb list", "load"),
)
