"""Functions of one tensor, element by element, and the softmaxes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from qworkbench.graph.structure import Slot
from qworkbench.graph.torch_frontend.builder import Builder
from qworkbench.graph.torch_frontend.values import UnsupportedError

_PLAIN = {
    "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "hardswish": "HardSwish", "silu": "Swish", "mish": "Mish",
    "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "rsqrt": "Rsqrt", "reciprocal": "Reciprocal", "neg": "Neg",
    "abs": "Abs", "erf": "Erf", "sin": "Sin", "cos": "Cos", "tan": "Tan", "softsign": "Softsign", "selu": "Selu",
    "floor": "Floor", "ceil": "Ceil", "sign": "Sign", "asin": "Asin", "acos": "Acos", "atan": "Atan",
    "sinh": "Sinh", "cosh": "Cosh", "asinh": "Asinh", "acosh": "Acosh", "atanh": "Atanh",
}  # fmt: skip


def _plain(op: str) -> Callable[..., Any]:
    def handler(b: Builder, input: Slot) -> Slot:
        return b.emit(op, [input])

    return handler


def _round(b: Builder, input: Slot, *, decimals: int = 0) -> Slot:
    if decimals:
        raise UnsupportedError("rounding to decimals")
    return b.emit("Round", [input])


def _softplus(b: Builder, input: Slot, beta: float = 1, threshold: float = 20) -> Slot:
    if beta != 1 or threshold != 20:
        raise UnsupportedError(f"softplus with beta {beta} and threshold {threshold}")
    return b.emit("Softplus", [input])


def _hardsigmoid(b: Builder, input: Slot) -> Slot:
    return b.emit("HardSigmoid", [input], {"alpha": 1 / 6, "beta": 0.5})


def _relu6(b: Builder, input: Slot) -> Slot:
    return b.emit("Clip", [input], {"min": 0.0, "max": 6.0})


def _hardtanh(b: Builder, input: Slot, min_val: float = -1.0, max_val: float = 1.0) -> Slot:
    return b.emit("Clip", [input], {"min": float(min_val), "max": float(max_val)})


def _clamp(b: Builder, input: Slot, min: Any = None, max: Any = None) -> Slot:
    """Return the clamp; a tensor bound is a Min or Max with it."""
    bounds = (min, max)
    if any(isinstance(bound, Slot) for bound in bounds):
        if min is not None and max is not None:
            return b.emit("Min", [b.emit("Max", [input, min], sub="min"), max])
        return b.emit("Max", [input, min]) if max is None else b.emit("Min", [input, max])
    return b.emit(
        "Clip", [input], {"min": None if min is None else float(min), "max": None if max is None else float(max)}
    )


def _leaky_relu(b: Builder, input: Slot, negative_slope: float = 0.01) -> Slot:
    return b.emit("LeakyRelu", [input], {"alpha": float(negative_slope)})


def _elu(b: Builder, input: Slot, alpha: float = 1.0) -> Slot:
    return b.emit("Elu", [input], {"alpha": float(alpha)})


def _prelu(b: Builder, input: Slot, weight: Slot) -> Slot:
    return b.emit("PRelu", [input, weight])


def _gelu(b: Builder, input: Slot, *, approximate: str = "none") -> Slot:
    return b.emit("Gelu", [input], {"approximate": approximate})


def _glu(b: Builder, input: Slot, dim: int = -1) -> Slot:
    axis = b.axis(input, dim)
    half = b.static(b.shape(input)[axis], "the halved axis") // 2
    value, gate = b.emit_many("Split", [input], {"axis": axis, "split": (half, half)}, 2, sub="split")
    return b.emit("Mul", [value, b.emit("Sigmoid", [gate], sub="gate")])


def _softmax(op: str) -> Callable[..., Any]:
    def handler(
        b: Builder,
        input: Slot,
        dim: int | None = None,
        _stacklevel: int = 3,
        dtype: torch.dtype | None = None,
    ) -> Slot:
        if dtype is not None and dtype != b.dtype(input):
            raise UnsupportedError(f"{op} that converts to {dtype}")
        rank = b.rank(input)
        axis = (0 if rank in (0, 1, 3) else 1) if dim is None else b.axis(input, dim)
        return b.emit(op, [input], {"axis": axis})

    return handler


def _dropout(b: Builder, input: Slot, p: float = 0.5, training: bool = True) -> Slot:
    if training:
        raise UnsupportedError("dropout that is active in evaluation mode")
    return b.emit("Dropout", [input], {"ratio": float(p)})


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{fn: _plain(op) for fn, op in _PLAIN.items()},
    "round": _round,
    "softplus": _softplus,
    "hardsigmoid": _hardsigmoid,
    "relu6": _relu6,
    "hardtanh": _hardtanh,
    "clamp": _clamp,
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "prelu": _prelu,
    "gelu": _gelu,
    "glu": _glu,
    "softmax": _softmax("Softmax"),
    "log_softmax": _softmax("LogSoftmax"),
    **dict.fromkeys(
        ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"), _dropout
    ),
}
