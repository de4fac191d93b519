"""Recurrent layers: one operator on the BPU whose inner arithmetic is not public.

Emulated as what is known of it: quantized input and quantized outputs, the gates between them in float.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qworkbench.emulator.builder import PlanBuilder
    from qworkbench.placement.types import Unit


def recurrent(builder: PlanBuilder, unit: Unit) -> None:
    """Lower LSTM: dequantize the codes of its inputs, run the float kernel, quantize every output."""
    node = builder.graph.nodes[unit.anchor]
    inputs: dict[int, str] = {}
    for slot, value in enumerate(node.inputs):
        if value is None or not builder.graph.is_activation(value):
            continue
        key, quantity = builder.codes_for(builder.placement.canonical[value], unit)
        name = f"{unit.name}.input{slot}"
        inputs[slot] = builder.add(
            name, unit.name, "dequantize", (key,), (name,), scale=quantity.scale, axis=quantity.axis
        )
    floats = tuple(f"{value}.float" for value in unit.outputs)
    builder.torch_step(unit.name, unit.name, node, inputs, floats)
    for value, real in zip(unit.outputs, floats, strict=True):
        quantity = builder.quantity(value)
        key = f"{value}@{quantity.dtype}"
        rounding = builder.arithmetic.rounding
        builder.add(
            f"{value}.quantize",
            unit.name,
            "quantize",
            (real,),
            (key,),
            scale=quantity.scale,
            dtype=quantity.dtype,
            rounding=rounding,
        )
        builder.set_codes(value, key, quantity)
