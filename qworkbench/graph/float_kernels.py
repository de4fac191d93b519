"""One torch function per operator of the vocabulary: the float meaning of a node.

Every function is pure and never in place, so that activations can be kept. ``kernel(node attributes with the batch
filled in, *tensors) -> tensor or tuple``. Absent optional inputs arrive as None. Structure (shapes, pooling,
convolution) is in :mod:`qworkbench.graph.float_windows`; the table is put together here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from qworkbench.graph.float_movement import MOVEMENT
from qworkbench.graph.float_windows import WINDOWS

Attrs = Mapping[str, Any]
Kernel = Callable[..., Any]

_UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "Relu": torch.relu, "Sigmoid": torch.sigmoid, "HardSwish": F.hardswish, "Swish": F.silu, "Mish": F.mish,
    "Tanh": torch.tanh, "Exp": torch.exp, "Log": torch.log, "Sqrt": torch.sqrt, "Rsqrt": torch.rsqrt,
    "Reciprocal": torch.reciprocal, "Neg": torch.neg, "Abs": torch.abs, "Erf": torch.erf, "Sin": torch.sin,
    "Cos": torch.cos, "Tan": torch.tan, "Softplus": F.softplus, "Softsign": F.softsign, "Selu": F.selu,
    "Floor": torch.floor, "Ceil": torch.ceil, "Round": torch.round, "Sign": torch.sign, "Asin": torch.asin,
    "Acos": torch.acos, "Atan": torch.atan, "Sinh": torch.sinh, "Cosh": torch.cosh, "Asinh": torch.asinh,
    "Acosh": torch.acosh, "Atanh": torch.atanh,
}  # fmt: skip
_UNARY.update(dict.fromkeys(("QuantizeLinear", "DequantizeLinear", "Dropout", "Identity"), lambda x: x))

_BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Div": torch.true_divide, "Min": torch.minimum,
    "Max": torch.maximum, "Equal": torch.eq, "Greater": torch.gt, "GreaterOrEqual": torch.ge, "Less": torch.lt,
    "LessOrEqual": torch.le, "MatMul": torch.matmul,
}  # fmt: skip


def _hard_sigmoid(attrs: Attrs, x: Tensor) -> Tensor:
    alpha, beta = attrs["alpha"], attrs["beta"]
    if alpha == 1 / 6 and beta == 0.5:
        return F.hardsigmoid(x)
    return torch.clamp(x * alpha + beta, 0.0, 1.0)


def _clip(attrs: Attrs, x: Tensor) -> Tensor:
    low, high = attrs.get("min"), attrs.get("max")
    return x if low is None and high is None else torch.clamp(x, low, high)


def _pow(attrs: Attrs, x: Tensor, exponent: Tensor) -> Tensor:
    """Return the power; by a number torch squares and roots exactly, by a tensor it does not."""
    del attrs
    return torch.pow(x, exponent.item() if exponent.dim() == 0 and not exponent.is_meta else exponent)


def _gemm(attrs: Attrs, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    if attrs.get("transB", True):
        return F.linear(x, weight, bias)
    return torch.matmul(x, weight) if bias is None else torch.matmul(x, weight) + bias


def _batch_norm(
    attrs: Attrs, x: Tensor, scale: Tensor | None, bias: Tensor | None, mean: Tensor, var: Tensor
) -> Tensor:
    return F.batch_norm(x, mean, var, scale, bias, False, 0.0, attrs["epsilon"])


def _layer_norm(attrs: Attrs, x: Tensor, scale: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    return F.layer_norm(x, tuple(attrs["normalized_shape"]), scale, bias, attrs["epsilon"])


def _group_norm(attrs: Attrs, x: Tensor, scale: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    return F.group_norm(x, attrs["num_groups"], scale, bias, attrs["epsilon"])


def _instance_norm(attrs: Attrs, x: Tensor, scale: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    return F.instance_norm(x, None, None, scale, bias, True, 0.0, attrs["epsilon"])


def _prelu(attrs: Attrs, x: Tensor, slope: Tensor) -> Tensor:
    del attrs
    return F.prelu(x, slope.reshape(-1))


def _reduction(fn: Callable[..., Tensor]) -> Kernel:
    def kernel(attrs: Attrs, x: Tensor) -> Tensor:
        axes = attrs.get("axes")
        dims = tuple(range(x.dim())) if axes is None else tuple(axes)
        return fn(x, dims, keepdim=bool(attrs.get("keepdims", True)))

    return kernel


def _unary(fn: Callable[[Tensor], Tensor]) -> Kernel:
    return lambda _, x: fn(x)


def _binary(fn: Callable[[Tensor, Tensor], Tensor]) -> Kernel:
    return lambda _, x, y: fn(x, y)


KERNELS: dict[str, Kernel] = {
    **{op: _unary(fn) for op, fn in _UNARY.items()},
    **{op: _binary(fn) for op, fn in _BINARY.items()},
    **WINDOWS,
    **MOVEMENT,
    "HardSigmoid": _hard_sigmoid,
    "Gelu": lambda attrs, x: F.gelu(x, approximate=attrs.get("approximate", "none")),
    "Elu": lambda attrs, x: F.elu(x, attrs["alpha"]),
    "LeakyRelu": lambda attrs, x: F.leaky_relu(x, attrs["alpha"]),
    "Clip": _clip,
    "PRelu": _prelu,
    "Gemm": _gemm,
    "Pow": _pow,
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _instance_norm,
    "Softmax": lambda attrs, x: F.softmax(x, attrs["axis"]),
    "LogSoftmax": lambda attrs, x: F.log_softmax(x, attrs["axis"]),
    "ReduceMean": _reduction(torch.mean),
    "ReduceSum": _reduction(torch.sum),
    "ReduceMax": _reduction(torch.amax),
    "ReduceMin": _reduction(torch.amin),
    "ArgMax": lambda attrs, x: torch.argmax(x, attrs["axis"], bool(attrs.get("keepdims", True))),
    "ArgMin": lambda attrs, x: torch.argmin(x, attrs["axis"], bool(attrs.get("keepdims", True))),
}
"""Float function of every operator in :data:`qworkbench.graph.vocabulary.OPS`."""
