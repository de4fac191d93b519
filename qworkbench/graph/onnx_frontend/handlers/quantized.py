"""Quantized files as float graphs: integers are put back into real numbers, their scales stay readable.

A QuantizeLinear of an activation becomes a stub (identity in float) with ``scale`` and ``zero_point`` in its
attributes, so every tensor between it and its DequantizeLinear stands for integers but holds real numbers. The QLinear
operators become their float operator on dequantized constants, with a stub for the scale of their output.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from qworkbench.graph.onnx_frontend.handlers.windows import conv_attributes
from qworkbench.graph.onnx_frontend.importer import Call, UnsupportedError


def _plain(array: np.ndarray) -> Any:
    return array.reshape(-1)[0].item() if array.size == 1 else tuple(array.reshape(-1).tolist())


def _scale_attrs(c: Call, scale: int, zero: int) -> dict[str, Any]:
    """Return the attributes of a stub: scale, zero point (one or one per channel), axis and integer type."""
    factor = c.content(scale)
    offset = c.content(zero) if c.has(zero) else np.zeros(1, np.uint8)
    attrs = {"scale": _plain(factor.astype(np.float64)), "zero_point": _plain(offset), "dtype": offset.dtype.name}
    return {**attrs, "axis": c.attr("axis", 1)} if factor.size > 1 else attrs


def _real(c: Call, slot: int, scale: int, zero: int, axis: int | None = None) -> np.ndarray:
    """Return ``(q - zero_point) * scale`` of the constant input `slot`; `axis` is the one that scales run along."""
    q, factor = c.content(slot).astype(np.float64), c.content(scale).astype(np.float64)
    offset = c.content(zero).astype(np.float64) if c.has(zero) else np.zeros(1)
    if axis is not None and factor.size > 1:
        shape = [1] * q.ndim
        shape[axis] = factor.size
        factor, offset = factor.reshape(shape), offset.reshape(shape if offset.size > 1 else [1] * q.ndim)
    return np.asarray((q - offset) * factor, dtype=np.float32)


def folded(op: str, arrays: list[np.ndarray], axis: int) -> np.ndarray | None:
    """Return QuantizeLinear or DequantizeLinear of known contents (value, scale, zero point); None for blocks."""
    value, scale = arrays[0], arrays[1]
    zero = arrays[2] if len(arrays) > 2 else np.zeros((), np.uint8 if op == "QuantizeLinear" else value.dtype)
    if scale.size > 1 and (scale.ndim != 1 or scale.size != value.shape[axis]):
        return None
    shape = [scale.size if a == axis % value.ndim else 1 for a in range(value.ndim)] if scale.size > 1 else []
    factor, offset = (a.astype(np.float64).reshape(shape if a.size > 1 else []) for a in (scale, zero))
    if op == "DequantizeLinear":
        return np.asarray((value.astype(np.float64) - offset) * factor, np.float32)
    limits = np.iinfo(zero.dtype)
    return np.asarray(np.clip(np.rint(value / factor) + offset, limits.min, limits.max), zero.dtype)


def _quantize(c: Call) -> str:
    if c.stands(0):
        raise UnsupportedError("quantizing what is quantized already")
    return c.emit("QuantizeLinear", [c.x(0)], _scale_attrs(c, 1, 2))


def _dequantize(c: Call) -> str:
    if c.stands(0):
        return c.emit("DequantizeLinear", [c.x(0)], _scale_attrs(c, 1, 2))
    if any(c.has(slot) and c.rank(slot) for slot in (1, 2)):
        raise UnsupportedError("dequantizing computed integers by channel")
    inputs = [c.x(slot) for slot in range(3) if c.has(slot)]
    return c.carry("Opaque", "DequantizeLinear", inputs, {"why": "dequantizing integers that the model computes"})[0]


def _operand(c: Call, slot: int) -> str:
    """Return the real numbers of a quantized operand: input `slot`, its scale and its zero point."""
    if c.is_known(slot):
        return c.constant(_real(c, slot, slot + 1, slot + 2), f"real{slot}")
    if not c.stands(slot):
        raise UnsupportedError("quantized arithmetic on integers that the model computes")
    return c.x(slot)


def _stub(c: Call, value: str, scale: int, zero: int) -> str:
    return c.emit("QuantizeLinear", [value], _scale_attrs(c, scale, zero), sub="quantize")


def _conv(c: Call) -> str:
    weight = _real(c, 3, 4, 5, axis=0)
    bias = None
    if c.has(8):
        factor = c.content(1).astype(np.float64).reshape(-1) * c.content(4).astype(np.float64).reshape(-1)
        bias = c.constant(np.asarray(c.content(8) * factor, np.float32), "bias")
    attrs = conv_attributes(c, tuple(weight.shape[2:]))
    return _stub(c, c.emit("Conv", [_operand(c, 0), c.constant(weight, "weight"), bias], attrs), 6, 7)


def _matmul(c: Call) -> str:
    right = c.constant(_real(c, 3, 4, 5, axis=c.rank(3) - 1), "weight") if c.is_known(3) else _operand(c, 3)
    return _stub(c, c.emit("MatMul", [_operand(c, 0), right]), 6, 7)


def _binary(op: str) -> Callable[[Call], str]:
    return lambda c: _stub(c, c.emit(op, [_operand(c, 0), _operand(c, 3)]), 6, 7)


def _global_pool(c: Call) -> str:
    if c.attr("channels_last", 0):
        raise UnsupportedError("pooling with the channels last")
    return _stub(c, c.emit("GlobalAveragePool", [_operand(c, 0)]), 3, 4)


HANDLERS: dict[str, Callable[[Call], Any]] = {
    "QuantizeLinear": _quantize,
    "DequantizeLinear": _dequantize,
    "QLinearConv": _conv,
    "QLinearMatMul": _matmul,
    "QLinearAdd": _binary("Add"),
    "QLinearMul": _binary("Mul"),
    "QLinearGlobalAveragePool": _global_pool,
}
