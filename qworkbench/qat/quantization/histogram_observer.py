"""Observers that keep a histogram of magnitudes and search the threshold in it: percentile, KL, MSE, mix.

One histogram of |x| over ``[0, width)`` per tensor. When a batch exceeds it, the width doubles and neighbouring bins
merge, so no data has to be kept. Each method is a function of the histogram alone, hence
``HistogramObserver.reset_scale`` can change the method afterwards without data.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from qworkbench.errors import unknown_name
from qworkbench.qat.dtype import code_range
from qworkbench.qat.errors import QATError
from qworkbench.qat.quantization.observer import ObserverBase

STEPS = 100
MIX = (99.0, 99.9, 99.99, 99.999, 100.0)


class HistogramObserver(ObserverBase):
    """A histogram of magnitudes.

    Parameters
    ----------
    dtype, ch_axis, averaging_constant, channel_len
        As in :class:`ObserverBase`.
    method : "percentile" | "kl" | "mse" | "mix" | "min_max"
        How the threshold is read off.
    percentile : float
        In (0, 100], for ``percentile``.
    bins : int
        Even, >= 128.
    """

    method = "mse"
    counts: Tensor
    width: Tensor

    def __init__(
        self,
        dtype: Any = "qint8",
        ch_axis: int = -1,
        averaging_constant: float = 0.01,
        channel_len: int = 1,
        *,
        method: str | None = None,
        percentile: float = 99.99,
        bins: int = 2048,
    ) -> None:
        super().__init__(dtype, ch_axis, averaging_constant, channel_len)
        self.method = _known(self.method if method is None else method)
        if not 0 < percentile <= 100 or bins < 128 or bins % 2:
            raise QATError(f"percentile is in (0, 100] and bins even and >= 128, got {percentile} and {bins}")
        self.percentile = percentile
        self.register_buffer("counts", torch.zeros(bins, dtype=torch.float64))
        self.register_buffer("width", torch.zeros(1))

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Count the magnitudes of `x` and return it."""
        values = x.detach().float()
        if not values.numel():
            return x
        low, high = self.extremes(values)
        self.min_val.copy_(torch.minimum(self.min_val, low))
        self.max_val.copy_(torch.maximum(self.max_val, high))
        top = float(super().threshold())
        if not top < torch.inf:
            raise QATError("a tensor becomes infinite or NaN during calibration; no scale can represent it")
        self._widen(top)
        bins = self.counts.numel()
        index = (values.abs().flatten() * (bins / float(self.width))).long().clamp_(max=bins - 1)
        self.counts += torch.bincount(index, minlength=bins).to(self.counts)
        return x

    def _widen(self, top: float) -> None:
        if not self.width:
            self.width.fill_(top if top > 0 else 1.0)
        while top > float(self.width):
            half = self.counts.reshape(-1, 2).sum(1)
            self.counts.zero_()
            self.counts[: half.numel()] = half
            self.width.mul_(2)

    def threshold(self) -> Tensor:
        """Return the threshold by `method`, at most the largest magnitude seen."""
        return self.threshold_by(self.method, self.percentile)

    def threshold_by(self, method: str, percentile: float) -> Tensor:
        """Return the threshold by another method."""
        top = super().threshold()
        if method == "min_max" or not self.counts.any():
            return top
        edges = torch.arange(1, self.counts.numel() + 1, device=top.device) * (self.width / self.counts.numel())
        if method == "percentile":
            found = _percentile(self.counts, edges, percentile)
        elif method == "kl":
            found = _kl(self.counts, edges)
        else:
            shares = [_percentile(self.counts, edges, p) for p in MIX]
            grid = top * torch.arange(1, STEPS + 1, device=top.device) / STEPS
            found = _least_error(self.counts, edges, torch.cat(shares) if method == "mix" else grid, -self.qmin)
        return torch.minimum(found, top).float()

    @staticmethod
    def reset_scale(
        model: nn.Module,
        method: str = "percentile",
        method_kwargs: dict[str, Any] | None = None,
        dtype: Any = None,
        prefix: str = "",
    ) -> None:
        """Recompute the scales of a calibrated model by another method, without data.

        Parameters
        ----------
        model : Module
            Prepared and calibrated with a HistogramObserver.
        method : str
            As in the class.
        method_kwargs : dict, optional
            ``{"percentile": 99.9}``.
        dtype : str, optional
            Change the dtype of these activations as well.
        prefix : str
            Only modules whose name starts with it.

        Raises
        ------
        QATError
            If no module with a histogram is found.
        """
        from qworkbench.qat.quantization.fake_quantize import FakeQuantize

        found = 0
        for name, module in model.named_modules():
            if not name.startswith(prefix) or not isinstance(module, FakeQuantize):
                continue
            observer = module.activation_post_process
            if isinstance(observer, HistogramObserver) and observer.observed:
                observer.method = _known(method)
                observer.percentile = float((method_kwargs or {}).get("percentile", observer.percentile))
                if dtype is not None:
                    module.set_dtype(dtype)
                module.scale.copy_(observer.calculate_qparams())
                found += 1
        if not found:
            raise QATError(f"no calibrated HistogramObserver below {prefix!r}; calibrate with one first")


class PercentileObserver(HistogramObserver):
    """Threshold below which `percentile` percent of the magnitudes lie."""

    method = "percentile"


class KLObserver(HistogramObserver):
    """Threshold whose 128-level histogram diverges least from the full one."""

    method = "kl"


class MSEObserver(HistogramObserver):
    """Threshold of the least squared error among 100 steps up to the maximum."""

    method = "mse"


class MixObserver(HistogramObserver):
    """The best, by squared error, of several percentiles."""

    method = "mix"


def _known(method: str) -> str:
    methods = ("percentile", "kl", "mse", "mix", "min_max")
    if method not in methods:
        raise unknown_name("calibration method", method, methods)
    return method


def _percentile(counts: Tensor, edges: Tensor, percentile: float) -> Tensor:
    running = torch.cumsum(counts, 0)
    wanted = running[-1] * (percentile / 100)
    return edges[torch.searchsorted(running, wanted.reshape(1)).clamp(max=counts.numel() - 1)]


def _least_error(counts: Tensor, edges: Tensor, candidates: Tensor, steps: int) -> Tensor:
    """Return the candidate threshold with the least squared error of the bins' centres."""
    centre = (edges - edges[0] / 2).double()
    scale = (candidates.double() / steps).clamp(min=1e-30)[:, None]
    drawn = torch.round(centre / scale).clamp(max=steps - 1) * scale
    error = ((drawn - centre) ** 2 * counts).sum(1)
    return candidates[error.argmin()].reshape(1)


def _kl(counts: Tensor, edges: Tensor) -> Tensor:
    """Return the threshold whose 128-level form has the least Kullback-Leibler divergence from the clipped counts."""
    levels = code_range("qint8")[1] + 1
    best, answer = torch.inf, edges[-1:]
    for stop in range(levels, counts.numel() + 1, max(1, (counts.numel() - levels) // STEPS)):
        clipped = counts[:stop].clone()
        clipped[-1] += counts[stop:].sum()
        group = torch.arange(stop, device=counts.device) * levels // stop
        sums = torch.zeros(levels, dtype=counts.dtype, device=counts.device)
        filled = (counts[:stop] > 0).to(counts.dtype)
        total = sums.index_add(0, group, counts[:stop])
        members = sums.index_add(0, group, filled)
        drawn = filled * (total / members.clamp(min=1))[group]
        p, q = clipped / clipped.sum(), drawn / drawn.sum().clamp(min=1e-30)
        used = p > 0
        divergence = float((p[used] * torch.log(p[used] / q[used].clamp(min=1e-12))).sum())
        if divergence < best:
            best, answer = divergence, edges[stop - 1 : stop]
    return answer
