"""Reductions: integer sums with one rescale; ArgMax leaves the BPU as indices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qworkbench.emulator.builder import PlanBuilder
    from qworkbench.placement.types import Unit


def reduce(builder: PlanBuilder, unit: Unit) -> None:
    """Lower ReduceSum, ReduceMean, ReduceMax and ReduceMin."""
    attrs = builder.graph.nodes[unit.anchor].attrs
    x, source = builder.codes_for(unit.inputs[0], unit)
    value = unit.outputs[0]
    target = builder.quantity(value)
    kind = {"ReduceSum": "reduce_sum", "ReduceMean": "reduce_mean", "ReduceMax": "reduce_max"}.get(
        unit.op, "reduce_min"
    )
    params: dict[str, Any] = {"axes": tuple(attrs["axes"]), "keepdims": bool(attrs["keepdims"])}
    key = f"{value}@{target.dtype}"
    ratio = builder.ratio(source, target)
    if kind in ("reduce_sum", "reduce_mean"):
        builder.add(unit.name, unit.name, kind, (x,), (key,), requantize=builder.requantize_to(ratio, target), **params)
    else:
        picked = f"{unit.name}.picked@{source.dtype}"
        builder.add(f"{unit.name}.pick", unit.name, kind, (x,), (picked,), requantize=None, **params)
        rescale = builder.requantize_to(ratio, target)
        builder.add(unit.name, unit.name, "requantize", (picked,), (key,), requantize=rescale)
    builder.set_codes(value, key, target)


def argument(builder: PlanBuilder, unit: Unit) -> None:
    """Lower ArgMax and ArgMin: the first winner's index."""
    attrs = builder.graph.nodes[unit.anchor].attrs
    x, _ = builder.codes_for(unit.inputs[0], unit)
    value = unit.outputs[0]
    builder.add(
        unit.name, unit.name, unit.op.lower(), (x,), (value,), axis=attrs["axis"], keepdims=bool(attrs["keepdims"])
    )
    builder.set_real(value, value)
