"""``s * clamp(round(x / s))`` in one pass over memory: the same bits as the five passes of torch. Arrays only."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _half_even(x: np.ndarray, scale: float, low: float, high: float, out: np.ndarray) -> None:
    step, bottom, top = np.float32(scale), np.float32(low), np.float32(high)
    shift = np.float32(1.5 * 2**23)  # adding it rounds half to even, as long as numbers are below 2**22
    for i in range(x.size):
        ratio = x[i] / step
        ratio = bottom if ratio < bottom else ratio
        ratio = top if ratio > top else ratio
        out[i] = ((ratio + shift) - shift) * step


def half_even(x: np.ndarray, scale: float, low: int, high: int) -> np.ndarray:
    """Return the fake-quantized `x`.

    Parameters
    ----------
    x : numpy.ndarray
        float32, one axis, contiguous.
    scale : float
    low, high : int
        Codes, within 22 bits. NaN stays NaN.
    """
    out = np.empty_like(x)
    _half_even(x, scale, low, high, out)
    return out
