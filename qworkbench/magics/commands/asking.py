"""What the user asks of the vendor's tool: node_info, batch, order of inputs, assumptions; and what became of it."""

from __future__ import annotations

import ast
from argparse import Namespace
from typing import Any

from qworkbench.errors import EditError
from qworkbench.magics.commands.editing import apply
from qworkbench.magics.registry import Argument, Command, MagicUsageError
from qworkbench.magics.results import Lines
from qworkbench.magics.state import State


def node_info(state: State, given: Namespace) -> Any:
    """Apply node_info in either form, as one step."""
    from qworkbench.workbench.node_info import node_info_edits

    text = " ".join(given.info)
    if text.isidentifier():
        return apply(state, *node_info_edits(state.variable(text)))
    if not text.startswith("{"):
        return apply(state, *node_info_edits(text))
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise MagicUsageError(
            "%qwb nodeinfo takes node:int16;.., a mapping in quotes, or the name of a variable that holds one; "
            "in double quotes, a mapping uses single ones: %qwb nodeinfo \"{'conv1': {'ON': 'BPU'}}\""
        ) from None
    return apply(state, *node_info_edits(value))


def requests(state: State, _: Namespace) -> Any:
    """Return the table of wishes and what became of each."""
    return state.workbench.requests()


def batch(state: State, given: Namespace) -> Any:
    """Set input_batch, or tell the batch and the shapes that the tool wants."""
    from qworkbench.workbench.edits import SetBatch

    if given.data is not None:
        state.workbench.check_calibration_shapes(state.variable(given.data))
        return Lines([f"{given.data} has the shape of input_shape"])
    if given.samples is None and given.first is None:
        return Lines(batch_lines(state.workbench))
    return apply(state, SetBatch(given.samples, given.first))


def batch_lines(workbench: Any) -> list[str]:
    """Return what the board model is compiled for, line by line."""
    batching = workbench.config.batching
    lines = [
        f"input_shape {name}: {'x'.join(map(str, shape))} (each sample of calibration data has it)"
        for name, shape in workbench.input_shapes.items()
    ]
    return [*lines, f"input_batch: {batching.input_batch}"]


def order(state: State, given: Namespace) -> Any:
    """Note the order of inputs that the tool reported, or list the three orders."""
    from qworkbench.workbench.edits import SetInputOrder

    if given.stage is None:
        return Lines(order_lines(state.workbench))
    if given.names is None:
        raise MagicUsageError(f"%qwb order {given.stage} needs the names: %qwb order {given.stage} input2;input1")
    return apply(state, SetInputOrder(given.stage, given.names))


def order_lines(workbench: Any) -> list[str]:
    """Return the order of inputs at each stage."""
    noted = workbench.config.input_orders
    lines = []
    for stage, names in workbench.input_orders.items():
        known = stage == "original" or stage in noted
        remark = "" if known else "  (assumed; the tool may change it, feed by name)"
        lines.append(f"order of inputs, {stage}: {', '.join(names)}{remark}")
    return lines


def assume(state: State, given: Namespace) -> Any:
    """Set a parameter or figure of the march that is not public, or list them."""
    from qworkbench.march.assumptions import assumption_text, settable
    from qworkbench.workbench.edits import SetAssumption

    if given.name is None:
        march = state.workbench.config.machine
        known = {**march.parameters, **march.figures}
        set_here = state.workbench.config.assumptions
        return Lines(
            [
                f"{name} = {assumption_text(value)} ({'set by you' if name in set_here else known[name].basis}): "
                f"{known[name].text}"
                for name, value in settable(march).items()
            ]
        )
    if given.value is None:
        raise EditError(f"%qwb assume {given.name} needs a value, or auto for the march's own")
    return apply(state, SetAssumption(given.name, given.value))


ASKING = (
    Command(
        "nodeinfo",
        "node_info of the PTQ yaml: n1:int16;n2:int16, or a mapping with ON, InputType, OutputType",
        node_info,
        (Argument("info", "text, a mapping in quotes, or a variable with one", "text", many=True),),
        "%qwb nodeinfo conv1:int16;conv2:int16",
        "edit",
    ),
    Command(
        "requests",
        "every wish beside what takes effect, and why they differ",
        requests,
        (),
        "t = %qwb requests",
        "look",
    ),
    Command(
        "batch",
        "input_batch of the board model, checked by the rules of the tool",
        batch,
        (
            Argument("samples", "input_batch, 1 to 128 (none: tell what is set)", "integer", optional=True),
            Argument("--first", "first dimension of input_shape of a dynamic model", "integer"),
            Argument("--data", "only check the shape of the sample in this variable", "variable"),
        ),
        "%qwb batch 8",
        "edit",
    ),
    Command(
        "order",
        "order of the inputs in the original, quantized and compiled model",
        order,
        (
            Argument("stage", "stage whose order is noted", "choice", ("quantized", "compiled"), optional=True),
            Argument("names", "input3;input1;input2 as hb_model_info prints it, or auto", "text", optional=True),
        ),
        "%qwb order compiled image;scale",
        "edit",
    ),
    Command(
        "assume",
        "what the public material leaves open: list it, or set it",
        assume,
        (
            Argument("name", "parameter or figure", "text", optional=True),
            Argument("value", "its value, or auto", "text", optional=True),
        ),
        "%qwb assume dual_int16 on",
        "edit",
    ),
)
