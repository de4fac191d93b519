"""Units of one input and one output that run as a lookup table, or as a clamp.

int8: 256 entries. int16: the segmented table. The function itself is the op's float kernel in float64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qworkbench.emulator.lower.accumulate import activation_range
from qworkbench.numerics.tables import RealFunction, build_table8, build_table16

if TYPE_CHECKING:
    from qworkbench.emulator.builder import PlanBuilder
    from qworkbench.graph.ir import Graph
    from qworkbench.graph.node import Node
    from qworkbench.placement.types import Unit


def real_function(graph: Graph, node: Node) -> RealFunction:
    """Return the float64 function of a one-input op (constants such as an exponent included)."""

    def apply(x: np.ndarray) -> np.ndarray:
        import torch

        from qworkbench.graph.execute import run_node

        operands = [
            torch.from_numpy(x) if graph.is_activation(v) else None if v is None else graph.tensor(v).double()
            for v in node.inputs
        ]
        return np.asarray(run_node(graph, node, operands, 1)[0].numpy())

    return apply


def table(builder: PlanBuilder, unit: Unit) -> None:
    """Lower an elementwise function as a table over the codes."""
    x, source = builder.codes_for(unit.inputs[0], unit)
    value = unit.outputs[0]
    target = builder.quantity(value)
    node = builder.graph.nodes[unit.anchor]
    function = real_function(builder.graph, node)
    arguments = (function, float(source.single), float(target.single))
    rounding = builder.arithmetic.rounding
    constants = [builder.memo.tensor_digest(builder.graph.tensor(v)) for v in node.inputs[1:] if v is not None]
    key = (
        "table",
        node.op,
        repr(dict(node.attrs)),
        tuple(constants),
        source.dtype,
        *arguments[1:],
        target.dtype,
        rounding,
    )
    if source.dtype == "int8":
        made = builder.memo.get(key, lambda: build_table8(*arguments, target.dtype, rounding))
    else:
        made = builder.memo.get(key, lambda: build_table16(*arguments, rounding))
    out = builder.add(
        unit.name,
        unit.name,
        "lut",
        (x,),
        (f"{value}@{target.dtype}",),
        table=made,
        bits=8 if source.dtype == "int8" else 16,
    )
    builder.set_codes(value, out, target)


def clamp(builder: PlanBuilder, unit: Unit) -> None:
    """Lower a Relu or Clip that no convolution took: one rescale with a narrower range."""
    x, source = builder.codes_for(unit.inputs[0], unit)
    value = unit.outputs[0]
    target = builder.quantity(value)
    low, high = activation_range(builder.graph.nodes[unit.anchor], target)
    rescale = builder.requantize_to(builder.ratio(source, target), target, low, high)
    key = builder.add(unit.name, unit.name, "requantize", (x,), (f"{value}@{target.dtype}",), requantize=rescale)
    builder.set_codes(value, key, target)
