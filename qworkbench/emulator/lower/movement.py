"""Units that move integers: the same torch kernels as in float, on codes; Concat after its inputs share a scale."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from qworkbench.numerics.dtypes import QMAX, QMIN

if TYPE_CHECKING:
    from qworkbench.emulator.builder import PlanBuilder
    from qworkbench.emulator.plan import Quantity
    from qworkbench.graph.ir import Node
    from qworkbench.placement.types import Unit


def move(builder: PlanBuilder, unit: Unit) -> None:
    """Lower Reshape, Transpose, Slice, Split, Gather, Pad ...: codes pass through unchanged."""
    node = builder.graph.nodes[unit.anchor]
    x, source = builder.codes_for(unit.inputs[0], unit)
    slot = next(i for i, v in enumerate(node.inputs) if builder.graph.is_activation(v))
    keys = tuple(f"{value}@{source.dtype}" for value in unit.outputs)
    builder.torch_step(unit.name, unit.name, _on_codes(node, source), {slot: x}, keys)
    for value, key in zip(unit.outputs, keys, strict=True):
        builder.set_codes(value, key, source)


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
