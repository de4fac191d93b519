"""Looking: the picture, reasons, a run's tables, the live widget."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qworkbench.magics.commands.asking import batch_lines, order_lines
from qworkbench.magics.options import COLOURINGS
from qworkbench.magics.progress import reporter
from qworkbench.magics.registry import Argument, Command
from qworkbench.magics.results import Lines, Picture
from qworkbench.magics.state import State


def graph(state: State, given: Namespace) -> Any:
    """Draw the graph, or write it."""
    view = state.workbench.view("overview" if given.folded else None, colour=given.colour)
    return Picture(view) if given.save is None else _written(view, given.save, given)


def picture(state: State, given: Namespace) -> Any:
    """Write the graph: the same as ``%qwb graph --save``."""
    return _written(state.workbench.view("overview" if given.folded else None, colour=given.colour), given.file, given)


def _written(view: Mapping[str, Any], path: str, given: Namespace) -> Lines:
    """Write `view` and say where it had to be put into columns."""
    from qworkbench.view.forms import write_picture
    from qworkbench.view.wrapped import wrapped

    made = {**view, "columns": 1} if given.full else wrapped(view)
    words = f"wrote {write_picture(made, Path(path), given.theme, full=True)}"
    if made["columns"] > 1:
        words += f" in {made['columns']} columns, since one would be {view['height']:,.0f} high; --full writes one"
    return Lines([words])


def why(state: State, given: Namespace) -> Any:
    """Explain where a node runs."""
    return state.workbench.why(given.node)


def run(state: State, given: Namespace) -> Any:
    """Emulate what the edits reach and compare with float."""
    with reporter("running", "nodes") as report:
        return state.run(given.inputs, report)


TABLES = ("checker", "checker-dtypes", "makertbin", "makertbin-dtypes", "makertbin-dtype")


def layers(state: State, given: Namespace) -> Any:
    """Return the table of nodes of the newest run, running first, on its inputs, where edits are newer."""
    from qworkbench.magics.tables import table

    with reporter("running", "nodes") as report:
        made = state.workbench.current_run(progress=report) if given.inputs is None else state.run(given.inputs, report)
    frame = made.layers
    if given.on is not None:
        frame = frame[frame["on"] == given.on.upper()]
    frame = frame.sort_values(given.sort, kind="stable") if given.sort else frame
    return table(frame, note=f"measured on {state.sample_words(made)}")


def table(state: State, given: Namespace) -> Any:
    """Return the table that the vendor's converter prints for the model as it is edited now, or write it."""
    if given.form is None and given.file is None:
        return state.workbench.vendor_table()
    made = state.workbench.result_table(given.form or TABLES[-1])
    return made if given.file is None else Lines([f"wrote {made.write(given.file)}"])


def widget(state: State, _: Namespace) -> Any:
    """Open the live widget."""
    from qworkbench.widgets import widget_of

    workbench = state.workbench
    if state.options.colouring and not workbench.display.get("colouring"):
        workbench.display = {**workbench.display, "colouring": state.options.colouring}
    return widget_of(workbench)


def info(state: State, _: Namespace) -> Any:
    """Tell inputs, outputs, assumptions."""
    from qworkbench.emulator.kernels import isa, threads

    workbench = state.workbench
    graph = workbench.graph
    lines = [repr(workbench).strip("<>")]
    lines += [f"  input  {name}: {'x'.join(str(d) for d in graph.values[name].shape)}" for name in graph.inputs]
    for name, value in zip(graph.output_names, graph.outputs, strict=True):
        lines.append(f"  output {name}: {'x'.join(str(d) for d in graph.values[value].shape)}")
    lines += [f"  {line}" for line in (*order_lines(workbench), *batch_lines(workbench))]
    lines.append(f"  calibration: {workbench.config.calibration.describe()}")
    lines.append(f"  default sample: {_default_sample(workbench)}")
    lines.append(f"  kernels: {isa.chosen()} instructions, threads: {threads.thread_count()}")
    lines.append("  assumptions where the public material is silent:")
    lines += [f"    {name} = {value} ({basis}): {text}" for name, value, basis, text in workbench.placement.assumptions]
    arithmetic = workbench.config.as_dict()["arithmetic"]
    lines += [f"    {name} = {value} (assumed)" for name, value in arithmetic.items()]
    return Lines(lines)


def _default_sample(workbench: Any) -> str:
    if workbench.example is not None:
        return "the example"
    return "none; calibrate with data, or give --inputs" if workbench.sample is None else "the first calibration sample"


DRAWN = (
    Argument("--colour", "what the fill of a box says (default placement)", "choice", COLOURINGS, "placement"),
    Argument("--folded", "the outer modules as boxes", "flag"),
    Argument("--theme", "of a file that is written (default light)", "choice", ("light", "dark"), "light"),
    Argument("--full", "one column in the file, however tall (default: a long network in several)", "flag"),
)
"""What a picture is told, by whichever command."""

PICTURE = Command(
    "picture",
    "the same as %qwb graph --save FILE, with the same options",
    picture,
    (Argument("file", "an .svg or .png file", "file"), *DRAWN),
    "%qwb picture graph.svg",
    "files",
)

LOOKING = (
    Command(
        "graph",
        "the picture, coloured by placement or by something else",
        graph,
        (Argument("--save", "write it to this .svg or .png file", "file"), *DRAWN),
        "%qwb graph --colour sensitivity --save graph.svg",
        "look",
    ),
    Command(
        "why",
        "the reason, the rule, the facts, the thresholds, and the cheapest ways to change it",
        why,
        (Argument("node", "node name", "node"),),
        "%qwb why concat",
        "look",
    ),
    Command(
        "run",
        "emulate what the edits reach, compare with float: before -> after",
        run,
        (
            Argument(
                "--inputs", "variable with inputs (default: the example, else the first calibration sample)", "variable"
            ),
        ),
        "%qwb run",
        "look",
    ),
    Command(
        "layers",
        "every node: op, on, subgraph, dtype, threshold, scale, cosine, L1 ...",
        layers,
        (
            Argument("--sort", "column to sort by", "choice", ("cosine", "l1", "mse", "atol", "sqnr", "on", "op")),
            Argument("--on", "only nodes that run there", "choice", ("bpu", "cpu")),
            Argument("--inputs", "variable with inputs to run on first (default: those of the newest run)", "variable"),
        ),
        "t = %qwb layers --sort cosine",
        "look",
    ),
    Command(
        "table",
        "the table that the vendor's converter prints for the model as edited",
        table,
        (
            Argument("--form", "a format of the vendor's tools", "choice", (*TABLES, "outputs")),
            Argument("--file", "write it as .txt, .csv or .html", "file"),
        ),
        "t = %qwb table",
        "look",
    ),
    Command("workbench", "the live widget", widget, (), "%qwb workbench", "look"),
    Command(
        "info",
        "inputs and their orders, outputs, batch, calibration, instructions of the kernels, every assumption",
        info,
        (),
        "%qwb info",
        "look",
    ),
)
