"""GroupNormalization and LayerNormalization on the BPU, where they are split into ops that each run there.

Into which is not public. Assumed is the definition: ReduceMean, Sub, Mul, ReduceMean, ``1 / sqrt(variance + epsilon)``
by table, Mul, and Mul and Add with the parameters; all inner tensors int16 with calibrated thresholds of their own
(``<name>.mean``, ``.centred``, ``.square``, ``.variance``, ``.inverse``, ``.normal``, ``.scaled``).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from qworkbench.emulator.plan import Quantity
from qworkbench.graph.node import Node
from qworkbench.numerics.tables import build_table16
from qworkbench.numerics.weights import constant_codes

if TYPE_CHECKING:
    from qworkbench.emulator.builder import PlanBuilder
    from qworkbench.graph.node import Dim
    from qworkbench.placement.types import Unit

Operand = tuple[str, Quantity]


def group_norm(builder: PlanBuilder, unit: Unit) -> None:
    """Lower a GroupNormalization as its pieces."""
    node = builder.graph.nodes[unit.anchor]
    shape = builder.graph.values[unit.inputs[0]].shape
    sizes = [dim if isinstance(dim, int) else 0 for dim in shape]  # only the first axis follows the batch
    channels, rest = sizes[1], math.prod(sizes[2:])
    groups = int(node.attrs["num_groups"])
    wide = _widened(builder, unit, *builder.codes_for(unit.inputs[0], unit))
    x = _reshaped(builder, unit, "groups", wide, (shape[0], groups, channels // groups * rest))
    last = _reshaped(builder, unit, "channels", _normal(builder, unit, x, 2), shape)
    _scaled_and_moved(builder, unit, last, (1, channels, *(1 for _ in shape[2:])))


def layer_norm(builder: PlanBuilder, unit: Unit) -> None:
    """Lower a LayerNormalization over the last axis as its pieces."""
    rank = len(builder.graph.values[unit.inputs[0]].shape)
    (width,) = builder.graph.nodes[unit.anchor].attrs["normalized_shape"]
    x = _widened(builder, unit, *builder.codes_for(unit.inputs[0], unit))
    last = _normal(builder, unit, x, rank - 1)
    _scaled_and_moved(builder, unit, last, (*(1 for _ in range(rank - 1)), int(width)))


def _normal(builder: PlanBuilder, unit: Unit, x: Operand, axis: int) -> Operand:
    """Return `x` less its mean along `axis`, over the root of its variance there."""
    mean = _mean(builder, unit, "mean", x, axis)
    centred = _sum(builder, unit, "centred", "sub", x, mean, builder.part_quantity(f"{unit.name}.centred", "int16"))
    square = _product(builder, unit, "square", centred, centred)
    variance = _mean(builder, unit, "variance", square, axis)
    inverse = _inverse(builder, unit, variance, float(builder.graph.nodes[unit.anchor].attrs["epsilon"]))
    return _product(builder, unit, "normal", centred, inverse)


def _scaled_and_moved(builder: PlanBuilder, unit: Unit, last: Operand, affine: tuple[int, ...]) -> None:
    """Multiply with the scale and add the bias, where there are any, in the shape `affine`; write the output."""
    node, name = builder.graph.nodes[unit.anchor], unit.name
    target = builder.quantity(unit.outputs[0])
    scale, bias = (*node.inputs[1:], None, None)[:2]
    if scale is not None:
        last = _product(builder, unit, "scaled", last, _parameter(builder, unit, "scale", scale, affine))
    value = unit.outputs[0]
    key = f"{value}@{target.dtype}"
    if bias is not None:
        _sum(builder, unit, "", "add", last, _parameter(builder, unit, "bias", bias, affine), target, key)
    else:
        rescale = builder.requantize_to(builder.ratio(last[1], target), target)
        builder.add(name, name, "requantize", (last[0],), (key,), requantize=rescale)
    builder.set_codes(value, key, target)


def _widened(builder: PlanBuilder, unit: Unit, key: str, source: Quantity) -> Operand:
    if source.dtype == "int16":
        return key, source
    target = Quantity("int16", source.scale / np.float32(256))
    return builder.rescaled(f"{unit.name}.wide", unit.name, key, source, target)


def _reshaped(builder: PlanBuilder, unit: Unit, part: str, operand: Operand, shape: tuple[Dim, ...]) -> Operand:
    value, out = unit.inputs[0], f"{unit.name}.{part}@int16"
    node = Node(f"{unit.name}.{part}", "Reshape", (value,), (out,), {"shape": tuple(shape)})
    builder.torch_step(node.name, unit.name, node, {0: operand[0]}, (out,))
    return out, operand[1]


def _mean(builder: PlanBuilder, unit: Unit, part: str, operand: Operand, axis: int) -> Operand:
    name, target = f"{unit.name}.{part}", builder.part_quantity(f"{unit.name}.{part}", "int16")
    rescale = builder.requantize_to(builder.ratio(operand[1], target), target)
    out = f"{name}@int16"
    builder.add(name, unit.name, "reduce_mean", (operand[0],), (out,), axes=(axis,), keepdims=True, requantize=rescale)
    return out, target


def _sum(
    builder: PlanBuilder,
    unit: Unit,
    part: str,
    kind: str,
    left: Operand,
    right: Operand,
    target: Quantity,
    out: str | None = None,
) -> Operand:
    name = f"{unit.name}.{part}" if part else unit.name
    ratios = tuple(float(builder.ratio(quantity, target)[0]) for _, quantity in (left, right))
    rescale = builder.requantize_to(1.0, target)
    made = out or f"{name}@{target.dtype}"
    builder.add(name, unit.name, kind, (left[0], right[0]), (made,), ratios=ratios, requantize=rescale)
    return made, target


def _product(builder: PlanBuilder, unit: Unit, part: str, left: Operand, right: Operand) -> Operand:
    name, target = f"{unit.name}.{part}", builder.part_quantity(f"{unit.name}.{part}", "int16")
    multiplier = float(left[1].single) * float(right[1].single) / float(target.single)
    rescale = builder.requantize_to(multiplier, target)
    out = f"{name}@int16"
    builder.add(name, unit.name, "mul", (left[0], right[0]), (out,), requantize=rescale)
    return out, target


def _inverse(builder: PlanBuilder, unit: Unit, variance: Operand, epsilon: float) -> Operand:
    name, target = f"{unit.name}.inverse", builder.part_quantity(f"{unit.name}.inverse", "int16")

    def invert(x: np.ndarray) -> np.ndarray:
        return np.asarray(1.0 / np.sqrt(np.maximum(x, 0.0) + epsilon))

    table = build_table16(invert, float(variance[1].single), float(target.single), builder.arithmetic.rounding)
    out = f"{name}@int16"
    builder.add(name, unit.name, "lut", (variance[0],), (out,), table=table, bits=16)
    return out, target


def _parameter(builder: PlanBuilder, unit: Unit, part: str, value: str, shape: tuple[int, ...]) -> Operand:
    name = f"{unit.name}.{part}"
    array = builder.graph.tensor(value).detach().numpy().astype(np.float32).reshape(shape)
    codes, scale = constant_codes(array, "int16", None)
    out = f"{name}@int16"
    builder.add(name, unit.name, "constant", (), (out,), codes=codes)
    return out, Quantity("int16", np.asarray([scale], np.float32))
