"""Units that move integers: the same torch kernels as in float, on codes; Concat after its inputs share a scale."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from qworkbench.numerics.dtypes import QMAX, QMIN

if TYPE_CHECKING:
    from qworkbench.emulator.builder import PlanBuilder
    from qworkbench.emulator.plan import Quantity
    from qworkbench.graph.node import Node
    from qworkbench.placement.types import Unit


def move(builder: PlanBuilder, unit: Unit) -> None:
    """Lower Reshape, Transpose, Slice, Split, Gather, Tile, TopK ...: codes pass through, indices keep their form."""
    node = builder.graph.nodes[unit.anchor]
    x, source = builder.codes_for(unit.inputs[0], unit)
    slots = [i for i, v in enumerate(node.inputs) if builder.graph.is_activation(v)]
    inputs = {slot: _real(builder, node, slot) for slot in slots[1:]} | {slots[0]: x}
    moved = {v: f"{v}@{source.dtype}" for v in unit.outputs if builder.graph.values[v].dtype.startswith("float")}
    builder.torch_step(
        unit.name, unit.name, _on_codes(node, source), inputs, tuple(moved.get(v, v) for v in unit.outputs)
    )
    for value in unit.outputs:
        if value in moved:
            builder.set_codes(value, moved[value], source)
        else:
            builder.set_real(value, value)


def sample(builder: PlanBuilder, unit: Unit) -> None:
    """Lower GridSample: interpolated between codes at float positions, rounded once, at the scale of the input."""
    node = builder.graph.nodes[unit.anchor]
    _, target = builder.codes_for(unit.inputs[0], unit)
    slots = [i for i, v in enumerate(node.inputs) if builder.graph.is_activation(v)]
    value, between = unit.outputs[0], f"{unit.name}.sampled"
    inputs = {slot: _real(builder, node, slot) for slot in slots}
    builder.torch_step(between, unit.name, node, inputs, (between,))
    key = f"{value}@{target.dtype}"
    builder.add(
        unit.name,
        unit.name,
        "quantize",
        (between,),
        (key,),
        scale=target.scale,
        dtype=target.dtype,
        rounding=builder.arithmetic.rounding,
    )
    builder.set_codes(value, key, target)


def _real(builder: PlanBuilder, node: Node, slot: int) -> str:
    value = node.inputs[slot]
    assert value is not None
    return builder.real(builder.placement.canonical[value])


def _on_codes(node: Node, source: Quantity) -> Node:
    """Return `node` with its padding value as a code: it is a number in float."""
    if node.op != "Pad" or not node.attrs.get("value"):
        return node
    limits = (QMIN[source.dtype], QMAX[source.dtype])
    code = int(np.clip(np.rint(node.attrs["value"] / float(source.single)), *limits))
    return replace(node, attrs={**node.attrs, "value": code})


def concat(builder: PlanBuilder, unit: Unit) -> None:
    """Lower Concat: every input is at the scale of the output, by its producer or by a Requantize on that edge."""
    node = builder.graph.nodes[unit.anchor]
    value = unit.outputs[0]
    target = builder.quantity(value)
    keys = []
    for name in node.inputs:
        assert name is not None
        if builder.graph.is_activation(name):
            keys.append(builder.codes_for(builder.placement.canonical[name], unit)[0])
        else:
            keys.append(builder.constant_codes(name, unit, target.dtype, target)[0])
    out = builder.add(
        unit.name, unit.name, "concat", tuple(keys), (f"{value}@{target.dtype}",), axis=node.attrs["axis"]
    )
    builder.set_codes(value, out, target)
