"""Quantized files as float graphs: integers are put back into real numbers, their scales stay readable.

A QuantizeLinear of an activation becomes a stub (identity in float) with ``scale`` and ``zero_point`` in its
attributes, so every tensor between it and its DequantizeLinear stands for integers but holds real numbers. The QLinear
operators become their float operator on dequantized constants, with a stub for the scale of their output.

A quantizer whose smallest code is zero clamps, and exporters leave the Relu in front of it out for that reason; it is
put back, so that float means the network that was quantized.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from qworkbench.graph.onnx_frontend.call import Call
from qworkbench.graph.onnx_frontend.handlers.windows import average_attributes, conv_attributes
from qworkbench.graph.onnx_frontend.importer import Importer, UnsupportedError
from qworkbench.graph.vocabulary import family
from qworkbench.numerics.stored import stored_scale

NEVER_NEGATIVE = ("Relu", "Sigmoid", "HardSigmoid", "Softmax", "Exp", "Sqrt", "Abs", "Softplus")
_MIXING = ("AveragePool", "GlobalAveragePool", "MaxPool", "GlobalMaxPool", "ReduceMean", "ReduceSum", "ReduceMax")
_BOTH = ("Add", "Mul", "Div", "Concat")


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


def symmetric_scales(arrays: list[np.ndarray]) -> tuple[float, ...] | None:
    """Return the scales of DequantizeLinear's contents (codes, scale, zero point) where they are symmetric int8."""
    codes, scale = arrays[0], arrays[1]
    if codes.dtype != np.int8 or scale.ndim > 1 or (len(arrays) > 2 and np.any(arrays[2])):
        return None
    found = tuple(float(s) for s in scale.reshape(-1))
    return found if all(np.isfinite(s) and s > 0 for s in found) else None


def never_negative(importer: Importer, value: str) -> bool:
    """Tell whether `value` is known to hold no negative number, whatever the input."""
    node = next((n for n in reversed(importer.nodes) if value in n.outputs), None)
    if node is None:
        data = importer.values[value].data
        return data is not None and bool((data >= 0).all())
    if node.op in NEVER_NEGATIVE:
        return True
    if node.op == "Clip":
        return node.attrs["min"] is not None and node.attrs["min"] >= 0
    if node.op == "QuantizeLinear":
        declared = stored_scale(node.attrs)
        if declared is not None and declared.never_negative:
            return True
    passes = family(node.op) in ("movement", "transparent", "stub") or node.op in _MIXING
    passes = passes or (node.op == "Resize" and node.attrs["mode"] != "cubic")
    if passes:
        return node.inputs[0] is not None and never_negative(importer, node.inputs[0])
    return node.op in _BOTH and all(v is not None and never_negative(importer, v) for v in node.inputs)


def _clamped(c: Call, value: str, attrs: dict[str, Any]) -> str:
    """Return `value` behind the Relu that the quantizer with `attrs` stands for, where it does.

    A model input is taken to be what the quantizer was made for.
    """
    declared = stored_scale(attrs)
    if declared is None or not declared.never_negative or c.importer.values[value].kind == "input":
        return value
    return value if never_negative(c.importer, value) else c.emit("Relu", [value], sub="relu")


def _quantize(c: Call) -> str:
    if c.stands(0):
        raise UnsupportedError("quantizing what is quantized already")
    attrs = _scale_attrs(c, 1, 2)
    return c.emit("QuantizeLinear", [_clamped(c, c.x(0), attrs)], attrs)


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
    attrs = _scale_attrs(c, scale, zero)
    return c.emit("QuantizeLinear", [_clamped(c, value, attrs)], attrs, sub="quantize")


def _weight(c: Call, slot: int, axis: int) -> str:
    """Return the constant weight in `slot` (scale and zero point behind it) as real numbers that know their scales."""
    real = _real(c, slot, slot + 1, slot + 2, axis=axis)
    parts = [c.content(i) for i in (slot, slot + 1, slot + 2) if c.has(i)]
    return c.constant(real, "weight", symmetric_scales(parts))


def _conv(c: Call) -> str:
    kernel = tuple(c.sizes(3)[0][2:])
    bias = None
    if c.has(8):
        factor = c.content(1).astype(np.float64).reshape(-1) * c.content(4).astype(np.float64).reshape(-1)
        bias = c.constant(np.asarray(c.content(8) * factor, np.float32), "bias")
    attrs = conv_attributes(c, kernel)
    return _stub(c, c.emit("Conv", [_operand(c, 0), _weight(c, 3, 0), bias], attrs), 6, 7)


def _matmul(c: Call) -> str:
    right = _weight(c, 3, c.rank(3) - 1) if c.is_known(3) else _operand(c, 3)
    return _stub(c, c.emit("MatMul", [_operand(c, 0), right]), 6, 7)


def _binary(op: str) -> Callable[[Call], str]:
    return lambda c: _stub(c, c.emit(op, [_operand(c, 0), _operand(c, 3)]), 6, 7)


def _global_pool(c: Call) -> str:
    if c.attr("channels_last", 0):
        raise UnsupportedError("pooling with the channels last")
    return _stub(c, c.emit("GlobalAveragePool", [_operand(c, 0)]), 3, 4)


def _sigmoid(c: Call) -> str:
    return _stub(c, c.emit("Sigmoid", [_operand(c, 0)]), 3, 4)


def _leaky(c: Call) -> str:
    return _stub(c, c.emit("LeakyRelu", [_operand(c, 0)], {"alpha": float(c.attr("alpha", 0.01))}), 3, 4)


def _softmax(c: Call) -> str:
    if c.attr("opset", 13) < 13 and c.axis(c.attr("axis", -1)) != c.rank() - 1:
        raise UnsupportedError("Softmax over several axes rolled into one")
    return _stub(c, c.emit("Softmax", [_operand(c, 0)], {"axis": c.axis(c.attr("axis", -1))}), 3, 4)


def _average_pool(c: Call) -> str:
    if c.attr("channels_last", 0):
        raise UnsupportedError("pooling with the channels last")
    return _stub(c, c.emit("AveragePool", [_operand(c, 0)], average_attributes(c)), 3, 4)


def _reduce_mean(c: Call) -> str:
    rank = c.rank()
    axes = tuple(sorted(c.axis(a) for a in c.attr("axes", tuple(range(rank)))))
    attrs = {"axes": axes, "keepdims": bool(c.attr("keepdims", 1))}
    return _stub(c, c.emit("ReduceMean", [_operand(c, 0)], attrs), 3, 4)


def _concat(c: Call) -> str:
    slots = range(2, len(c), 3)
    axis = c.axis(c.attr("axis"), c.rank(2))
    return _stub(c, c.emit("Concat", [_operand(c, slot) for slot in slots], {"axis": axis}), 0, 1)


def _gemm(c: Call) -> str:
    if c.attr("transA", 0) or c.attr("alpha", 1.0) != 1.0 or not c.is_known(3):
        raise UnsupportedError("QGemm with a factor, a transposed or a computed weight")
    transposed = bool(c.attr("transB", 0))
    bias = None
    if c.has(6):
        factor = c.content(1).astype(np.float64).reshape(-1) * c.content(4).astype(np.float64).reshape(-1)
        bias = c.constant(np.asarray(c.content(6).reshape(-1) * factor, np.float32), "bias")
    weight = _weight(c, 3, 0 if transposed else 1)
    return _stub(c, c.emit("Gemm", [_operand(c, 0), weight, bias], {"transB": transposed}), 7, 8)


HANDLERS: dict[str, Callable[[Call], Any]] = {
    "QuantizeLinear": _quantize,
    "DequantizeLinear": _dequantize,
    "QLinearConv": _conv,
    "QLinearMatMul": _matmul,
    "QLinearAdd": _binary("Add"),
    "QLinearMul": _binary("Mul"),
    "QLinearGlobalAveragePool": _global_pool,
    "QLinearAveragePool": _average_pool,
    "QLinearReduceMean": _reduce_mean,
    "QLinearConcat": _concat,
    "QLinearSigmoid": _sigmoid,
    "QLinearLeakyRelu": _leaky,
    "QLinearSoftmax": _softmax,
    "QGemm": _gemm,
}
"""The QLinear operators, but Conv and MatMul, and QGemm are of the domain ``com.microsoft``."""
