"""The search for the clipping bin with the least Kullback-Leibler divergence, in numba; imported on first use.

The well-known recipe of entropy calibration: for each candidate the values beyond it fall into its last bin (P), the
values before it are merged into as many groups as there are codes and spread again over the occupied bins (Q). Groups
are as even as whole bins allow; a remainder left to the last group would favour multiples of the number of codes.
"""

from __future__ import annotations

import numba
import numpy as np

SMOOTHING = 1e-4


@numba.njit(cache=True, nogil=True)
def best_bin(histogram: np.ndarray, levels: int, stride: int) -> int:
    """Return how many bins of `histogram` to keep.

    Parameters
    ----------
    histogram : numpy.ndarray
        float64, counts of magnitudes in equal bins from 0.
    levels : int
        Codes of a magnitude: 128.
    stride : int
        Distance of the candidates, in bins.
    """
    n = histogram.size
    best, least = n, np.inf
    total = histogram.sum()
    inside = histogram[: min(levels, n)].sum()
    q = np.empty(n)
    for keep in range(levels, n + 1, stride):
        divergence = _divergence(histogram, keep, levels, total - inside, q)
        if divergence < least:
            best, least = keep, divergence
        inside += histogram[keep : min(keep + stride, n)].sum()
    return best


@numba.njit(cache=True, nogil=True)
def _divergence(histogram: np.ndarray, keep: int, levels: int, outside: float, q: np.ndarray) -> float:
    for level in range(levels):
        start, end = level * keep // levels, (level + 1) * keep // levels
        mass, occupied = 0.0, 0
        for i in range(start, end):
            mass += histogram[i]
            if histogram[i] != 0 or (i == keep - 1 and outside != 0):
                occupied += 1
        for i in range(start, end):
            taken = histogram[i] != 0 or (i == keep - 1 and outside != 0)
            q[i] = mass / occupied if taken else 0.0
    empty_p, empty_q, sum_p, sum_q = 0, 0, 0.0, 0.0
    for i in range(keep):
        p = histogram[i] + (outside if i == keep - 1 else 0.0)
        empty_p += p == 0
        empty_q += q[i] == 0
        sum_p += p
        sum_q += q[i]
    if max(empty_p, empty_q) == keep:
        return np.inf
    # what empty bins receive is taken evenly from the others, so that the sums stay
    less_p = SMOOTHING * empty_p / (keep - empty_p)
    less_q = SMOOTHING * empty_q / (keep - empty_q)
    found = 0.0
    for i in range(keep):
        p = histogram[i] + (outside if i == keep - 1 else 0.0)
        a = SMOOTHING if p == 0 else p - less_p
        b = SMOOTHING if q[i] == 0 else q[i] - less_q
        if a <= 0 or b <= 0:
            return np.inf
        found += a / sum_p * np.log((a / sum_p) / (b / sum_q))
    return found
