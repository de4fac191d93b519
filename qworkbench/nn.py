"""Modules that users put into their models: quantization stubs and the unit convolution.

In float they all are the identity. Capture recognises stubs by class name, so those of other packages work as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from qworkbench.errors import QWorkbenchError


class QuantStub(nn.Module):
    """Marks where data enters the quantized part of a model.

    Parameters
    ----------
    scale : float, optional
        Fixed quantization scale of the data (> 0), for inputs whose range is known; None leaves it to calibration.

    Raises
    ------
    QWorkbenchError
        If `scale` is not positive.
    """

    def __init__(self, scale: float | None = None) -> None:
        super().__init__()
        if scale is not None and not scale > 0:
            raise QWorkbenchError(f"scale of a QuantStub must be > 0, got {scale}; fixed scales are |threshold| / 127")
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Return `x`."""
        return x


class DeQuantStub(nn.Module):
    """Marks where data leaves the quantized part of a model."""

    def forward(self, x: Tensor) -> Tensor:
        """Return `x`."""
        return x


class FloatFunctional(nn.Module):
    """Functions as a module, so that each call carries a name the user chose: ``self.concat.cat([a, b], dim=1)``.

    Use one object for one call; sharing it makes several calls share one name (and, in training, one scale).
    """

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """Return ``x + y``."""
        return torch.add(x, y)

    def sub(self, x: Tensor, y: Tensor) -> Tensor:
        """Return ``x - y``."""
        return torch.sub(x, y)

    def mul(self, x: Tensor, y: Tensor) -> Tensor:
        """Return ``x * y``."""
        return torch.mul(x, y)

    def matmul(self, x: Tensor, y: Tensor) -> Tensor:
        """Return ``x @ y``."""
        return torch.matmul(x, y)

    def cat(self, tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
        """Return `tensors` joined along `dim`."""
        return torch.cat(list(tensors), dim)

    def add_scalar(self, x: Tensor, y: float) -> Tensor:
        """Return ``x + y`` for a number `y`."""
        return torch.add(x, y)

    def mul_scalar(self, x: Tensor, y: float) -> Tensor:
        """Return ``x * y`` for a number `y`."""
        return torch.mul(x, y)

    def add_relu(self, x: Tensor, y: Tensor) -> Tensor:
        """Return ``relu(x + y)``."""
        return torch.relu(torch.add(x, y))

    def forward(self, *_: Tensor) -> Tensor:
        """Raise: a FloatFunctional is used through its methods."""
        raise QWorkbenchError("a FloatFunctional is not called itself; use its add, sub, mul, matmul or cat")


class IdentityUnitConv(nn.Module):
    """A depthwise 1x1 convolution that returns its input.

    It changes no value and needs no training, but it is an operator that finds a quantization threshold by itself,
    which lets the data movement next to it run on the BPU.

    Parameters
    ----------
    channels : int
        Channels of the (N, C, H, W) activation.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.identity_conv = nn.Conv2d(channels, channels, 1, groups=channels, bias=False)
        nn.init.dirac_(self.identity_conv.weight.data, groups=channels)

    def check_equal(self) -> None:
        """Verify on random data that the output equals the input.

        Raises
        ------
        QWorkbenchError
            With the largest difference, if training or loading changed the weight.
        """
        data = torch.randn(1, self.channels, 8, 8, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            error = float((self(data.to(self.identity_conv.weight)) - data.to(self.identity_conv.weight)).abs().max())
        if error > 0:
            raise QWorkbenchError(
                f"the unit convolution changes its input by up to {error:.3g}; its weights must all be 1, so freeze "
                "them or initialise them again with torch.nn.init.dirac_"
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return `x`, computed by the convolution."""
        return self.identity_conv(x)  # type: ignore[no-any-return]
