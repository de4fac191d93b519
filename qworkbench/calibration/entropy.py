"""The clipping bin that ONNX Runtime's entropy calibrator chooses on a histogram, in numba; imported on first use.

Its recipe differs from :mod:`qworkbench.calibration.divergence`: the histogram has both signs, and zeros count;
groups have as many whole bins as fit, and the counts that are left over go to the last one without its becoming wider;
a group's mean, spread over all its bins, is rounded down. On few samples or many bins the rounding costs much, which is
why this is a method beside ``kl``, not in its place.

Since the merged distribution is constant on each group, running sums give a candidate in one step per group.
"""

from __future__ import annotations

import numba
import numpy as np

SMOOTHING = 1e-4
GROUPS = 128
COMPARED, ROUNDING = 256, 1e-6
_SMALL = 1e-3


def entropy_bin(histogram: np.ndarray, groups: int = GROUPS) -> int:
    """Return how many bins to keep on either side of the middle one; all where no choice has a finite divergence.

    ONNX Runtime computes in float32, where neighbours often differ by rounding alone; so those that lie as close to the
    least are computed once more as it does.

    Parameters
    ----------
    histogram : numpy.ndarray
        float64, whole counts in equal bins around zero; an odd number of bins.
    groups : int
        Quantized bins over both signs: ONNX Runtime's ``num_quantized_bins``.
    """
    found = divergences(histogram, groups)
    if not np.isfinite(found).any():
        return histogram.size // 2
    order = np.argsort(found, kind="stable")[:COMPARED]
    close = np.sort(order[found[order] <= found[order[0]] + ROUNDING])
    if len(close) < 2:
        return int(order[0])
    middle = histogram.size // 2
    cut = [_in_float32(histogram, middle - keep, middle + keep + 1, groups) for keep in close]
    return int(close[int(np.argmin(cut))])


def _in_float32(histogram: np.ndarray, low: int, high: int, groups: int) -> float:
    p = histogram[low:high].copy()
    p[0] += histogram[:low].sum()
    p[-1] += histogram[high:].sum()
    size = (high - low) // groups
    inside = slice(low, low + groups * size)
    held = histogram[inside].reshape(groups, size).sum(axis=1)
    held[-1] += histogram[inside.stop : high].sum()
    places = (p[: groups * size] != 0).reshape(groups, size).sum(axis=1)
    q = np.zeros_like(p)
    q[: groups * size] = np.repeat(np.floor(held / np.maximum(places, 1)) * (places > 0), size)
    p, q = _smooth(p), _smooth(q)
    p, q = p / p.sum(), q / q.sum()
    return float((p * np.log(p / q)).sum())


def _smooth(counts: np.ndarray) -> np.ndarray:
    empty = (counts == 0).astype(np.float32)
    less = SMOOTHING * empty.sum() / (1 - empty).sum()
    return np.asarray(counts.astype(np.float32) + (SMOOTHING * empty - less * (1 - empty)), np.float32)


@numba.njit(cache=True, nogil=True)
def divergences(histogram: np.ndarray, groups: int) -> np.ndarray:
    """Return the divergence of every candidate by the bins that it keeps; infinity where there is none."""
    n, middle = histogram.size, histogram.size // 2
    mass, occupied = np.zeros(n + 1), np.zeros(n + 1, np.int64)
    moments = np.zeros((3, n + 1))  # sums of c log c, log c and 1 / c
    for i in range(n):
        count = histogram[i]
        full = count > 0
        mass[i + 1], occupied[i + 1] = mass[i] + count, occupied[i] + full
        log = np.log(count) if full else 0.0
        moments[0, i + 1] = moments[0, i] + count * log
        moments[1, i + 1] = moments[1, i] + log
        moments[2, i + 1] = moments[2, i] + (1 / count if full else 0.0)
    found = np.full(middle + 1, np.inf)
    for keep in range(groups // 2, middle + 1):
        low, high = middle - keep, min(middle + keep + 1, n)
        found[keep] = _divergence(histogram, mass, occupied, moments, low, high, groups)
    return found


@numba.njit(cache=True, nogil=True)
def _divergence(
    histogram: np.ndarray,
    mass: np.ndarray,
    occupied: np.ndarray,
    moments: np.ndarray,
    low: int,
    high: int,
    groups: int,
) -> float:
    n, total = high - low, mass[-1]
    first, last = histogram[low] + mass[low], histogram[high - 1] + total - mass[high]
    full = occupied[high - 1] - occupied[low + 1] + (first > 0) + (last > 0)
    if full == 0:
        return np.inf
    less = SMOOTHING * (n - full) / full
    if less >= 1:
        return np.inf
    found = (n - full) * SMOOTHING * np.log(SMOOTHING)
    for end in (first, last):
        found += (end - less) * np.log(end - less) if end > 0 else 0.0
    found += _own(histogram, occupied, moments, low + 1, high - 1, less)

    size = n // groups
    means = np.empty(groups)
    filled, sum_q = 0, 0.0
    for group in range(groups):
        start = low + group * size
        end = start + size
        places = occupied[end] - occupied[start]
        places += (start == low and first > 0 and histogram[low] == 0) + (
            end == high and last > 0 and histogram[high - 1] == 0
        )
        held = mass[high if group == groups - 1 else end] - mass[start]
        means[group] = np.floor(held / places) if places else 0.0
        filled += size if means[group] > 0 else 0
        sum_q += means[group] * size
    if filled == 0:
        return np.inf
    less_q = SMOOTHING * (n - filled) / filled
    if less_q >= 1:
        return np.inf
    rest = total
    for group in range(groups):
        if means[group] > 0:
            start = low + group * size
            end = start + size
            inner = mass[end] - mass[start]
            places = occupied[end] - occupied[start]
            if start == low:
                inner += mass[low]
                places += first > 0 and histogram[low] == 0
            if end == high:
                inner += total - mass[high]
                places += last > 0 and histogram[high - 1] == 0
            inner += SMOOTHING * (size - places) - less * places
            found -= inner * np.log(means[group] - less_q)
            rest -= inner
    found -= rest * np.log(SMOOTHING)
    return float(found / total - np.log(total) + np.log(sum_q))


@numba.njit(cache=True, nogil=True)
def _own(histogram: np.ndarray, occupied: np.ndarray, moments: np.ndarray, start: int, end: int, less: float) -> float:
    """Return the sum of ``(c - less) log(c - less)`` over occupied bins: a series where `less` is small."""
    if less < _SMALL:
        sums = moments[:, end] - moments[:, start]
        return float(sums[0] - less * (sums[1] + occupied[end] - occupied[start]) + less * less / 2 * sums[2])
    found = 0.0
    for i in range(start, end):
        if histogram[i] > 0:
            found += (histogram[i] - less) * np.log(histogram[i] - less)
    return found
