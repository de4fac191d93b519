"""Observers: what range of values a tensor had, and the symmetric scale that follows.

Activations: ``scale = T / 128`` (int16: ``T / 32768``), the rule of the training API, where a fixed scale is the
threshold over ``-qmin``. Weights (per channel): ``scale = T / 127``, so that no weight is cut off, as the emulator does
with weights. All state is in buffers of fixed shape, updated in place, as DataParallel and state_dict
need it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from qworkbench.qat.dtype import code_range, dtype_name
from qworkbench.qat.errors import QATError

SMALLEST = float(torch.finfo(torch.float32).eps)


class with_args:  # noqa: N801 (the public name of the pattern)
    """``Class.with_args(**kwargs)``: the class with some arguments already given, as qconfigs hold it."""

    def __get__(self, _: object, owner: type) -> Callable[..., functools.partial[Any]]:
        return functools.partial(functools.partial, owner)


class ObserverBase(nn.Module):
    """Base of the observers.

    Parameters
    ----------
    dtype : str or torch.dtype
        ``"qint8"`` or ``"qint16"``.
    ch_axis : int
        Channel axis where there is one scale per channel; ignored by per-tensor observers.
    averaging_constant : float
        Weight of a new batch in the moving average, 0..1. 0 keeps what the first batch gave; 1 follows the last batch.
    channel_len : int
        Number of channels of a per-channel observer.
    """

    per_channel = False
    min_val: Tensor
    max_val: Tensor
    with_args = with_args()

    def __init__(
        self, dtype: Any = "qint8", ch_axis: int = -1, averaging_constant: float = 0.01, channel_len: int = 1
    ) -> None:
        super().__init__()
        if not 0.0 <= averaging_constant <= 1.0:
            raise QATError(f"averaging_constant must be in 0..1, got {averaging_constant}; the default is 0.01")
        self.dtype = dtype_name(dtype)
        self.qmin, self.qmax = code_range(self.dtype)
        self.ch_axis = ch_axis if self.per_channel else -1
        self.averaging_constant = averaging_constant
        size = channel_len if self.per_channel else 1
        self.register_buffer("min_val", torch.full((size,), torch.inf))
        self.register_buffer("max_val", torch.full((size,), -torch.inf))

    @property
    def observed(self) -> bool:
        """Tell whether data was seen."""
        return bool(torch.isfinite(self.min_val).all())

    def extremes(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return smallest and largest value of `x`, (1,) or (channels,)."""
        if not self.per_channel:
            low, high = torch.aminmax(x)
            return low.reshape(1), high.reshape(1)
        rows = x.transpose(0, self.ch_axis).flatten(1)
        found = torch.aminmax(rows, dim=1)
        return found.min, found.max

    def update(self, low: Tensor, high: Tensor) -> None:
        """Take `low` and `high` into the moving average, in place."""
        first = torch.isinf(self.min_val)
        c = self.averaging_constant
        for held, new in ((self.min_val, low), (self.max_val, high)):
            held.copy_(torch.where(first, new.to(held.dtype), held + c * (new.to(held.dtype) - held)))

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Observe `x` and return it."""
        if x.numel():
            self.update(*self.extremes(x.detach().float()))
        return x

    def threshold(self) -> Tensor:
        """Return the largest magnitude to represent."""
        return torch.maximum(self.min_val.abs(), self.max_val.abs())

    def calculate_qparams(self) -> Tensor:
        """Return the scale, float32, (1,) or (channels,)."""
        steps = self.qmax if self.per_channel else -self.qmin
        top = self.threshold()
        return torch.where(top > 0, (top / steps).clamp(min=SMALLEST), torch.ones_like(top))

    def extra_repr(self) -> str:
        """Return what print shows of this module."""
        return f"dtype={self.dtype}, averaging_constant={self.averaging_constant}"


class MovingAveragePerTensorMinMaxObserver(ObserverBase):
    """Moving average of the smallest and largest value."""


class MovingAveragePerChannelMinMaxObserver(ObserverBase):
    """Moving average of the smallest and largest value of each channel."""

    per_channel = True


class MinMaxObserver(ObserverBase):
    """Smallest and largest value of everything seen; `averaging_constant` has no meaning here."""

    def update(self, low: Tensor, high: Tensor) -> None:
        """Widen the range to `low` and `high`."""
        self.min_val.copy_(torch.minimum(self.min_val, low.to(self.min_val.dtype)))
        self.max_val.copy_(torch.maximum(self.max_val, high.to(self.max_val.dtype)))


class PerChannelMinMaxObserver(MinMaxObserver):
    """Smallest and largest value of each channel over everything seen."""

    per_channel = True


class ClipObserver(ObserverBase):
    """Moving average of the smallest and largest value, cut to a range that the user knows.

    Parameters
    ----------
    xmin, xmax : float
        What lies outside does not count; ``xmin < xmax``.
    """

    def __init__(self, dtype: Any = "qint8", xmin: float = -1.0, xmax: float = 1.0, **kwargs: Any) -> None:
        super().__init__(dtype, **kwargs)
        if not xmin < xmax:
            raise QATError(f"a clip range needs xmin < xmax, got {xmin} and {xmax}")
        self.xmin, self.xmax = float(xmin), float(xmax)

    def extremes(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return smallest and largest value of `x`, cut to the range."""
        low, high = super().extremes(x)
        return low.clamp(self.xmin, self.xmax), high.clamp(self.xmin, self.xmax)


class ClipStdObserver(ObserverBase):
    """Moving average of ``mean - k std`` and ``mean + k std``, but never wider than what was seen.

    Parameters
    ----------
    std_scale : float
        k, > 0.
    """

    def __init__(self, dtype: Any = "qint8", std_scale: float = 2.0, **kwargs: Any) -> None:
        super().__init__(dtype, **kwargs)
        if not std_scale > 0:
            raise QATError(f"std_scale must be > 0, got {std_scale}; the default is 2")
        self.std_scale = float(std_scale)

    def extremes(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the range of `x` within `std_scale` standard deviations of its mean."""
        low, high = super().extremes(x)
        mean, reach = x.mean().reshape(1), x.std(unbiased=False).reshape(1) * self.std_scale
        return torch.maximum(low, mean - reach), torch.minimum(high, mean + reach)


class FixedScaleObserver(ObserverBase):
    """A scale that the user knows, for tensors of known range; observes nothing.

    Parameters
    ----------
    scale : float
        > 0: largest magnitude over 128 (int16: 32768).
    """

    def __init__(self, dtype: Any = "qint8", scale: float = 1.0, **kwargs: Any) -> None:
        super().__init__(dtype, **kwargs)
        if not scale > 0:
            raise QATError(f"a fixed scale must be > 0, got {scale}; it is the largest |value| / {-self.qmin}")
        self.scale = float(scale)
        self.min_val.fill_(self.qmin * self.scale)
        self.max_val.fill_(-self.qmin * self.scale)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x`."""
        return x

    def calculate_qparams(self) -> Tensor:
        """Return the fixed scale."""
        return torch.full_like(self.min_val, self.scale)
