"""Ways to change a decision: what the user may do next, cheapest first, each with the edits that do it.

An edit is a plain dictionary of the kinds ``SetPlacement``, ``InsertUnitConv`` ...; who applies it is not known here.
"""

from __future__ import annotations

from typing import Any

from qworkbench.placement.context import Context
from qworkbench.placement.types import Unit, Way

GEMMS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def set_placement(node: str, on: str) -> dict[str, Any]:
    """Return the edit that sends `node` to "bpu", "cpu" or back to "auto"."""
    return {"kind": "SetPlacement", "node": node, "on": on}


def unit_conv(node: str, where: str) -> dict[str, Any]:
    """Return the edit that inserts a unit conv "before" or "after" `node`."""
    return {"kind": "InsertUnitConv", "node": node, "where": where}


def helps(context: Context, unit: Unit) -> tuple[Way, ...]:
    """Return what gives a passive op a threshold: run_on_bpu where it works, a unit conv behind it."""
    ways = []
    if len(unit.inputs) == 1 and context.march.parameters["run_on_bpu_passive"].value:
        text = "run_on_bpu: it takes the threshold of its own input"
        ways.append(Way(text, (set_placement(unit.name, "bpu"),)))
    if len(unit.outputs) == 1 and len(context.graph.values[unit.outputs[0]].shape) == 4:
        ways.append(Way("insert a unit conv after it: an active op behind it", (unit_conv(unit.name, "after"),)))
    return (*ways, *in_float16(context, unit))


def in_float16(context: Context, unit: Unit) -> tuple[Way, ...]:
    """Return the way to the BPU without quantization, where the march has one."""
    able = "float16" in context.supports[unit.anchor].row.input_dtypes
    if context.march.parameter("float16") == "none" or not able or unit.op in GEMMS:
        return ()
    edit = {"kind": "SetDtype", "node": unit.name, "output": "float16"}
    return (Way("float16: the BPU computes it without quantizing it", (edit,)),)


def to_cpu(name: str) -> Way:
    """Return the way to the CPU."""
    return Way("run_on_cpu: compute it in float", (set_placement(name, "cpu"),))


def to_auto(context: Context, unit: Unit) -> Way:
    """Take back the wish, on the members that carry it."""
    asked = tuple(set_placement(name, "auto") for name in unit.members if name in context.overrides.on)
    return Way("let the rules decide again", asked)
