"""The search for the clipping bin with the least Kullback-Leibler divergence, in numba; imported on first use.

The well-known recipe of entropy calibration: for each candidate the values beyond it fall into its last bin (P), the
values before it are merged into as many groups as there are codes and spread again over the occupied bins (Q). Groups
are as even as whole bins allow; a remainder left to the last group would favour multiples of the number of codes.

Empty bins receive `SMOOTHING`, taken evenly from the others. Without it Q is constant over the occupied bins of a
group, and running sums give a candidate in one step per group; so all candidates are ranked that way, and the best of
them are compared with it.
"""

from __future__ import annotations

import numba
import numpy as np

SMOOTHING = 1e-4
COMPARED = 32


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
    mass, occupied, entropy = np.zeros(n + 1), np.zeros(n + 1, np.int64), np.zeros(n + 1)
    for i in range(n):
        count = histogram[i]
        mass[i + 1], occupied[i + 1] = mass[i] + count, occupied[i] + (count > 0)
        entropy[i + 1] = entropy[i] + (count * np.log(count) if count > 0 else 0.0)
    candidates = np.arange(levels, n + 1, stride)
    ranked = np.array([_estimate(histogram, mass, occupied, entropy, int(keep), levels) for keep in candidates])
    best, least = n, np.inf
    q = np.empty(n)
    for k in np.sort(np.argsort(ranked)[:COMPARED]):
        keep = int(candidates[k])
        divergence = _divergence(histogram, keep, levels, mass[-1] - mass[keep], q)
        if divergence < least:
            best, least = keep, divergence
    return best


@numba.njit(cache=True, nogil=True)
def _estimate(
    histogram: np.ndarray, mass: np.ndarray, occupied: np.ndarray, entropy: np.ndarray, keep: int, levels: int
) -> float:
    """Return ``sum p log(p / q)`` with p and q scaled to sum 1, where q is 0 but p is not with q = `SMOOTHING`."""
    total, inside = mass[-1], mass[keep]
    outside = total - inside
    if inside <= 0:
        return np.inf
    last = histogram[keep - 1] + outside
    found = entropy[keep - 1] + (last * np.log(last) if last > 0 else 0.0)
    start = 0
    for level in range(levels):
        end = (level + 1) * keep // levels
        kept = mass[end] - mass[start]
        places = occupied[end] - occupied[start]
        held = kept
        if level == levels - 1 and outside > 0:
            held += outside
            places += histogram[keep - 1] == 0
        if held > 0:
            found -= held * np.log(max(kept / max(places, 1), SMOOTHING))
        start = end
    return float(found / total + np.log(inside / total))


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
