"""Sums and means over axes: integer sums over contiguous rows, one requantize.

Maxima, minima and their positions are numpy at memory speed already; the reference's own serve here, too.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qworkbench.emulator.kernels.compiled import kernel
from qworkbench.emulator.kernels.rescale import requantize
from qworkbench.emulator.kernels.vector.pooling import image_means, image_sums, of_images
from qworkbench.emulator.kernels.views import owned
from qworkbench.numerics import checks
from qworkbench.numerics.arithmetic import Requantize


@kernel()
def _sum_rows(rows: np.ndarray, out: np.ndarray) -> None:
    """``out[i] = sum_k rows[i, k]`` in int64."""
    for i in range(rows.shape[0]):
        row = rows[i]
        total = np.int64(0)
        for k in range(row.size):
            total += np.int64(row[k])
        out[i] = total


def _sums(x: np.ndarray, axes: tuple[int, ...], keepdims: bool) -> np.ndarray:
    """Return the int64 sum of `x` over `axes`."""
    reduced = tuple(axis % x.ndim for axis in axes)
    kept = tuple(axis for axis in range(x.ndim) if axis not in reduced)
    found = image_sums(x, axes)
    if found is not None:
        return found[:, :, None, None] if keepdims else found
    count = int(np.prod([x.shape[axis] for axis in reduced]))
    rows = owned(x.transpose(*kept, *reduced)).reshape(-1, count)
    out = np.empty(len(rows), dtype=np.int64)
    _sum_rows(rows, out)
    shape = [1 if axis in reduced else x.shape[axis] for axis in range(x.ndim) if keepdims or axis in kept]
    return out.reshape(shape)


def reduce_sum(x: np.ndarray, axes: tuple[int, ...], keepdims: bool, rq: Requantize) -> np.ndarray:
    """Return ``requantize(sum over axes)`` with the one multiplier ``s_x / s_y``; the sum is int64."""
    checks.codes("reduce_sum", x)
    checks.requantize("reduce_sum", rq, 1)
    return requantize(_sums(x, axes, keepdims), rq)


def reduce_mean(x: np.ndarray, axes: tuple[int, ...], keepdims: bool, rq: Requantize) -> np.ndarray:
    """Return :func:`reduce_sum` with the multiplier divided (in float64) by the number of reduced elements."""
    checks.codes("reduce_mean", x)
    multiplier = checks.requantize("reduce_mean", rq, 1)
    found = image_means(x, rq, keepdims=keepdims) if of_images(x, axes) else None
    if found is not None:
        return found
    count = int(np.prod([x.shape[axis] for axis in axes]))
    return reduce_sum(x, axes, keepdims, replace(rq, multiplier=multiplier / count))
