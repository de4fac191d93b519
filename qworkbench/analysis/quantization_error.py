"""How well a number format fits a tensor: rounding and truncation error apart, per channel, against what is healthy.

``q = clamp(round(x / s), qmin, qmax)``: where ``round(x / s)`` lies outside ``[qmin, qmax]`` the error is truncation,
elsewhere rounding. A healthy tensor has ``rmse / s`` near ``1 / sqrt(12) = 0.29`` and, where it fills its range
evenly, an SQNR near ``6.02 b + 1.76`` dB for b bits. Knows arrays only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qworkbench.numerics.dtypes import BITS, QMAX, QMIN

HEALTHY_RMSE = 1 / math.sqrt(12)


def healthy_sqnr(dtype: str) -> float:
    """Return ``6.02 b + 1.76`` dB: 49.9 for int8, 98.1 for int16."""
    return 6.02 * BITS[dtype] + 1.76


@dataclass(frozen=True, slots=True)
class QuantizationError:
    """What quantizing one float tensor costs by itself.

    Attributes
    ----------
    rounding, truncation : float
        Root mean square over all elements of either part, in the tensor's unit.
    truncated : float
        Share of elements that are cut, 0 to 1.
    largest : float
        Largest magnitude in float.
    limit : float
        Largest magnitude that the codes reach.
    sqnr : float
        Of the whole tensor, in dB.
    channel_sqnr : float
        Median over the channels that are not all zero, in dB; the same as `sqnr` where there are no channels.
    loudest : int
        Channel with the largest magnitude, -1 where there are none.
    spread : float
        Its magnitude over the median channel's.
    """

    rounding: float
    truncation: float
    truncated: float
    largest: float
    limit: float
    sqnr: float
    channel_sqnr: float
    loudest: int
    spread: float


def quantization_error(x: np.ndarray, dtype: str, scale: np.ndarray, axis: int = 1) -> QuantizationError:
    """Return the error of quantizing `x` (float32) with `scale` ((1,) or one per entry of `axis`) to `dtype`."""
    shape = [1] * x.ndim
    if scale.size > 1:
        shape[axis] = -1
    step = scale.astype(np.float64).reshape(shape if x.ndim else ())
    exact = x.astype(np.float64)
    steps = np.rint(exact / step)
    cut = (steps > QMAX[dtype]) | (steps < QMIN[dtype])
    error = exact - np.clip(steps, QMIN[dtype], QMAX[dtype]) * step
    square = error * error
    size = max(x.size, 1)
    noise, signal = float(square.sum()), float((exact * exact).sum())
    truncation = float(square[cut].sum())
    channel, loudest, spread = _channels(exact, square)
    whole = _decibel(signal, noise)
    return QuantizationError(
        rounding=math.sqrt(max(noise - truncation, 0.0) / size),
        truncation=math.sqrt(truncation / size),
        truncated=float(cut.mean()) if x.size else 0.0,
        largest=float(np.abs(exact).max(initial=0.0)),
        limit=float(scale.max()) * QMAX[dtype],
        sqnr=whole,
        channel_sqnr=whole if math.isnan(channel) else channel,
        loudest=loudest,
        spread=spread,
    )


def _channels(x: np.ndarray, square: np.ndarray) -> tuple[float, int, float]:
    if x.ndim < 3 or x.shape[1] < 2:
        return math.nan, -1, 1.0
    axes = (0, *range(2, x.ndim))
    signal, noise, top = (x * x).sum(axes), square.sum(axes), np.abs(x).max(axes)
    live = signal > 0
    if not live.any():
        return math.nan, -1, 1.0
    each = [_decibel(float(s), float(n)) for s, n in zip(signal[live], noise[live], strict=True)]
    return float(np.median(each)), int(top.argmax()), float(top.max() / np.median(top[live]))


def _decibel(signal: float, noise: float) -> float:
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf
