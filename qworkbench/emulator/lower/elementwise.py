"""Elementwise units of two operands: each operand keeps its own scale, one rounding at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from qworkbench.emulator.lower.numbers import beside_a_number, tabled
from qworkbench.emulator.plan import Quantity
from qworkbench.numerics import reference
from qworkbench.numerics.arithmetic import Requantize
from qworkbench.numerics.dtypes import QMAX
from qworkbench.numerics.tables import build_table8, build_table16

if TYPE_CHECKING:
    from qworkbench.emulator.builder import PlanBuilder
    from qworkbench.placement.types import Unit

Operand = tuple[str, Quantity]

COMPARISONS = {
    "Equal": "equal",
    "Greater": "greater",
    "GreaterOrEqual": "greater_equal",
    "Less": "less",
    "LessOrEqual": "less_equal",
}


def operands(builder: PlanBuilder, unit: Unit) -> list[Operand]:
    """Return the codes of both operands; a constant is quantized at its own maximum."""
    node = builder.graph.nodes[unit.anchor]
    dtype = builder.quantity(unit.outputs[0]).dtype
    found = []
    for value in node.inputs:
        assert value is not None
        if builder.graph.is_activation(value):
            found.append(builder.codes_for(builder.placement.canonical[value], unit))
        else:
            found.append(builder.constant_codes(value, unit, dtype))
    return found


def add_or_sub(builder: PlanBuilder, unit: Unit) -> None:
    """Lower Add and Sub: ``clamp(round(a * s_a / s_y +- b * s_b / s_y))``."""
    target = builder.quantity(unit.outputs[0])
    rescale = builder.requantize_to(1.0, target)

    def ratios(qa: Quantity, qb: Quantity) -> tuple[float, float]:
        return float(builder.ratio(qa, target)[0]), float(builder.ratio(qb, target)[0])

    beside = beside_a_number(builder, unit)
    if beside is not None:
        operation = reference.add if unit.op == "Add" else reference.sub
        (a, qa), (b, qb) = beside.left, beside.right
        tabled(builder, unit, beside.key, operation(a, b, *ratios(qa, qb), rescale))
        return
    (left, qa), (right, qb) = operands(builder, unit)
    _emit(builder, unit, unit.op.lower(), (left, right), target, ratios=ratios(qa, qb), requantize=rescale)


def mul(builder: PlanBuilder, unit: Unit) -> None:
    """Lower Mul: ``clamp(round(a * b * (s_a * s_b / s_y)))``."""
    beside = beside_a_number(builder, unit)
    if beside is not None:
        (a, qa), (b, qb) = beside.left, beside.right
        tabled(builder, unit, beside.key, reference.mul(a, b, _rescaled_product(builder, unit, qa, qb)))
        return
    left, right = operands(builder, unit)
    product(builder, unit, unit.name, left, right)


def _rescaled_product(builder: PlanBuilder, unit: Unit, qa: Quantity, qb: Quantity) -> Requantize:
    target = builder.quantity(unit.outputs[0])
    real = np.float32 if builder.arithmetic.multiplier(target.dtype) == "float32" else np.float64
    return builder.requantize_to(float(real(qa.single) * real(qb.single) / real(target.single)), target)


def product(builder: PlanBuilder, unit: Unit, name: str, left: Operand, right: Operand) -> None:
    """Append the step of a product of two operands into the unit's output."""
    rescale = _rescaled_product(builder, unit, left[1], right[1])
    target = builder.quantity(unit.outputs[0])
    _emit(builder, unit, "mul", (left[0], right[0]), target, name=name, requantize=rescale)


def div(builder: PlanBuilder, unit: Unit) -> None:
    """Lower Div as the tables print it: a reciprocal table, then Mul; a constant divisor is inverted beforehand."""
    beside = beside_a_number(builder, unit)
    if beside is not None and beside.number == 1 and beside.right[0].dtype == np.int8:
        (a, qa), (b, qb) = beside.left, beside.right
        inverse = builder.part_quantity(f"{unit.name}.reciprocal", qb.dtype)
        inverted = reference.lut(b, _reciprocals(builder, qb, inverse))
        tabled(builder, unit, beside.key, reference.mul(a, inverted, _rescaled_product(builder, unit, qa, inverse)))
        return
    dividend, (divisor, source) = operands(builder, unit)
    inverse = builder.part_quantity(f"{unit.name}.reciprocal", source.dtype)
    product(builder, unit, f"{unit.name}.mul", dividend, reciprocal(builder, unit, divisor, source, inverse))


def _reciprocals(builder: PlanBuilder, source: Quantity, target: Quantity) -> Any:
    def invert(x: np.ndarray) -> np.ndarray:
        return np.asarray(1.0 / x)

    s_in, s_out, rounding = float(source.single), float(target.single), builder.arithmetic.rounding
    if source.dtype == "int8":
        return build_table8(invert, s_in, s_out, target.dtype, rounding)
    return build_table16(invert, s_in, s_out, rounding)


def reciprocal(builder: PlanBuilder, unit: Unit, key: str, source: Quantity, target: Quantity) -> Operand:
    """Append a reciprocal table step."""
    out, bits = f"{unit.name}.reciprocal@{target.dtype}", 8 if source.dtype == "int8" else 16
    table = _reciprocals(builder, source, target)
    builder.add(f"{unit.name}.reciprocal", unit.name, "lut", (key,), (out,), table=table, bits=bits)
    builder.quantities[out] = target
    return out, target


def extremum(builder: PlanBuilder, unit: Unit) -> None:
    """Lower Min and Max: both operands are brought to the output's scale, then compared."""
    target = builder.quantity(unit.outputs[0])
    keys = []
    for slot, (key, quantity) in enumerate(operands(builder, unit)):
        same = quantity.dtype == target.dtype and quantity.single == target.single
        name = f"{unit.name}.requantize{slot}"
        keys.append(key if same else builder.rescaled(name, unit.name, key, quantity, target)[0])
    _emit(builder, unit, "maximum" if unit.op == "Max" else "minimum", (keys[0], keys[1]), target)


def comparison(builder: PlanBuilder, unit: Unit) -> None:
    """Lower Equal, Greater, Less ...: both operands at the scale of the wider one, then codes are compared."""
    node = builder.graph.nodes[unit.anchor]
    found: dict[int, Operand] = {}
    for slot, value in enumerate(node.inputs):
        if value is not None and builder.graph.is_activation(value):
            found[slot] = builder.codes_for(builder.placement.canonical[value], unit)
    target = max((quantity for _, quantity in found.values()), key=lambda q: QMAX[q.dtype] * float(q.single))
    keys = []
    for slot, value in enumerate(node.inputs):
        assert value is not None
        if slot not in found:
            keys.append(builder.constant_codes(value, unit, target.dtype, target)[0])
            continue
        key, quantity = found[slot]
        same = quantity.dtype == target.dtype and quantity.single == target.single
        name = f"{unit.name}.requantize{slot}"
        keys.append(key if same else builder.rescaled(name, unit.name, key, quantity, target)[0])
    value = unit.outputs[0]
    builder.add(unit.name, unit.name, "compare", (keys[0], keys[1]), (value,), how=COMPARISONS[unit.op])
    builder.set_real(value, value)


def prelu(builder: PlanBuilder, unit: Unit) -> None:
    """Lower PRelu: ``max(x, 0) + slope * min(x, 0)`` as clamp, clamp, Mul, Add in int8."""
    node = builder.graph.nodes[unit.anchor]
    x, source = builder.codes_for(unit.inputs[0], unit)
    target = builder.quantity(unit.outputs[0])
    assert node.inputs[1] is not None
    slope, s_slope = builder.constant_codes(node.inputs[1], unit, source.dtype)
    rank = len(builder.graph.values[unit.outputs[0]].shape)
    step = builder.steps[-1]
    codes = step.params["codes"]
    if codes.size > 1 and codes.ndim == 1:
        builder.steps.pop()
        shaped = codes.reshape((1, -1) + (1,) * (rank - 2))
        builder.add(step.name, unit.name, "constant", (), (slope,), codes=shaped)
    identity = np.ones(1)
    negative, positive = f"{unit.name}.negative@{source.dtype}", f"{unit.name}.positive@{source.dtype}"
    below = builder.requantize_to(identity, source, high=0)
    above = builder.requantize_to(identity, source, low=0)
    builder.add(f"{unit.name}.negative", unit.name, "requantize", (x,), (negative,), requantize=below)
    builder.add(f"{unit.name}.positive", unit.name, "requantize", (x,), (positive,), requantize=above)
    scaled = f"{unit.name}.scaled@{target.dtype}"
    multiplier = float(source.single) * float(s_slope.single) / float(target.single)
    builder.add(
        f"{unit.name}.mul",
        unit.name,
        "mul",
        (negative, slope),
        (scaled,),
        requantize=builder.requantize_to(multiplier, target),
    )
    ratios = (float(builder.ratio(source, target)[0]), 1.0)
    rescale = builder.requantize_to(1.0, target)
    _emit(builder, unit, "add", (positive, scaled), target, ratios=ratios, requantize=rescale)


def _emit(
    builder: PlanBuilder,
    unit: Unit,
    kind: str,
    keys: tuple[str, str],
    target: Quantity,
    *,
    name: str | None = None,
    **params: Any,
) -> None:
    value = unit.outputs[0]
    key = builder.add(name or unit.name, unit.name, kind, keys, (f"{value}@{target.dtype}",), **params)
    builder.set_codes(value, key, target)
