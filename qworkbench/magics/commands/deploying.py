"""Deployment: a model in segments, integers against training, qconfigs for the training side."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from qworkbench.files import write_text
from qworkbench.magics.registry import Argument, Command, MagicUsageError
from qworkbench.magics.results import Lines, Step
from qworkbench.magics.state import State

STAGES = ("stage1", "stage2")
METHODS = ("jit-strip", "jit", "eager", "symbolic")


def split(state: State, given: Namespace) -> Any:
    """Cut the current workbench into two stages, or take that back."""
    if given.undo:
        return _join(state)
    if not given.nodes:
        raise MagicUsageError("name the node behind which the second stage begins: %qwb split layer2")
    whole = state.current
    made = state.workbench.split(*given.nodes)
    written = [] if given.to is None else made.export(Path(given.to).expanduser())
    names = [f"{whole}.{stage}" for stage in STAGES]
    for name, workbench in zip(names, (made.stage1, made.stage2), strict=True):
        state.add(name, workbench)
    assert whole is not None
    state.use(whole)
    lines = [f"{name}: {wb!r}" for name, wb in zip(names, (made.stage1, made.stage2), strict=True)]
    lines += [f"hands over {boundary}" for boundary in made.boundaries]
    lines += [f"wrote {path}" for path in written]
    return Step(f"{whole} in two stages", lines, f"%qwb use {names[0]} goes there, %qwb split --undo drops both")


def _join(state: State) -> Step:
    name = state.current or ""
    for stage in STAGES:
        name = name.removesuffix(f".{stage}")
    stages = [f"{name}.{stage}" for stage in STAGES if f"{name}.{stage}" in state.workbenches]
    if not stages:
        raise MagicUsageError("there is no split to undo; %qwb split NODE makes one")
    if name in state.workbenches:
        state.use(name)
    for stage in stages:
        del state.workbenches[stage]
    if state.current in stages:
        state.current = next(iter(state.workbenches), None)
    return Step(f"{name} is whole again", [f"dropped {stage}" for stage in stages], "")


def lsb(state: State, given: Namespace) -> Any:
    """Return how far the integers are from training, op by op."""
    from qworkbench.qat.quantization.fixed_point import fixed_point_error

    model = state.variable(given.model)
    example = state.variable(given.example or "x")
    return fixed_point_error(model, *(example if isinstance(example, (tuple, list)) else (example,)))


def qconfig(state: State, given: Namespace) -> Any:
    """Return the state as Python code for the training side, or write it to a file."""
    text = state.workbench.qconfig_code(given.method)
    if given.file is None:
        return Lines(text.splitlines())
    path = Path(given.file).expanduser()
    return Lines([f"wrote {write_text(path, text)}"])


DEPLOYING = (
    Command(
        "split",
        "two stages for deployment in segments; chained they equal the whole bit for bit",
        split,
        (
            Argument("nodes", "the second stage begins behind them", "node", many=True, optional=True),
            Argument("--to", "folder for ONNX and yaml of both stages", "file"),
            Argument("--undo", "drop the stages again", "flag"),
        ),
        "%qwb split layer2 --to stages",
        "files",
    ),
    Command(
        "lsb",
        "how far convert() is from training, op by op, in steps of the output's scale",
        lsb,
        (
            Argument("model", "notebook variable of the prepared model", "variable"),
            Argument("--example", "variable with one sample (default: x)", "variable"),
        ),
        "t = %qwb lsb qat_model --example x",
        "debug",
    ),
    Command(
        "qconfig",
        "march, dtypes and fixed scales as a QconfigSetter in Python",
        qconfig,
        (
            Argument("file", "path; without it the code is returned", "file", optional=True),
            Argument("--method", "how the model will be prepared", "choice", METHODS, "jit-strip"),
        ),
        "%qwb qconfig qconfig.py",
        "files",
    ),
)
