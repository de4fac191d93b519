"""Bilinear resize of codes: row first, then column, one pass per plane."""

from __future__ import annotations

import numpy as np

from qworkbench.emulator.kernels.compiled import kernel
from qworkbench.emulator.kernels.vector.averages import bilinear
from qworkbench.emulator.kernels.views import owned
from qworkbench.numerics import checks


@kernel()
def _bilinear(
    x: np.ndarray,
    h0: np.ndarray,
    h1: np.ndarray,
    wh: np.ndarray,
    w0: np.ndarray,
    w1: np.ndarray,
    ww: np.ndarray,
    bits: int,
    out: np.ndarray,
) -> None:
    """``out = round_half_even(sum of x * weight_h * weight_w >> 2 * bits)`` over the four neighbours, int64.

    The sum is exact, hence the same as column of rows: ``v = x[h0] * (1 - wh) + x[h1] * wh``, then the same along w.
    """
    one = np.int64(1) << bits
    shift = 2 * bits
    half = np.int64(1) << (shift - 1)
    line = np.empty(x.shape[2], np.int64)
    for p in range(out.shape[0]):
        for i in range(out.shape[1]):
            upper, lower = x[p, h0[i]], x[p, h1[i]]
            down = np.int64(wh[i])
            for k in range(line.size):
                line[k] = np.int64(upper[k]) * (one - down) + np.int64(lower[k]) * down
            result = out[p, i]
            for j in range(result.size):
                across = np.int64(ww[j])
                total = line[w0[j]] * (one - across) + line[w1[j]] * across
                t = np.int64(1) - ((total >> shift) & np.int64(1))
                result[j] = np.int32((total + half - t) >> shift)


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
    """Return the fixed-point mix of four neighbours; see :func:`qworkbench.numerics.reference.resize_bilinear`."""
    checks.codes("resize_bilinear", x)
    out_hw = len(h0), len(w0)
    checks.resize("resize_bilinear", x, (h0, w0), out_hw)
    checks.resize("resize_bilinear", x, (h1, w1), out_hw)
    checks.weights("resize_bilinear", (wh, ww), out_hw, bits)
    found = bilinear(x, (h0, h1, wh, w0, w1, ww), bits)
    if found is not None:
        return found
    out = np.empty((*x.shape[:2], *out_hw), dtype=x.dtype)
    index = [a.astype(np.uint64) for a in (h0, h1, w0, w1)]
    planes, result = owned(x).reshape(-1, *x.shape[2:]), out.reshape(-1, *out_hw)
    _bilinear(planes, index[0], index[1], wh.astype(np.int64), index[2], index[3], ww.astype(np.int64), bits, result)
    return out
