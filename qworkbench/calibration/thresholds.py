"""Thresholds read off a histogram: percentile, least squared error, least divergence; plain functions of bins.

No data is touched and no other state is read, so a change of method answers at once.
"""

from __future__ import annotations

import math

import numpy as np

from qworkbench.calibration.bins import Bins

LEVELS = 128  # magnitudes 0 ... 127 of int8
BULK = 0.99995
MSE_CANDIDATES = 160
MSE_FIRST = 0.02


def percentile(bins: Bins, fraction: float) -> float:
    """Return the magnitude below which `fraction` of the elements lie, linear inside a bin; 1.0 is the maximum."""
    if fraction >= 1.0 or bins.counts.size == 0:
        return bins.top
    running = np.cumsum(bins.counts)
    wanted = fraction * running[-1]
    index = int(np.searchsorted(running, wanted))
    before = running[index - 1] if index else 0.0
    part = (wanted - before) / bins.counts[index]
    return float(bins.low[index] + (bins.high[index] - bins.low[index]) * part)


def least_squares(bins: Bins) -> float:
    """Return the threshold T with the least mean squared error of ``clamp(round(x / s), -127, 127) s``, s = T / 127.

    The error is integrated over each bin, in which values count as evenly spread: with bins as wide as a step of the
    quantizer, centres alone would tell nothing. Searched over 160 fractions of the maximum, then between neighbours.
    """
    if bins.top <= 0:
        return 0.0
    from qworkbench.calibration.squared_error import squared_errors

    grid = np.geomspace(MSE_FIRST, 1.0, MSE_CANDIDATES) * bins.top
    best = int(np.argmin(squared_errors(bins.low, bins.high, bins.counts, grid, LEVELS - 1)))
    fine = np.linspace(grid[max(best - 1, 0)], grid[min(best + 1, grid.size - 1)], 15)
    return float(fine[int(np.argmin(squared_errors(bins.low, bins.high, bins.counts, fine, LEVELS - 1)))])


def least_divergence(bins: Bins, num_bin: int = 1024, max_num_bin: int = 16384) -> float:
    """Return the threshold with the least Kullback-Leibler divergence between values and their int8 form.

    Parameters
    ----------
    bins : Bins
        Zeros are left out: they are exact under every threshold, and after a ReLU they would outvote the rest.
    num_bin, max_num_bin : int
        Linear bins. The vendor's logs print ``num_bin=1024,max_num_bin=16384`` and not what lies between; here
        `num_bin` bins cover 0.99995 of the elements, and as many more as reach the maximum follow, up to `max_num_bin`,
        so that a few outliers do not make the bins of all others coarse.

    Returns
    -------
    float
        The upper edge of a linear bin.
    """
    from qworkbench.calibration.divergence import best_bin

    if bins.top <= 0:
        return 0.0
    real = bins.high > np.finfo(np.float32).tiny
    bins = Bins(bins.low[real], bins.high[real], bins.counts[real], bins.top)
    if not bins.counts.size:
        return bins.top
    number = _number(bins, num_bin, max_num_bin)
    best = best_bin(linear(bins, number), LEVELS, max(1, number // 1024))
    return float(min(best * bins.top / number, bins.top))


def least_entropy(positive: Bins, negative: Bins, num_bin: int = 1024, max_num_bin: int = 16384) -> float:
    """Return the threshold that ONNX Runtime's entropy calibrator takes on the same histogram.

    Parameters
    ----------
    positive, negative : Bins
        Magnitudes of the values >= 0 and < 0.
    num_bin, max_num_bin : int
        Linear bins of a magnitude, as for :func:`least_divergence`; the histogram has one in the middle and as many on
        either side.

    Returns
    -------
    float
        The upper edge of a linear bin.
    """
    from qworkbench.calibration.entropy import entropy_bin

    histogram = signed(positive, negative, num_bin, max_num_bin)
    top = max(positive.top, negative.top)
    return top * (2 * entropy_bin(histogram) + 1) / histogram.size if histogram.any() else top


def signed(positive: Bins, negative: Bins, num_bin: int = 1024, max_num_bin: int = 16384) -> np.ndarray:
    """Return whole counts in an odd number of equal bins around zero, up to the largest magnitude."""
    top = max(positive.top, negative.top)
    if top <= 0:
        return np.zeros(2 * num_bin + 1)
    larger = positive if positive.top >= negative.top else negative
    number = _number(larger, num_bin, max_num_bin)
    at = np.concatenate(([0.0], np.arange(0.5, number + 1))) * top / (number + 0.5)
    above, below = np.diff(np.rint(_running(positive, at))), np.diff(np.rint(_running(negative, at)))
    return np.concatenate((below[:0:-1], above[:1] + below[:1], above[1:]))


def _number(bins: Bins, num_bin: int, max_num_bin: int) -> int:
    bulk = percentile(bins, BULK)
    return min(max_num_bin, max(num_bin, math.ceil(num_bin * bins.top / bulk))) if bulk > 0 else max_num_bin


def linear(bins: Bins, number: int) -> np.ndarray:
    """Return the counts in `number` equal bins from 0 to the maximum; a bin's values count as evenly spread."""
    return np.asarray(np.diff(_running(bins, np.linspace(0.0, bins.top, number + 1))))


def _running(bins: Bins, at: np.ndarray) -> np.ndarray:
    """Return how many values lie below each of `at`, which starts at 0; what lies at the last one is below it, too."""
    if not bins.counts.size:
        return np.zeros(at.size)
    edges = np.empty(2 * bins.counts.size)
    edges[0::2], edges[1::2] = bins.low, bins.high
    running = np.zeros(2 * bins.counts.size)
    total = np.cumsum(bins.counts)
    running[0::2], running[1::2] = np.concatenate(([0.0], total[:-1])), total
    # bins of one single value have no width, and an upper edge at 0.0 must still count its zeros
    found = np.interp(at, edges, running)
    found[0], found[at >= bins.top] = 0.0, total[-1]
    return np.asarray(found)
