"""The squared error of quantizing a histogram, in numba; imported on first use."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def squared_errors(
    low: np.ndarray, high: np.ndarray, counts: np.ndarray, thresholds: np.ndarray, codes: int
) -> np.ndarray:
    """Return, per threshold T, the sum over all values of ``(x - min(round(x / s), codes) s)^2`` with s = T / codes.

    Parameters
    ----------
    low, high, counts : numpy.ndarray
        float64, bins of magnitudes.
    thresholds : numpy.ndarray
        float64, > 0.
    codes : int
        Largest code: 127.
    """
    found = np.empty(thresholds.size)
    for k in range(thresholds.size):
        threshold = thresholds[k]
        step = threshold / codes
        total = 0.0
        for i in range(low.size):
            width = high[i] - low[i]
            if width < step / 16:
                centre = (low[i] + high[i]) / 2
                mean = (centre - min(np.rint(centre / step), codes) * step) ** 2
            else:
                mean = (_integral(high[i], threshold, step) - _integral(low[i], threshold, step)) / width
            total += mean * counts[i]
        found[k] = total
    return found


@numba.njit(cache=True, nogil=True)
def _integral(x: float, threshold: float, step: float) -> float:
    """Return the integral of the squared error from 0 to `x`: s^3 / 12 for each whole step, and both ends."""
    inside = min(x, threshold)
    code = np.floor(inside / step + 0.5)
    rest = inside - code * step
    beyond = max(x - threshold, 0.0)
    return float(code * step**3 / 12 + rest**3 / 3 + beyond**3 / 3)
