"""Multiply-accumulate units: weights to codes, bias into the accumulator, fused Add and activation in the rescale.

``acc = sum(q_x * q_w) + q_b`` in int32, ``q_b = round(b / (s_x * s_w[c]))``, output ``clamp(round(acc * m[c]))`` with
``m[c] = s_x * s_w[c] / s_y``; a tail unit hands out ``acc`` itself with scale ``s_x * s_w[c]``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from qworkbench.emulator.fingerprint import Packed, digest
from qworkbench.emulator.lower.floating import leaves_as_float, write_floats
from qworkbench.emulator.lower.weights import scale_in, weight_codes
from qworkbench.emulator.plan import Quantity
from qworkbench.graph.node import Node
from qworkbench.numerics.arithmetic import ConvGeometry, Requantize
from qworkbench.numerics.dtypes import QMAX, QMIN
from qworkbench.numerics.weights import conv_multiplier, quantize_bias, quantize_weight

if TYPE_CHECKING:
    from qworkbench.emulator.builder import PlanBuilder
    from qworkbench.emulator.fingerprint import Plain
    from qworkbench.placement.types import Unit


def convolution(builder: PlanBuilder, unit: Unit) -> None:
    """Lower Conv and ConvTranspose over H and W, and Conv over D, H and W."""
    node = builder.graph.nodes[unit.anchor]
    transposed = unit.op == "ConvTranspose"
    x, source = builder.codes_for(unit.inputs[0], unit)
    weight, s_w, bias = weight_codes(builder, unit, node, source)
    attrs = node.attrs
    if len(attrs["kernel_shape"]) == 3:
        window = {name: tuple(attrs[name]) for name in ("strides", "pads", "dilations")}
        _accumulate(builder, unit, "conv3d", x, source, s_w, weight, bias, {**window, "group": attrs["group"]})
        return
    places = (tuple(attrs[name]) for name in ("kernel_shape", "strides", "pads", "dilations"))
    shape: Any = (*places, attrs["group"], tuple(attrs.get("output_padding", (0, 0))))
    params = {"geometry": ConvGeometry(*shape), "transposed": transposed}
    _accumulate(builder, unit, "conv", x, source, s_w, weight, bias, params, (*shape, transposed))


def gemm(builder: PlanBuilder, unit: Unit) -> None:
    """Lower a linear layer over the last axis."""
    node = builder.graph.nodes[unit.anchor]
    x, source = builder.codes_for(unit.inputs[0], unit)
    weight, s_w, bias = weight_codes(builder, unit, node, source)
    axis = len(builder.graph.values[unit.outputs[0]].shape) - 1
    _accumulate(builder, unit, "gemm", x, source, s_w, weight, bias, {}, (), axis=axis)


def batch_norm(builder: PlanBuilder, unit: Unit) -> None:
    """Lower a BatchNormalization that no convolution absorbed: a depthwise 1x1 convolution."""
    node = builder.graph.nodes[unit.anchor]
    x, source = builder.codes_for(unit.inputs[0], unit)
    scale, shift, mean, var = (
        None if name is None else builder.graph.tensor(name).detach().numpy().astype(np.float64)
        for name in node.inputs[1:5]
    )
    assert mean is not None
    assert var is not None
    gain = (1.0 if scale is None else scale) / np.sqrt(var + node.attrs["epsilon"])
    offset = (0.0 if shift is None else shift) - mean * gain
    weight = gain.astype(np.float32).reshape(-1, 1, 1, 1)
    codes, s_w = quantize_weight(weight, 0, builder.placement[unit.anchor].weight_dtype or "int8")
    bias, _ = quantize_bias(offset.astype(np.float32), float(source.single), s_w)
    geometry = ConvGeometry(kernel=(1, 1), group=weight.shape[0])
    builder.weights[unit.name] = Quantity("int8", s_w, 0)
    packed = Packed(codes, digest(codes, s_w, offset))
    _accumulate(builder, unit, "conv", x, source, s_w, packed, bias, {"geometry": geometry, "transposed": False})


def matmul(builder: PlanBuilder, unit: Unit) -> None:
    """Lower a product of two activations (or of one and a constant)."""
    node = builder.graph.nodes[unit.anchor]
    keys, scales = [], []
    for value in node.inputs:
        assert value is not None
        if builder.graph.is_activation(value):
            key, quantity = builder.codes_for(builder.placement.canonical[value], unit)
        else:
            key, quantity = builder.constant_codes(value, unit, "int8")
        keys.append(key)
        scales.append(quantity)
    product = np.asarray(scales[0].single) * np.asarray(scales[1].single)
    value = unit.outputs[0]
    wide = {quantity.dtype for quantity in scales} == {"int16"}
    if wide or leaves_as_float(builder, unit):
        _float_or_wide_matmul(builder, unit, tuple(keys), (scales[0], scales[1]), wide=wide)
        return
    if builder.placement[unit.anchor].dtype == "int32":
        target, rescale = Quantity("int32", product.reshape(1).astype(np.float32)), None
    else:
        target = builder.quantity(value)
        multiplier = conv_multiplier(
            float(scales[0].single), scales[1].scale, float(target.single), builder.arithmetic.multiplier(target.dtype)
        )
        rescale = builder.requantize_to(multiplier, target)
    key = builder.add(unit.name, unit.name, "matmul", tuple(keys), (f"{value}@{target.dtype}",), requantize=rescale)
    builder.set_codes(value, key, target)


def _float_or_wide_matmul(
    builder: PlanBuilder, unit: Unit, keys: tuple[str, ...], scales: tuple[Quantity, Quantity], *, wide: bool
) -> None:
    value, name = unit.outputs[0], unit.name
    product = np.asarray(scales[0].single * scales[1].single, np.float32).reshape(1)
    if wide:
        acc = builder.add(f"{name}.sum", name, "wide", keys, (f"{value}@sum",), how="matmul", weight=None, bias=None)
    else:
        acc = builder.add(f"{name}.sum", name, "matmul", keys, (f"{value}@sum",), requantize=None)
    if leaves_as_float(builder, unit) or builder.placement[unit.anchor].dtype == "int32":
        write_floats(builder, unit, acc, product, 1, half=builder.placement[unit.anchor].dtype == "float16")
        return
    target = builder.quantity(value)
    multiplier = conv_multiplier(
        float(scales[0].single), scales[1].scale, float(target.single), builder.arithmetic.multiplier(target.dtype)
    )
    rescale = builder.requantize_to(multiplier, target)
    key = builder.add(name, name, "rescale_sum", (acc,), (f"{value}@{target.dtype}",), requantize=rescale, axis=1)
    builder.set_codes(value, key, target)


def _accumulate(
    builder: PlanBuilder,
    unit: Unit,
    kind: str,
    x: str,
    source: Quantity,
    s_w: np.ndarray,
    weight: Packed,
    bias: np.ndarray | None,
    params: dict[str, Any],
    given: tuple[Plain, ...] | None = None,
    *,
    axis: int = 1,
) -> None:
    """Append the sum and what makes codes of it; `given` is what `params` are, where it is short."""
    s_x = scale_in(source)
    if _dual(builder, unit, source) or leaves_as_float(builder, unit):
        _as_float_or_wide(builder, unit, kind, x, source, s_w, weight, bias, params, axis=axis)
        return
    inputs: tuple[str, ...] = (x,)
    residual, beside = None, b""
    if unit.residual is not None:
        key, other = builder.codes_for(unit.residual, unit)
        inputs = (x, key)
        beside = other.scale.tobytes()
        residual = builder.memo.folded(
            ("residual", weight.digest, s_x, beside), lambda: _ratio(other.scale, s_x, s_w)
        )  # fmt: skip
    value = unit.outputs[0]
    if builder.placement[unit.anchor].dtype == "int32":
        target = Quantity("int32", np.asarray(np.float32(s_x) * s_w, np.float32), axis)
        rescale = None
    else:
        target = builder.quantity(value)
        rescale = _rescale(builder, unit, s_x, s_w, target)
    if given is not None:  # weight codes, their scales and the real bias follow from the weight's digest
        limits = () if rescale is None else (rescale.low, rescale.high)
        given = (*given, weight.digest, bias is None, s_x, beside, *builder.rescaling(target), *limits)
    key = builder.add(
        unit.name,
        unit.name,
        kind,
        inputs,
        (f"{value}@{target.dtype}",),
        given,
        weight=weight,
        bias=bias,
        requantize=rescale,
        residual=residual,
        **params,
    )
    builder.set_codes(value, key, target)


def _ratio(scale: np.ndarray, s_x: float, s_w: np.ndarray) -> np.ndarray:
    """Return how much a code of a residual with `scale` counts in the sum."""
    return np.asarray(scale.astype(np.float64) / (float(s_x) * s_w.astype(np.float64)))


def _rescale(builder: PlanBuilder, unit: Unit, s_x: float, s_w: np.ndarray, target: Quantity) -> Requantize:
    kind = builder.arithmetic.multiplier(target.dtype)
    if target.per_channel:
        multiplier = np.concatenate(
            [conv_multiplier(s_x, s_w[c : c + 1], float(s), kind) for c, s in enumerate(target.scale)]
        )
    else:
        multiplier = conv_multiplier(s_x, s_w, float(target.single), kind)
    low, high = (None, None)
    if unit.activation is not None:
        low, high = activation_range(builder.graph.nodes[unit.activation], target)
    return builder.requantize_to(multiplier, target, low, high)


def activation_range(node: Node, target: Quantity) -> tuple[int, int]:
    """Return the clamp range, in codes of `target`, of a Relu or Clip.

    With scales per channel the bounds other than zero differ per channel; the widest one is kept, since saturation of
    the dtype then bounds each channel at its own threshold.
    """
    floor, ceiling = QMIN[target.dtype], QMAX[target.dtype]
    if node.op == "Relu":
        return 0, ceiling
    low, high = node.attrs.get("min"), node.attrs.get("max")
    scale = float(target.scale.min())
    bound = [
        default if limit is None or not math.isfinite(limit) else int(np.clip(np.rint(limit / scale), floor, ceiling))
        for limit, default in ((low, floor), (high, ceiling))
    ]
    return bound[0], bound[1]


def _dual(builder: PlanBuilder, unit: Unit, source: Quantity) -> bool:
    """Tell whether both sides are int16, which needs an accumulator wider than int32."""
    return source.dtype == "int16" and builder.placement[unit.anchor].weight_dtype == "int16"


def _as_float_or_wide(
    builder: PlanBuilder,
    unit: Unit,
    kind: str,
    x: str,
    source: Quantity,
    s_w: np.ndarray,
    weight: Packed,
    bias: np.ndarray | None,
    params: dict[str, Any],
    *,
    axis: int,
) -> None:
    """Accumulate without a rescale, then write floats, or rescale the wide sum to codes.

    How the hardware holds the sum of int16 by int16 is not public; it is assumed not to overflow.
    """
    s_x = scale_in(source)
    scale = np.asarray(np.float32(s_x) * s_w, np.float32)
    value, name = unit.outputs[0], unit.name
    if _dual(builder, unit, source):
        acc = builder.add(
            f"{name}.sum", name, "wide", (x,), (f"{value}@sum",), how=kind, weight=weight, bias=bias, **params
        )
    else:
        acc = builder.add(
            f"{name}.sum",
            name,
            kind,
            (x,),
            (f"{value}@sum",),
            weight=weight,
            bias=bias,
            requantize=None,
            residual=None,
            **params,
        )
    if leaves_as_float(builder, unit):
        write_floats(builder, unit, acc, scale, axis)
        return
    placed = builder.placement[unit.anchor].dtype
    if placed == "int32" or unit.residual is not None:
        # the raw sum leaves, or another tensor joins it: both need the real numbers
        write_floats(builder, unit, acc, scale, axis, half=False)
        if placed != "int32":
            builder.codes(value)
        return
    target = builder.quantity(value)
    rescale = _rescale(builder, unit, s_x, s_w, target)
    key = builder.add(name, name, "rescale_sum", (acc,), (f"{value}@{target.dtype}",), requantize=rescale, axis=axis)
    builder.set_codes(value, key, target)
