"""Bins of magnitudes by the float's own bit pattern: |x| as float32 is ordered like its bits.

Of a tensor the upper 15 bits (8 exponent, 7 mantissa) index 32,768 bins of 0.8 % relative width over the whole range;
of a channel there are 512, between 2**-20 and 2**12. Knows neither who counts nor what follows from the counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BINS = 1 << 15
SHIFT = 16
INFINITY_BIN = 0x7F80
CHANNEL_BINS = 512
CHANNEL_SHIFT = 19
CHANNEL_FIRST = (127 - 20) << 4  # 2**-20; 16 bins to each factor of two, up to 2**12
SPREAD = 16  # columns of a channel in front of its bins: values of the first bin count there by turns
ROW = SPREAD + CHANNEL_BINS


@dataclass(frozen=True, slots=True)
class Bins:
    """Occupied bins of magnitudes, ascending: edges `low` and `high`, `counts` (all float64), and the maximum."""

    low: np.ndarray
    high: np.ndarray
    counts: np.ndarray
    top: float


def channel_table(before: np.ndarray | None, channels: int, dtype: np.dtype) -> np.ndarray:
    """Return a table of counts per channel in `dtype`: the one `before`, or an empty one."""
    return np.zeros((channels, ROW), dtype) if before is None else before.astype(dtype, copy=False)


def occupied(counts: np.ndarray, pattern: np.ndarray, top: float) -> Bins:
    """Return the bins that hold anything; `pattern` holds the bits of their edges, `top` is the largest magnitude."""
    index = np.flatnonzero(counts)
    edges = np.minimum(pattern, 0x7F7FFFFF).astype(np.int32).view(np.float32).astype(np.float64)
    return Bins(np.minimum(edges[index], top), np.minimum(edges[index + 1], top), counts[index].astype(np.float64), top)
