"""Accuracy debugging: which quantizer hurts, which sample, which layer, and what to change."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict, fields
from typing import Any

from qworkbench.magics.progress import reporter
from qworkbench.magics.registry import Argument, Command, MagicUsageError
from qworkbench.magics.results import Lines
from qworkbench.magics.state import State


def sensitivity(state: State, given: Namespace) -> Any:
    """Return what each quantizer, switched on alone, does to the outputs."""
    inputs = None if given.inputs is None else state.variable(given.inputs)
    if given.preview:
        table = state.workbench.sensitivity_preview(inputs, metric=given.metric)
        return table if given.top is None else table.head(given.top)
    with reporter("sensitivity", "steps") as report:
        table = state.workbench.sensitivity(
            inputs, metric=given.metric, nodes=given.nodes or None, budget=int(given.budget * 2**20), progress=report
        )
    return table if given.top is None else table.head(given.top)


def badcase(state: State, given: Namespace) -> Any:
    """Return the samples on which the outputs are farthest from float."""
    resume = None if given.resume is None else state.variable(given.resume)
    with reporter("bad cases") as report:
        return state.workbench.bad_cases(
            state.variable(given.data),
            metrics=given.metric or ("COSINE", "L1", "ATOL"),
            limit=given.limit,
            resume=resume,
            progress=report,
        )


def compare(state: State, given: Namespace) -> Any:
    """Return the layer-by-layer table, or write it."""
    inputs = None if given.inputs is None else state.variable(given.inputs)
    with reporter("comparing", "nodes") as report:
        found = state.workbench.compare_layers(inputs, progress=report)
    return found if given.save is None else Lines([f"wrote {found.save(given.save)}", repr(found).strip("<>")])


def mixed(state: State, given: Namespace) -> Any:
    """Find the smallest share of int16 that reaches a target, and apply it where asked."""
    workbench = state.workbench
    inputs = None if given.inputs is None else state.variable(given.inputs)
    tables = None if given.tables is None else [state.variable(name) for name in given.tables]
    evaluate = None if given.evaluate is None else state.variable(given.evaluate)
    with reporter("mixed precision", "trials") as report:
        found = workbench.mixed_precision(
            given.target,
            inputs,
            tables=tables,
            metric=given.metric,
            evaluate=evaluate,
            dtype=given.dtype,
            budget=given.budget,
            cost="latency" if given.latency else "arithmetic",
            progress=report,
        )
    if given.apply and found.edits:
        workbench.edit(*found.edits)
    return found


def recipe(state: State, given: Namespace) -> Any:
    """Run a pipeline of the guide, and apply what it found where asked."""
    workbench = state.workbench
    inputs = None if given.inputs is None else state.variable(given.inputs)
    evaluate = None if given.evaluate is None else state.variable(given.evaluate)
    with reporter("recipe", "trials") as report:
        found = workbench.recipe(
            given.recipe, given.target, inputs, metric=given.metric, evaluate=evaluate, progress=report
        )
    if given.apply and found.edits:
        workbench.edit(*found.edits)
    return found


def plot(state: State, given: Namespace) -> Any:
    """Return a figure: of a node's values, or of a column of the layer table."""
    inputs = None if given.inputs is None else state.variable(given.inputs)
    if given.node is not None:
        return state.workbench.values_figure(given.node, inputs, "channels" if given.channels else "histogram")
    with reporter("comparing", "nodes") as report:
        return state.workbench.compare_layers(inputs, progress=report).figure(given.metric)


def check(state: State, given: Namespace) -> Any:
    """Check the model and write the guide's file."""
    found = state.workbench.check()
    found.save(given.save)
    return found


def fixed(state: State, given: Namespace) -> Any:
    """Propose fixed scales where the range is known, and apply them where asked."""
    import pandas as pd

    from qworkbench.analysis.ranges import FixedScale

    workbench = state.workbench
    found = workbench.range_proposals(dict(_range(text) for text in given.range or ()))
    if given.apply and found:
        workbench.edit(*workbench.fixed_scales(dict(_range(text) for text in given.range or ())))
    return pd.DataFrame([asdict(item) for item in found], columns=[f.name for f in fields(FixedScale)])


def _range(text: str) -> tuple[str, tuple[float, float]]:
    name, _, ends = text.rpartition("=")
    try:
        low, high = (float(end) for end in ends.split(","))
    except ValueError:
        raise MagicUsageError(f"--range wants NAME=LOW,HIGH, e.g. speed=0,200; got {text!r}") from None
    return name, (low, high)


def shared(state: State, given: Namespace) -> Any:
    """Return the shared modules, judged by their outputs."""
    return state.workbench.shared_modules(None if given.inputs is None else state.variable(given.inputs))


def partial(state: State, given: Namespace) -> Any:
    """Switch quantization off in a region and compare."""
    inputs = None if given.inputs is None else state.variable(given.inputs)
    return state.workbench.partial(*given.patterns, inputs=inputs, metric=given.metric)


def bisect(state: State, given: Namespace) -> Any:
    """Find the smallest region that explains the loss."""
    workbench = state.workbench
    inputs = None if given.inputs is None else state.variable(given.inputs)
    with reporter("bisecting", "trials") as report:
        found = workbench.bisect(inputs, metric=given.metric, share=given.share, progress=report)
    if given.repair is not None and (edits := workbench.repair(found.ops, given.repair)):
        workbench.edit(*edits)
    return found


METRICS = ("COSINE", "L1", "ATOL", "MSE", "SQNR", "KL", "RTOL")
INPUTS = Argument(
    "--inputs", "variable with samples (default: the example, else the first calibration sample)", "variable"
)

DEBUGGING = (
    Command(
        "sensitivity",
        "what each quantizer, switched on alone, does to the outputs; worst first",
        sensitivity,
        (
            Argument("nodes", "only these ops", "node", optional=True, many=True),
            INPUTS,
            Argument("--metric", "distance of the outputs from float (default L1)", "choice", METRICS, "L1"),
            Argument("--top", "only the worst rows", "integer"),
            Argument("--preview", "an estimate from gradients, at once", "flag"),
            Argument("--budget", "memory for activations in MB (default 512)", "number", default=512.0),
        ),
        "t = %qwb sensitivity --inputs images --metric COSINE",
        "debug",
    ),
    Command(
        "badcase",
        "the samples on which the outputs are farthest from float, per output and metric",
        badcase,
        (
            Argument("data", "variable with samples or batches", "variable"),
            Argument("--metric", "distances (default COSINE L1 ATOL)", "choice", METRICS, many=True),
            Argument("--limit", "look at this many samples at most", "integer"),
            Argument("--resume", "variable with the result of a search to go on with", "variable"),
        ),
        "bad = %qwb badcase images --limit 200",
        "debug",
    ),
    Command(
        "compare",
        "layer by layer against float: cumulative, alone, rounding, truncation, advice",
        compare,
        (INPUTS, Argument("--save", "write the table to this .csv, .html or .txt file", "file")),
        "layers = %qwb compare --inputs images",
        "debug",
    ),
    Command(
        "plot",
        "a node's values with the ends of its codes, or a figure over all layers",
        plot,
        (
            Argument("node", "node or input; without one, all layers", "value", optional=True),
            INPUTS,
            Argument("--channels", "a box per channel instead of a histogram", "flag"),
            Argument("--metric", "over all layers: Cosine, SQNR, L1 ..., ranges or accumulated", default="Cosine"),
        ),
        "%qwb plot conv1 --channels",
        "debug",
    ),
    Command(
        "mixed",
        "the smallest share of int16 that reaches a target",
        mixed,
        (
            Argument("target", "value of the metric to reach (default: what --budget allows)", "number", optional=True),
            INPUTS,
            Argument("--metric", "distance of the worst output (default COSINE)", "choice", METRICS, "COSINE"),
            Argument("--dtype", "what ops are raised to (default int16)", "choice", ("int16", "float16"), "int16"),
            Argument("--budget", "largest cost, 1 being all int8", "number"),
            Argument("--latency", "cost is the estimated latency in microseconds", "flag"),
            Argument("--tables", "variables with sensitivity tables (default: one is made)", "variable", many=True),
            Argument("--evaluate", "variable with a function (run) -> accuracy", "variable"),
            Argument("--apply", "make the edits, as one step", "flag"),
        ),
        "%qwb mixed 0.999 --inputs images --apply",
        "debug",
    ),
    Command(
        "fixed",
        "fixed scales where the range of a tensor is known",
        fixed,
        (
            Argument("--range", "what you know: NAME=LOW,HIGH", "text", many=True),
            Argument("--apply", "fix them, as one step", "flag"),
        ),
        "%qwb fixed --range speed=0,200 --apply",
        "debug",
        nothing="no tensor has a known range that its scale misses; tell one by --range NAME=LOW,HIGH",
    ),
    Command(
        "shared",
        "modules that are called or read several times, and which want a copy for each call",
        shared,
        (INPUTS,),
        "%qwb shared",
        "debug",
        nothing="no module is called or read more than once",
    ),
    Command(
        "partial",
        "quantization switched off in a region: all on, region off, only the region on",
        partial,
        (
            Argument("patterns", "ops by name or pattern, e.g. head.*", "node", many=True),
            INPUTS,
            Argument("--metric", "distance from float (default COSINE)", "choice", METRICS, "COSINE"),
        ),
        "%qwb partial layer1.* --inputs images",
        "debug",
    ),
    Command(
        "bisect",
        "the smallest region whose quantization explains the loss",
        bisect,
        (
            INPUTS,
            Argument("--metric", "distance of the worst output (default COSINE)", "choice", METRICS, "COSINE"),
            Argument("--share", "part of the loss to explain (default 0.9)", "number", default=0.9),
            Argument("--repair", "apply int16, or float32 on the cpu, to the region", "choice", ("int16", "cpu")),
        ),
        "%qwb bisect --inputs images --repair int16",
        "debug",
    ),
    Command(
        "recipe",
        "a tuning pipeline of the guide: all int16, all int8, mixed, float16",
        recipe,
        (
            Argument("recipe", "which recipe: j6e, j6m or j6p", "choice", ("j6e", "j6m", "j6p")),
            Argument("target", "value of the metric to reach", "number"),
            INPUTS,
            Argument("--metric", "distance of the worst output (default COSINE)", "choice", METRICS, "COSINE"),
            Argument("--evaluate", "variable with a function (run) -> accuracy", "variable"),
            Argument("--apply", "make the edits, as one step", "flag"),
        ),
        "%qwb recipe j6m 0.999 --inputs images --apply",
        "debug",
    ),
    Command(
        "check",
        "fusion, call counts, dtypes, unusual settings; writes model_check_result.txt",
        check,
        (Argument("--save", "another path", "file", default="model_check_result.txt"),),
        "%qwb check",
        "debug",
    ),
)
