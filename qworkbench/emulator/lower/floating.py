"""Units that compute in float16, and multiply-accumulate units whose result leaves the tensor unit as floats.

A float16 unit is its float kernel with constants and result rounded to float16; where the hardware rounds in between is
not public, one rounding per node is assumed. A tensor unit that writes floats hands out ``acc * s_x * s_w[c]``, with a
fused Add or activation applied to that, and one rounding at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from qworkbench.emulator.builder import PlanBuilder
    from qworkbench.placement.types import Unit


def in_float16(builder: PlanBuilder, unit: Unit) -> None:
    """Lower a unit that reads and writes float16."""
    graph = builder.graph
    for name in unit.members:
        node = graph.nodes[name]
        inputs = {
            slot: builder.half(builder.placement.canonical[value])
            for slot, value in enumerate(node.inputs)
            if value is not None and graph.is_activation(value)
        }
        builder.torch_step(name, unit.name, node, inputs, node.outputs, half=True)
        for value in node.outputs:
            builder.set_real(value, value, half=True)


def leaves_as_float(builder: PlanBuilder, unit: Unit) -> bool:
    """Tell whether a multiply-accumulate unit writes float16 or float32."""
    return builder.placement[unit.anchor].dtype in ("float16", "float32")


def write_floats(
    builder: PlanBuilder, unit: Unit, acc: str, scale: np.ndarray, axis: int, *, half: bool | None = None
) -> None:
    """Append the steps from the accumulator `acc` to the unit's float output, fused Add and activation included."""
    graph, placement = builder.graph, builder.placement
    if half is None:
        half = placement[unit.anchor].dtype == "float16"
    behind = [name for name in (unit.add, unit.activation) if name is not None]
    inner = graph.nodes[unit.bn or unit.anchor].output
    alone = not behind
    key = builder.add(
        unit.anchor if alone else f"{unit.anchor}.float",
        unit.name,
        "to_float",
        (acc,),
        (inner if alone else f"{inner}.float",),
        scale=scale,
        axis=axis,
        half=half and alone,
    )
    made = {placement.canonical[inner]: key}
    other = builder.half if half else builder.real
    for name in behind:
        node = graph.nodes[name]
        inputs = {
            slot: made.get(placement.canonical[value]) or other(placement.canonical[value])
            for slot, value in enumerate(node.inputs)
            if value is not None and graph.is_activation(value)
        }
        last = name == behind[-1]
        (key,) = builder.torch_step(name, unit.name, node, inputs, node.outputs, half=half and last)
        made[placement.canonical[node.output]] = key
    value = unit.outputs[0]
    builder.set_real(value, key, half=half)
