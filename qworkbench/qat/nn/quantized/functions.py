"""Stubs, functions of two tensors, tables, pooling and reductions on codes; other ops in float between two stubs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from qworkbench.emulator import kernels
from qworkbench.emulator.cache import StepResult
from qworkbench.nn import FloatFunctional as Functional
from qworkbench.numerics.tables import build_table8, build_table16
from qworkbench.numerics.weights import constant_codes
from qworkbench.qat.codes import window
from qworkbench.qat.errors import QATError
from qworkbench.qat.nn.base import OwnModule
from qworkbench.qat.nn.qat import FunctionCall, Operation
from qworkbench.qat.nn.quantized.common import ARITHMETIC, Quantized, array_of, codes_of, float_of
from qworkbench.qat.nn.quantized.wide import is_dual, rescaled, wide_sum
from qworkbench.qat.qtensor import QTensor
from qworkbench.qat.quantization.fake_quantize import FakeQuantize
from qworkbench.qat.quantization.scopes import unheard

METHODS = ("add", "sub", "mul", "matmul", "cat", "add_scalar", "mul_scalar", "add_relu")
TABLES: tuple[type[nn.Module], ...] = (
    nn.Sigmoid, nn.SiLU, nn.Tanh, nn.GELU, nn.Hardswish, nn.Hardsigmoid, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU,
    nn.Softplus, nn.Softsign, nn.Mish, nn.LogSigmoid, nn.Tanhshrink, nn.Hardshrink, nn.Softshrink,
)  # fmt: skip
TABLE_FUNCTIONS = frozenset(
    "sigmoid silu tanh gelu hardswish hardsigmoid leaky_relu elu selu celu softplus softsign mish logsigmoid exp log "
    "sqrt rsqrt reciprocal neg abs erf sin cos tan square pow floor ceil round sign".split()
)


class QuantStub(Quantized):
    """Quantizes float data by its scale; codes of the same scale pass, others are rescaled."""

    def forward(self, x: Tensor) -> Any:
        """Return the codes of `x`."""
        if self.scale is None or self.dtype is None:
            return x
        if isinstance(x, QTensor):
            q, s = codes_of(x, self.owner)
            if s == self.out_scale and str(q.dtype) == self.dtype:
                return x
            return self.result(kernels.requantize(q, self.requantize(self.ratio(s))), x.device)
        array = np.ascontiguousarray(x.detach().cpu().numpy(), np.float32)
        return self.result(kernels.quantize(array, self.out_scale, self.dtype, ARITHMETIC.rounding), x.device)


class Cast(OwnModule, nn.Module):
    """Brings what an operator reads to float of some precision."""

    def __init__(self, cast: nn.Module) -> None:
        super().__init__()
        self.cast = cast

    def forward(self, x: Any) -> Any:
        """Return `x` dequantized and cast."""
        return self.cast(float_of(x))


def brings(step: nn.Module, owner: str) -> nn.Module:
    """Return the deployed form of what brings an input to another dtype."""
    if isinstance(step, FakeQuantize):
        return QuantStub(step, f"an input of {owner}")
    return step if isinstance(step, nn.Identity) else Cast(step)


class DeQuantStub(Quantized):
    """Brings codes to float; float passes."""

    def __init__(self) -> None:
        super().__init__(None, "dequant")

    def forward(self, x: Tensor) -> Tensor:
        """Return the numbers that `x` stands for."""
        return x.dequantize() if isinstance(x, QTensor) else x


class FloatFunctional(Quantized):
    """Functions of two tensors on codes: each operand keeps its own scale, one rounding at the end."""

    float_functional = True

    def operand(self, x: Any, dtype: str | None = None) -> tuple[np.ndarray, np.float32]:
        """Return codes and scale of an operand; a constant of the model is quantized at its own maximum."""
        if isinstance(x, (nn.Parameter, int, float)):
            real = x.detach().cpu().numpy() if isinstance(x, nn.Parameter) else x
            return constant_codes(np.asarray(real, np.float32), dtype or str(self.dtype))
        return codes_of(x, self.owner)

    def add(self, x: Any, y: Any) -> Any:
        """Return ``clamp(round(a * s_a / s + b * s_b / s))``."""
        return self._sum(kernels.add, x, y)

    def sub(self, x: Any, y: Any) -> Any:
        """Return ``clamp(round(a * s_a / s - b * s_b / s))``."""
        return self._sum(kernels.sub, x, y)

    def add_relu(self, x: Any, y: Any) -> Any:
        """Return the sum, at least 0."""
        return self._sum(kernels.add, x, y, low=0)

    def _sum(self, kernel: Any, x: Any, y: Any, low: int | None = None) -> Any:
        x, y = self.read(x, y)
        (a, s_a), (b, s_b) = self.operand(x), self.operand(y)
        rescale = self.requantize(1.0, low)
        device = x.device if isinstance(x, Tensor) else y.device
        return self.result(kernel(a, b, self.ratio(s_a), self.ratio(s_b), rescale), device)

    def mul(self, x: Any, y: Any) -> Any:
        """Return ``clamp(round(a * b * s_a * s_b / s))``."""
        x, y = self.read(x, y)
        (a, s_a), (b, s_b) = self.operand(x), self.operand(y)
        return self.result(kernels.mul(a, b, self.requantize(self._product(s_a, s_b))), x.device)

    def matmul(self, x: Any, y: Any) -> Any:
        """Return ``clamp(round(sum(a * b) * s_a * s_b / s))``."""
        x, y = self.read(x, y)
        (a, s_a), (b, s_b) = self.operand(x, "int8"), self.operand(y, "int8")
        if a.ndim < 2 or b.ndim < 2:
            raise QATError(f"{self.owner!r} multiplies shapes {a.shape} and {b.shape}; both need two axes or more")
        if is_dual(a, b):
            codes = rescaled(wide_sum("matmul", [a, b]), self.requantize(self._product(s_a, s_b)), 1)
            return self.result(codes, x.device)
        found, overflow = kernels.matmul(a, b, self.requantize(self._product(s_a, s_b)))
        return self.result(array_of(StepResult((found,), overflow), self.owner), x.device)

    def cat(self, tensors: Any, dim: int = 0) -> Any:
        """Return the operands, each brought to the output's scale, joined along `dim`."""
        parts = []
        for x in self.read(*tensors):
            if isinstance(x, nn.Parameter):
                array = x.detach().cpu().numpy().astype(np.float32)
                parts.append(constant_codes(array, str(self.dtype), self.out_scale)[0])
                continue
            q, s = codes_of(x, self.owner)
            same = s == self.out_scale and str(q.dtype) == self.dtype
            parts.append(q if same else kernels.requantize(q, self.requantize(self.ratio(s))))
        return self.result(np.concatenate(parts, axis=dim), tensors[0].device)

    def add_scalar(self, x: Any, y: float) -> Any:
        """Return ``clamp(round(a * s_a / s + b * s_b / s))``; `y` is a constant of one code."""
        return self.add(x, y)

    def mul_scalar(self, x: Any, y: float) -> Any:
        """Return ``clamp(round(a * b * s_a * s_b / s))``; `y` is a constant of one code."""
        return self.mul(x, y)

    def _product(self, s_a: np.float32, s_b: np.float32) -> float:
        assert self.dtype is not None
        real: Any = np.float32 if ARITHMETIC.multiplier(self.dtype) == "float32" else np.float64
        return float(real(s_a) * real(s_b) / real(self.out_scale))


class CastFunctional(Quantized):
    """Functions of two tensors in float16: operands in float, the result rounded."""

    float_functional = True

    def __getattr__(self, name: str) -> Any:
        """Return the method `name` of a FloatFunctional, on floats."""
        if name not in METHODS:
            return super().__getattr__(name)

        def run(*args: Any) -> Any:
            with unheard():
                y = getattr(Functional, name)(self, *(float_of(value) for value in self.read(*args)))
                return y if self.cast is None else self.cast(y)

        return run


class Table(Quantized):
    """A function of one tensor as a table over the codes: 256 entries, or the segmented table of int16."""

    def __init__(self, source: Operation, owner: str) -> None:
        super().__init__(source.activation_post_process, owner)
        self.operation = source.operation
        self._made: tuple[Any, Any] | None = None

    def forward(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the table's entries."""
        (x,) = self.read(x)
        q, s = codes_of(x, self.owner)
        assert self.dtype is not None
        if q.dtype == np.int16 and self.dtype != "int16":
            raise QATError(f"{self.owner!r} reads int16 and writes {self.dtype}; an int16 table writes int16")
        key = (str(q.dtype), float(s), float(self.out_scale), repr(args), repr(kwargs))
        if self._made is None or self._made[0] != key:
            self._made = (key, self._table(key, args, kwargs))
        run = kernels.lut if q.dtype == np.int8 else kernels.lut16
        return self.result(run(q, self._made[1]), x.device)

    @torch.no_grad()
    def _table(self, key: Any, args: Any, kwargs: Any) -> Any:
        def function(values: np.ndarray) -> np.ndarray:
            return np.asarray(self.operation(torch.from_numpy(values), *args, **kwargs).numpy())

        dtype, s_in, s_out, *_ = key
        if dtype == "int8":
            return build_table8(function, s_in, s_out, str(self.dtype), ARITHMETIC.rounding)
        return build_table16(function, s_in, s_out, ARITHMETIC.rounding)


class AveragePool(Quantized):
    """Average pooling, means and sums: integer sums, one rescale."""

    def __init__(self, source: Operation, owner: str) -> None:
        super().__init__(source.activation_post_process, owner)
        self.operation = source.operation

    def forward(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the rescaled sums."""
        (x,) = self.read(x)
        q, s = codes_of(x, self.owner)
        rescale = self.requantize(self.ratio(s))
        op = self.operation
        if isinstance(op, nn.AvgPool2d):
            geometry = window(op.kernel_size, op.stride, op.padding)
            found = kernels.average_pool2d(q, geometry, bool(op.ceil_mode), bool(op.count_include_pad), rescale)
        elif isinstance(op, nn.AdaptiveAvgPool2d):
            found = kernels.global_average_pool(q, rescale)
        else:
            axes, keepdims = mean_axes(q.ndim, *args, **kwargs)
            reduce = kernels.reduce_sum if getattr(op, "function", "") == "sum" else kernels.reduce_mean
            found = reduce(q, axes, keepdims, rescale)
        return self.result(found, x.device)


def mean_axes(ndim: int, dim: Any = None, keepdim: bool = False, **_: Any) -> tuple[tuple[int, ...], bool]:
    """Return the axes of ``torch.mean(x, dim, keepdim)``, none negative."""
    dims = range(ndim) if dim is None else dim if isinstance(dim, (tuple, list)) else (dim,)
    return tuple(int(d) % ndim for d in dims), bool(keepdim)


class FloatOperation(Quantized):
    """An op without an integer form: dequantize, float, quantize, as the CPU does it beside the BPU."""

    def __init__(self, source: Operation, owner: str) -> None:
        super().__init__(source.activation_post_process, owner)
        self.operation = source.operation

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return the float result, quantized where the op has a scale."""
        y = self.operation(*(float_of(arg) for arg in self.read(*args)), **{k: float_of(v) for k, v in kwargs.items()})
        if self.scale is None or self.dtype is None:
            return y if self.cast is None else self.cast(y)
        array = np.ascontiguousarray(y.detach().cpu().numpy(), np.float32)
        return self.result(kernels.quantize(array, self.out_scale, self.dtype, ARITHMETIC.rounding), y.device)


def operation(source: Operation, owner: str) -> Quantized:
    """Return the integer module of an :class:`Operation`, or its float form between two rescales."""
    if not has_integer_form(source):
        return FloatOperation(source, owner)
    return AveragePool(source, owner) if _averages(source.operation) else Table(source, owner)


def has_integer_form(source: Operation) -> bool:
    """Tell whether `source` becomes integers; the rest is float between two rescales."""
    op = getattr(source, "operation", None)
    if (
        not isinstance(op, nn.Module)
        or source.activation_post_process is None
        or not hasattr(source.activation_post_process, "observer")
    ):
        return False
    return type(op) in TABLES or (isinstance(op, FunctionCall) and op.function in TABLE_FUNCTIONS) or _averages(op)


def _averages(op: nn.Module) -> bool:
    if isinstance(op, nn.AvgPool2d):
        return op.divisor_override is None
    if isinstance(op, nn.AdaptiveAvgPool2d):
        return op.output_size in (1, (1, 1), [1, 1])
    return isinstance(op, FunctionCall) and op.function in ("mean", "sum")
