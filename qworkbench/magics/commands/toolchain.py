"""What the vendor's toolchain needs or would tell: data check, cost of CPU/BPU switches, advice, files."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from qworkbench.magics.commands.loading import calibration_data
from qworkbench.magics.progress import reporter
from qworkbench.magics.registry import Argument, Command, MagicUsageError
from qworkbench.magics.results import Lines
from qworkbench.magics.state import State


def check_data(state: State, given: Namespace) -> Any:
    """Look at calibration data before it decides thresholds."""
    found = state.workbench.check_data(calibration_data(state, given.data))
    return Lines([str(finding) for finding in found], empty="nothing suspicious in the data")


def cost(state: State, _: Namespace) -> Any:
    """Return the table of boundaries and CPU ops."""
    return state.workbench.cost()


def segments(state: State, _: Namespace) -> Any:
    """Return the BPU segments, their border tensors and what splits them."""
    return state.workbench.segments()


def latency(state: State, given: Namespace) -> Any:
    """Return the static estimate, or its totals at every level."""
    import pandas as pd

    with reporter("estimating") as report:
        if not given.compare:
            return state.workbench.estimate(given.level, objective=given.mode, progress=report)
        found = [state.workbench.estimate(level, objective=given.mode, progress=report) for level in LEVELS]
    rows = [(e.level, e.microseconds, e.frames_per_second, e.ddr_bytes, len(e.groups)) for e in found]
    columns = ["level", "microseconds", "frames_per_second", "ddr_bytes", "groups"]
    return pd.DataFrame(rows, columns=columns).set_index("level")


def advise(state: State, given: Namespace) -> Any:
    """Run what could win something and rank it; nothing is kept."""
    with reporter("advising", "edits") as report:
        return state.workbench.advise(limit=given.limit, progress=report)


def export(state: State, given: Namespace) -> Any:
    """Write the state as a file of the vendor's toolchain."""
    workbench = state.workbench
    form, file = given.form, given.file
    if form in FORMS and file is None:
        file = f"{Path(state.current or 'model').stem}{FORMS[form][0]}"
    elif form not in FORMS and file is None:
        form, file = next((f for f, suffixes in FORMS.items() if Path(form).suffix in suffixes), None), form
    if form not in FORMS:
        raise MagicUsageError(
            f"{given.form!r} is none of {', '.join(FORMS)}, nor a file that ends in .yaml, .json or .onnx"
        )
    if form == "onnx":
        return Lines([f"wrote {workbench.to_onnx(file)}"])
    if form == "quant_config":
        return Lines([f"wrote {file}", *(f"  not in the file: {line}" for line in workbench.export_quant_config(file))])
    from qworkbench.toolchain.ptq_yaml import PtqYaml

    former = PtqYaml.read(file) if Path(file).exists() else None
    lost = workbench.export_yaml(file)
    lines = [f"wrote {file}"]
    if former is not None:
        changes = PtqYaml.read(file).changes(former)
        lines += [f"  {line}" for line in changes or ["it said all of this already; nothing was changed"]]
    return Lines([*lines, *(f"  not in the file: {line}" for line in lost)])


def apply_file(state: State, given: Namespace) -> Any:
    """Take over what a file of the vendor's toolchain says."""
    before = len(state.workbench.journal)
    workbench = state.workbench
    is_yaml = Path(given.file).suffix in (".yaml", ".yml")
    remarks = (workbench.apply_yaml if is_yaml else workbench.apply_quant_config)(given.file)
    idle = [line.removesuffix(KEPT) for line in remarks if line.endswith(KEPT)]
    said = [line for line in remarks if not line.endswith(KEPT)]
    said += [f"{', '.join(idle)}{KEPT}"] if idle else []
    return Lines([f"applied {given.file}", *state.workbench.journal[before:], *(f"  {line}" for line in said)])


FORMS = {"yaml": (".yaml", ".yml"), "quant_config": (".json",), "onnx": (".onnx",)}
KEPT = ": kept in the file, without effect here"
LEVELS = ("O0", "O1", "O2")

TOOLCHAIN = (
    Command(
        "checkdata",
        "what looks wrong about calibration data: layout, NaN, normalisation ...",
        check_data,
        (Argument("data", "variable with calibration samples, or a folder/", "variable"),),
        "%qwb checkdata images",
        "look",
    ),
    Command(
        "cost",
        "what each CPU/BPU switch and each CPU op moves, in elements and bytes",
        cost,
        (),
        "t = %qwb cost",
        "look",
    ),
    Command(
        "segments",
        "the BPU segments: what each holds, what crosses its border, what splits it off",
        segments,
        (),
        "t = %qwb segments",
        "look",
    ),
    Command(
        "latency",
        "an estimate of latency and DDR traffic per node, by counted work; not a measurement",
        latency,
        (
            Argument("--level", "optimize_level: how wide to search", "choice", LEVELS, "O2"),
            Argument("--mode", "what is made small", "choice", ("latency", "bandwidth"), "latency"),
            Argument("--compare", "the totals at every level", "flag"),
        ),
        "%qwb latency --level O2",
        "look",
    ),
    Command(
        "advise",
        "edits ranked by what they win, each with its measured cosine and L1",
        advise,
        (Argument("--limit", "how many are measured (default 10)", "integer", default=10),),
        "%qwb advise --limit 5",
        "look",
        nothing="no edit moves an op to the BPU or takes a switch away",
    ),
    Command(
        "export",
        "the state as PTQ yaml, quant_config json or ONNX; a yaml or json that is there keeps its other keys",
        export,
        (
            Argument("form", "one of these, or a path that ends in .yaml, .json or .onnx", "file", tuple(FORMS)),
            Argument("file", "path (default: the model's name)", "file", optional=True),
        ),
        "%qwb export config.yaml",
        "files",
    ),
    Command(
        "apply",
        "march, placement, dtypes, inputs and calibration of a PTQ yaml or quant_config json, as one step",
        apply_file,
        (Argument("file", "path", "file"),),
        "%qwb apply config.yaml",
        "files",
    ),
)
