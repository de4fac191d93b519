"""How each operator becomes steps of the integer plan, one module per family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from qworkbench.emulator.lower import (
    accumulate,
    elementwise,
    floating,
    movement,
    norms,
    recurrent,
    reduction,
    softmax,
    tables,
    windows,
)
from qworkbench.errors import EmulationError

if TYPE_CHECKING:
    from qworkbench.emulator.builder import PlanBuilder
    from qworkbench.placement.types import Unit

Lower = Callable[["PlanBuilder", "Unit"], None]

BY_OP: Mapping[str, Lower] = {
    "Conv": accumulate.convolution,
    "ConvTranspose": accumulate.convolution,
    "Gemm": accumulate.gemm,
    "MatMul": accumulate.matmul,
    "BatchNormalization": accumulate.batch_norm,
    "Add": elementwise.add_or_sub,
    "Sub": elementwise.add_or_sub,
    "Mul": elementwise.mul,
    "Div": elementwise.div,
    "Min": elementwise.extremum,
    "Max": elementwise.extremum,
    **dict.fromkeys(elementwise.COMPARISONS, elementwise.comparison),
    "PRelu": elementwise.prelu,
    "Relu": tables.clamp,
    "Clip": tables.clamp,
    "Concat": movement.concat,
    **dict.fromkeys(("Tile", "GatherElements", "TopK"), movement.move),
    "GridSample": movement.sample,
    "MaxPool": windows.max_pool,
    "GlobalMaxPool": windows.global_max_pool,
    "AveragePool": windows.average_pool,
    "GlobalAveragePool": windows.global_average_pool,
    "Resize": windows.resize,
    "ReduceMean": reduction.reduce,
    "ReduceSum": reduction.reduce,
    "ReduceMax": reduction.reduce,
    "ReduceMin": reduction.reduce,
    "ArgMax": reduction.argument,
    "ArgMin": reduction.argument,
    "Softmax": softmax.softmax,
    "GroupNormalization": norms.group_norm,
    "LayerNormalization": norms.layer_norm,
    "LSTM": recurrent.recurrent,
}


def lower_unit(builder: PlanBuilder, unit: Unit) -> None:
    """Append the steps of a unit that runs on the BPU, in integers or in float16.

    Raises
    ------
    EmulationError
        For an operator that a march allows but the emulator has no integer form for.
    """
    from qworkbench.graph.vocabulary import family

    if builder.placement[unit.anchor].input_dtype == "float16":
        floating.in_float16(builder, unit)
        return
    found = BY_OP.get(unit.op)
    if found is None:
        found = {"lut": tables.table, "movement": movement.move}.get(family(unit.op))
    if found is None:
        raise EmulationError(
            f"{unit.op} {unit.name!r} is placed on the BPU, but has no integer form here; send it to the CPU"
        )
    found(builder, unit)


def lower_cpu(builder: PlanBuilder, unit: Unit) -> None:
    """Append the float steps of a unit that runs on the CPU, between Dequantize and Quantize."""
    graph = builder.graph
    for name in unit.members:
        node = graph.nodes[name]
        inputs = {
            slot: builder.real(builder.placement.canonical[value])
            for slot, value in enumerate(node.inputs)
            if graph.is_activation(value) and value is not None
        }
        builder.torch_step(name, unit.name, node, inputs, node.outputs)
        for value in node.outputs:
            builder.set_real(value, value)
