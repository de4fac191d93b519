"""Operators under quantization-aware training: torch's own computation with fake quantization of weight and output.

``Conv2d``, ``ConvBNReLU2d``, ``LinearAddReLU`` ... (see :mod:`qworkbench.qat.nn.variants`) inherit torch's operator and
share its parameters. With fake quantization off they compute exactly what the float model computes.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from qworkbench.nn import FloatFunctional as Functional
from qworkbench.qat.nn.base import OwnModule, TakesAdd
from qworkbench.qat.nn.intrinsic import Fused
from qworkbench.qat.nn.variants import Variant, out_first, own_layout, variants
from qworkbench.qat.quantization.fake_quantize import FakeQuantize
from qworkbench.qat.quantization.observer import FixedScaleObserver
from qworkbench.qat.quantization.qconfig import QConfig, factory_class
from qworkbench.qat.quantization.scopes import unheard


def output_fake_quant(qconfig: QConfig) -> nn.Module | None:
    """Return the module that quantizes the output, or None for a high-precision output."""
    return None if qconfig.activation is None else qconfig.activation()


class ReadsInputs(OwnModule):
    """An operator whose inputs may have to be brought to another dtype than their producer writes."""

    input_post_process: nn.ModuleList | None
    qconfig: QConfig

    def read(self, values: Any) -> list[Any]:
        """Return the operands as the operator reads them, each through its own fake quantization."""
        if self.input_post_process is None:
            return list(values)
        rest = iter(self.input_post_process)

        def one(value: Any) -> Any:
            if isinstance(value, (list, tuple)):
                return type(value)(one(part) for part in value)
            return next(rest, nn.Identity())(value) if isinstance(value, Tensor) else value

        return [one(value) for value in values]


class QuantizedOperator(TakesAdd, ReadsInputs):
    """What every multiply-accumulate operator in training has in common; mixed in front of torch's class."""

    variant: ClassVar[Variant]
    weight: Tensor
    bias: Tensor | None
    bn: Any
    relu: nn.Module | None
    groups: int
    weight_fake_quant: nn.Module | None
    activation_post_process: nn.Module | None
    qconfig: QConfig

    @classmethod
    def from_float(cls, module: nn.Module, qconfig: QConfig) -> Any:
        """Return the operator of `module` (bare or fused) that shares its parameters."""
        conv, bn, relu = (module.conv, module.bn, module.relu) if isinstance(module, Fused) else (module, None, None)
        made: Any = cls.__new__(cls)
        nn.Module.__init__(made)
        made.__dict__.update({k: v for k, v in conv.__dict__.items() if not k.startswith("_") and k != "qconfig"})
        for private in ("_reversed_padding_repeated_twice",):
            if private in conv.__dict__:
                made.__dict__[private] = conv.__dict__[private]
        made.weight, made.bias = conv.weight, conv.bias
        made.bn, made.relu, made.qconfig = bn, relu, qconfig
        made.input_post_process = None
        made.swapped = getattr(module, "swapped", False)
        channels = made.out_first(made.weight).shape[0]
        made.weight_fake_quant = None
        if qconfig.weight is not None:
            fake = factory_class(qconfig.weight)
            size = {"channel_len": channels} if issubclass(fake, FakeQuantize) else {}
            made.weight_fake_quant = qconfig.weight(**size).to(made.weight.device)
        made.activation_post_process = output_fake_quant(qconfig)
        if made.activation_post_process is not None:
            made.activation_post_process.to(made.weight.device)
        return made

    def out_first(self, weight: Tensor) -> Tensor:
        """Return the weight with output channels on axis 0, whatever the operator's layout is."""
        return out_first(self.variant.conv, weight, getattr(self, "groups", 1))

    def own_layout(self, weight: Tensor) -> Tensor:
        """Return what :meth:`out_first` gave in the operator's layout again."""
        return own_layout(self.variant.conv, weight, getattr(self, "groups", 1))

    def quantized_weight(self) -> Tensor:
        """Return the weight as the operator uses it: fake-quantized as it will be deployed, with BN absorbed."""
        fake = self.weight_fake_quant
        if fake is None:
            return self.weight
        if self.bn is None:
            return self.own_layout(fake(self.out_first(self.weight)))
        var, gain = self.bn.running_var, self.bn.weight
        factor = torch.rsqrt(var + self.bn.eps) * (1.0 if gain is None else gain)
        factor = torch.where(factor == 0, torch.ones_like(factor), factor).detach()
        rows = self.out_first(self.weight)
        shape = (-1, *(1,) * (rows.ndim - 1))
        scaled = fake(rows * factor.reshape(shape))
        if isinstance(fake, FakeQuantize) and not fake.quantizes:
            return self.weight
        return self.own_layout(scaled / factor.reshape(shape))

    def compute(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return torch's own operator on `weight`."""
        if self.variant.conv is nn.Linear:
            return F.linear(x, weight, self.bias)
        if self.variant.conv is nn.ConvTranspose2d:
            own: Any = self
            window = (own.stride, own.padding, own.output_padding, own.groups, own.dilation)
            return F.conv_transpose2d(x, weight, self.bias, *window)
        return self._conv_forward(x, weight, self.bias)  # type: ignore[attr-defined, no-any-return]

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """Return the output; `other` is the second operand of a fused add."""
        (x,) = self.read([x])
        y = self.compute(x, self.quantized_weight())
        if self.bn is not None:
            y = self.bn(y)
        if other is not None:
            y = y + other
        if self.relu is not None:
            y = self.relu(y)
        return y if self.activation_post_process is None else self.activation_post_process(y)


OPERATORS: dict[Variant, type[Any]] = {
    v: type(
        v.name,
        (QuantizedOperator, v.conv),
        {"variant": v, "__module__": __name__, "__doc__": f"{v.name} with fake quantization."},
    )
    for v in variants(bare=True)
}
globals().update({cls.__name__: cls for cls in OPERATORS.values()})


class QuantStub(OwnModule, nn.Module):
    """Quantizes what enters; a fixed `scale` of the float stub is kept."""

    def __init__(self, qconfig: QConfig, scale: float | None = None, *, follows: bool = False) -> None:
        super().__init__()
        self.qconfig = qconfig
        self.follows = follows
        self.shared = False
        made = output_fake_quant(qconfig)
        if made is not None and scale is not None and isinstance(made, FakeQuantize):
            made = type(made)(observer=FixedScaleObserver, dtype=made.dtype, scale=scale)
        self.activation_post_process = made

    def follow(self, source: nn.Module | None) -> None:
        """Share the scale of `source`, which quantizes what this stub reads (a stub at a cut between segments)."""
        self.shared = isinstance(source, FakeQuantize)
        if self.shared:
            self.activation_post_process = source

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` on the grid of codes."""
        if self.shared or self.activation_post_process is None:
            return x
        y: Tensor = self.activation_post_process(x)
        return y


class DeQuantStub(OwnModule, nn.Module):
    """Marks where data leaves the quantized part: the identity in training."""

    def forward(self, x: Tensor) -> Tensor:
        """Return `x`."""
        return x


class FloatFunctional(ReadsInputs, nn.Module):
    """Functions of two tensors with fake quantization of their result; one object per call."""

    float_functional = True

    def __init__(self, qconfig: QConfig) -> None:
        super().__init__()
        self.qconfig = qconfig
        self.input_post_process = None
        self.activation_post_process = output_fake_quant(qconfig)

    def _run(self, method: str, *args: Any) -> Tensor:
        with unheard():
            y: Tensor = getattr(Functional, method)(self, *self.read(args))
            return y if self.activation_post_process is None else self.activation_post_process(y)

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """Return ``x + y``."""
        return self._run("add", x, y)

    def sub(self, x: Tensor, y: Tensor) -> Tensor:
        """Return ``x - y``."""
        return self._run("sub", x, y)

    def mul(self, x: Tensor, y: Tensor) -> Tensor:
        """Return ``x * y``."""
        return self._run("mul", x, y)

    def matmul(self, x: Tensor, y: Tensor) -> Tensor:
        """Return ``x @ y``."""
        return self._run("matmul", x, y)

    def cat(self, tensors: Any, dim: int = 0) -> Tensor:
        """Return `tensors` joined along `dim`."""
        return self._run("cat", tensors, dim)

    def add_scalar(self, x: Tensor, y: float) -> Tensor:
        """Return ``x + y`` for a number."""
        return self._run("add_scalar", x, y)

    def mul_scalar(self, x: Tensor, y: float) -> Tensor:
        """Return ``x * y`` for a number."""
        return self._run("mul_scalar", x, y)

    def add_relu(self, x: Tensor, y: Tensor) -> Tensor:
        """Return ``relu(x + y)``."""
        return self._run("add_relu", x, y)


class Operation(ReadsInputs, nn.Module):
    """Any other operator with fake quantization of its output: activations, average pooling, norms, reductions.

    Parameters
    ----------
    operation : Module
        The float operator, or a :class:`FunctionCall`.
    qconfig : QConfig
    """

    def __init__(self, operation: nn.Module, qconfig: QConfig) -> None:
        super().__init__()
        self.operation = operation
        self.qconfig = qconfig
        self.input_post_process = None
        self.activation_post_process = output_fake_quant(qconfig)

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the operator's output on the grid of codes."""
        y: Tensor = self.operation(*self.read(args), **kwargs)
        return y if self.activation_post_process is None else self.activation_post_process(y)


class FunctionCall(OwnModule, nn.Module):
    """A function or tensor method as a module, so that its output can be quantized under a name."""

    def __init__(self, target: Any) -> None:
        super().__init__()
        self.target = target

    @property
    def function(self) -> str:
        """Name of the function: ``sigmoid``, ``mean`` ..."""
        return self.target if isinstance(self.target, str) else str(self.target.__name__)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call it."""
        if isinstance(self.target, str):
            return getattr(args[0], self.target)(*args[1:], **kwargs)
        return self.target(*args, **kwargs)

    def extra_repr(self) -> str:
        """Return what print shows of this module."""
        return self.function
