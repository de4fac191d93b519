"""Softmax and layer normalisation as the hardware runs them: a chain of operators, each with a scale of its own.

In training every piece is fake-quantized; ``convert_fx`` turns each into integers, so that nothing of the chain is left
in float. Inner tensors are int16 where the march has it, the exponential has the fixed scale 1 / 32768 (1 / 128 in
int8); names of the pieces follow the documents where these print them (``norm.var_mean.pre_mean``,
``norm.weight_mul``). With nothing to quantize the float operator itself computes, bit for bit.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from qworkbench.qat.dtype import code_range
from qworkbench.qat.march import has_dtype
from qworkbench.qat.nn.base import OwnModule
from qworkbench.qat.nn.qat import FloatFunctional, FunctionCall, Operation
from qworkbench.qat.qtensor import QTensor
from qworkbench.qat.quantization.fake_quantize import FakeQuantize
from qworkbench.qat.quantization.observer import FixedScaleObserver
from qworkbench.qat.quantization.qconfig import QConfig, factory_class


class Composed(OwnModule, nn.Module):
    """Base: pieces that quantize, and the float operator that they stand for.

    Parameters
    ----------
    operation : Module
        The float operator, or a :class:`FunctionCall`.
    qconfig : QConfig
        Of the output; the pieces inside derive theirs.
    """

    def __init__(self, operation: nn.Module, qconfig: QConfig) -> None:
        super().__init__()
        self.operation = operation
        self.qconfig = qconfig

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return the operator's output, piece by piece where anything is quantized."""
        if isinstance(x, QTensor) or not self._idle():
            return self.pieces(x, *args, **kwargs)
        if any(bool(fake.observer_enabled) for fake in self._fakes()):
            with torch.no_grad():
                self.pieces(x, *args, **kwargs)
        y: Tensor = self.operation(x, *args, **kwargs)
        return y

    def pieces(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return the output, computed by the pieces."""
        raise NotImplementedError

    def _fakes(self) -> Iterator[FakeQuantize]:
        return (module for module in self.modules() if isinstance(module, FakeQuantize))

    def _idle(self) -> bool:
        """Tell whether the pieces are in training and none of them quantizes now."""
        fakes = list(self._fakes())
        return bool(fakes) and not any(fake.quantizes for fake in fakes)


def wide(qconfig: QConfig) -> QConfig:
    """Return `qconfig` for a tensor inside: int16 where the march has it."""
    dtype = "qint16" if has_dtype("qint16") else "qint8"
    assert qconfig.activation is not None
    return QConfig(functools.partial(qconfig.activation, dtype=dtype))


def fixed(qconfig: QConfig, top: float) -> QConfig:
    """Return `qconfig` for a tensor inside with the known largest magnitude `top`."""
    dtype = "qint16" if has_dtype("qint16") else "qint8"
    assert qconfig.activation is not None
    kind = factory_class(qconfig.activation)
    scale = top / -code_range(dtype)[0]
    return QConfig(functools.partial(kind, observer=FixedScaleObserver, dtype=dtype, scale=scale))


class Softmax(Composed):
    """``exp(x - max) * reciprocal(sum(exp(x - max)))`` along one axis."""

    def __init__(self, operation: nn.Module, qconfig: QConfig) -> None:
        super().__init__(operation, qconfig)
        inside = wide(qconfig)
        self.sub = FloatFunctional(inside)
        self.exp = Operation(FunctionCall(torch.exp), fixed(qconfig, 1.0))
        self.sum = Operation(FunctionCall(torch.sum), inside)
        self.reciprocal = Operation(FunctionCall(torch.reciprocal), inside)
        self.mul = FloatFunctional(qconfig)

    def pieces(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return the softmax of `x`; `dim` is the module's, or the call's."""
        dim = getattr(self.operation, "dim", None)
        if dim is None:
            dim = kwargs["dim"] if "dim" in kwargs else args[0]
        powers = self.exp(self.sub.sub(x, x.amax(dim, keepdim=True)))
        total = self.sum(powers, dim, keepdim=True)
        return self.mul.mul(powers, self.reciprocal(total))


class VarMean(OwnModule, nn.Module):
    """Deviation from the mean, and variance, over the last axes."""

    def __init__(self, qconfig: QConfig) -> None:
        super().__init__()
        self.pre_mean = Operation(FunctionCall(torch.mean), qconfig)
        self.diff = FloatFunctional(qconfig)
        self.square = FloatFunctional(qconfig)
        self.mean = Operation(FunctionCall(torch.mean), qconfig)

    def forward(self, x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Return ``x - mean`` and the mean of its square."""
        diff = self.diff.sub(x, self.pre_mean(x, axes, keepdim=True))
        return diff, self.mean(self.square.mul(diff, diff), axes, keepdim=True)


class LayerNorm(Composed):
    """``(x - mean) * rsqrt(var + eps) * weight + bias`` over the last axes."""

    def __init__(self, operation: nn.LayerNorm, qconfig: QConfig) -> None:
        super().__init__(operation, qconfig)
        inside = wide(qconfig)
        self.var_mean = VarMean(inside)
        self.eps_add = FloatFunctional(inside)
        self.rsqrt = Operation(FunctionCall(torch.rsqrt), inside)
        affine, shift = operation.weight is not None, operation.bias is not None
        self.mul = FloatFunctional(inside if affine or shift else qconfig)
        self.weight_mul = FloatFunctional(inside if shift else qconfig) if affine else None
        self.bias_add = FloatFunctional(qconfig) if shift else None

    def pieces(self, x: Tensor, *_: Any, **__: Any) -> Tensor:
        """Return `x`, normalised."""
        norm: Any = self.operation
        axes = tuple(range(-len(norm.normalized_shape), 0))
        diff, var = self.var_mean(x, axes)
        y = self.mul.mul(diff, self.rsqrt(self.eps_add.add_scalar(var, norm.eps)))
        if self.weight_mul is not None:
            y = self.weight_mul.mul(y, norm.weight)
        return y if self.bias_add is None else self.bias_add.add(y, norm.bias)


def composed(module: nn.Module, qconfig: QConfig) -> Composed | None:
    """Return the chain that stands for `module`, or None where it is one operator (or its output is float)."""
    if qconfig.activation is None or not issubclass(factory_class(qconfig.activation), FakeQuantize):
        return None
    if type(module) is nn.LayerNorm:
        return LayerNorm(module, qconfig)
    named = type(module) is nn.Softmax and module.dim is not None
    if named or (isinstance(module, FunctionCall) and module.function == "softmax"):
        return Softmax(module, qconfig)
    return None
