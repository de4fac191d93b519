"""Reasons of nodes that compute nothing on the device: quantization stubs, and what inference removes."""

from __future__ import annotations

from qworkbench.graph.node import Node
from qworkbench.numerics.stored import StoredScale
from qworkbench.placement.reasons import RULES
from qworkbench.placement.types import Fact, Reason, ScaleGroup, Way


def marker_reason(
    node: Node, stored: StoredScale | None = None, group: ScaleGroup | None = None, inside: str | None = None
) -> Reason:
    """Return the reason of a node that is removed at inference, or is a quantization stub.

    Parameters
    ----------
    node : Node
    stored : StoredScale, optional
        The scale in force that a quantizing stub declares.
    group : ScaleGroup, optional
        The scale group of the tensor that it is about; None where that is float or int32.
    inside : str, optional
        The fused unit in which that tensor lies.
    """
    if stored is not None:
        return _declared(node, stored, group, inside)
    if node.op in ("QuantizeLinear", "DequantizeLinear"):
        verb = "Quantize" if node.op == "QuantizeLinear" else "Dequantize"
        text = f"{node.name!r} marks where the model is quantized; it becomes the {verb} at the border of the BPU."
        return Reason("stub", text, RULES["marker"])
    return Reason("removed", f"{node.op} {node.name!r} is removed at inference.", RULES["marker"])


def _declared(node: Node, stored: StoredScale, group: ScaleGroup | None, inside: str | None) -> Reason:
    said = f"{node.name!r} declares {stored.describe()}"
    low, high = stored.range()
    facts = [Fact(f"its codes stand for {low:.6g} to {high:.6g}")]
    if inside is not None:
        text = f"{said}; the tensor lies inside the fused {inside!r} and never becomes codes."
    elif group is None:
        text = f"{said}; the tensor is float here, so the scale is not used."
    elif group.fixed_by == node.name:
        text = f"{said}: the fixed scale of its scale group is {group.fixed_scale:.6g} ({group.dtype}, symmetric)."
    else:
        text = f"{said}, but its scale group keeps {group.fixed_scale:.6g}, fixed by {group.fixed_by!r}."
        facts.append(Fact(f"passive ops tie it to {group.fixed_by}", group.fixed_by))
    clear = Way("let calibration decide", ({"kind": "ClearScale", "node": node.name},))
    return Reason("declared", text, RULES["declared"], tuple(facts), (clear,))
