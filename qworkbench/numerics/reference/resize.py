"""Resize on codes: nearest passes them through, bilinear mixes four with fixed-point weights.

Indices and weights come from :mod:`qworkbench.numerics.resize`; how many fractional bits the hardware keeps is not
public, so that `bits` is a parameter.
"""

from __future__ import annotations

import numpy as np

from qworkbench.numerics import checks
from qworkbench.numerics.rounding import round_shift


def resize_nearest(x: np.ndarray, out_hw: tuple[int, int], index_h: np.ndarray, index_w: np.ndarray) -> np.ndarray:
    """Return ``y[..., i, j] = x[..., index_h[i], index_w[j]]`` for x (N, C, H, W) and int64 indices."""
    checks.codes("resize_nearest", x)
    checks.resize("resize_nearest", x, (index_h, index_w), out_hw)
    return np.ascontiguousarray(x[:, :, index_h][:, :, :, index_w])


def resize_bilinear(
    x: np.ndarray,
    h0: np.ndarray,
    h1: np.ndarray,
    wh: np.ndarray,
    w0: np.ndarray,
    w1: np.ndarray,
    ww: np.ndarray,
    bits: int = 8,
) -> np.ndarray:
    """Return ``round_half_even(sum of 4 codes * weights >> 2 * bits)``.

    Parameters
    ----------
    x : numpy.ndarray
        int8 or int16, (N, C, H, W).
    h0, h1, w0, w1 : numpy.ndarray
        int64, the two rows and columns of each output row and column.
    wh, ww : numpy.ndarray
        int32, weight of `h1` and `w1` with `bits` fractional bits, 0 .. 2**bits.
    bits : int
        1 .. 15.
    """
    checks.codes("resize_bilinear", x)
    checks.resize("resize_bilinear", x, (h0, w0), (len(h0), len(w0)))
    checks.resize("resize_bilinear", x, (h1, w1), (len(h0), len(w0)))
    checks.weights("resize_bilinear", (wh, ww), (len(h0), len(w0)), bits)
    one = np.int64(1 << bits)
    down, across = wh.astype(np.int64)[:, None], ww.astype(np.int64)[None, :]
    wide = x.astype(np.int64)
    total = (
        wide[:, :, h0][:, :, :, w0] * ((one - down) * (one - across))
        + wide[:, :, h0][:, :, :, w1] * ((one - down) * across)
        + wide[:, :, h1][:, :, :, w0] * (down * (one - across))
        + wide[:, :, h1][:, :, :, w1] * (down * across)
    )
    return round_shift(total, 2 * bits, "half_even").astype(x.dtype)
