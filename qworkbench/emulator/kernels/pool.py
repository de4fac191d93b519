"""Pooling, separable: combine the window's rows first (contiguous, vectorized), then its columns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from qworkbench.emulator.kernels.compiled import kernel
from qworkbench.emulator.kernels.reduce import reduce_mean
from qworkbench.emulator.kernels.rescale import requantize
from qworkbench.emulator.kernels.vector.averages import window_means
from qworkbench.emulator.kernels.vector.largest import largest
from qworkbench.emulator.kernels.vector.pooling import image_means
from qworkbench.emulator.kernels.views import owned
from qworkbench.errors import EmulationError
from qworkbench.numerics import checks
from qworkbench.numerics.arithmetic import ConvGeometry, Requantize
from qworkbench.numerics.dtypes import NUMPY, QMIN
from qworkbench.numerics.reference.reduce import reduce_max


@kernel()
def _max_windows(
    x: np.ndarray,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int],
    pads: tuple[int, int, int, int],
    lowest: Any,
    out: np.ndarray,
) -> None:
    """``out[p, i, j] = max over r, s of x[p, i * sh - top + r * dh, j * sw - left + s * dw]`` inside the plane.

    `lowest` where nothing is inside. x is (planes, H, W).
    """
    height, width = x.shape[1:]
    line = np.empty((out.shape[2] - 1) * strides[1] + (kernel[1] - 1) * dilations[1] + width + pads[1] + 1, x.dtype)
    for p in range(x.shape[0]):
        for i in range(out.shape[1]):
            line[:] = lowest
            inside = line[pads[1] : pads[1] + width]
            for r in range(kernel[0]):
                h = i * strides[0] - pads[0] + r * dilations[0]
                if 0 <= h < height:
                    row = x[p, h]
                    for w in range(width):
                        inside[w] = max(inside[w], row[w])
            result = out[p, i]
            result[:] = lowest
            for s in range(kernel[1]):
                near = line[s * dilations[1] :: strides[1]]
                for j in range(result.size):
                    result[j] = max(result[j], near[j])


@kernel()
def _sum_windows(
    x: np.ndarray,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int],
    pads: tuple[int, int, int, int],
    out: np.ndarray,
) -> None:
    """``out[p, i, j] = sum over r, s of x[p, i * sh - top + r * dh, j * sw - left + s * dw]`` in the plane, int64."""
    height, width = x.shape[1:]
    line = np.empty((out.shape[2] - 1) * strides[1] + (kernel[1] - 1) * dilations[1] + width + pads[1] + 1, np.int64)
    for p in range(x.shape[0]):
        for i in range(out.shape[1]):
            line[:] = 0
            inside = line[pads[1] : pads[1] + width]
            for r in range(kernel[0]):
                h = i * strides[0] - pads[0] + r * dilations[0]
                if 0 <= h < height:
                    row = x[p, h]
                    for w in range(width):
                        inside[w] += row[w]
            result = out[p, i]
            result[:] = 0
            for s in range(kernel[1]):
                near = line[s * dilations[1] :: strides[1]]
                for j in range(result.size):
                    result[j] += near[j]


def max_pool2d(x: np.ndarray, geometry: ConvGeometry, ceil_mode: bool = False) -> np.ndarray:
    """Return the largest code of each window; see :func:`qworkbench.numerics.reference.max_pool2d`."""
    size = checks.window("max_pool2d", x, geometry, ceil_mode)
    found = largest(x, geometry, size)
    if found is not None:
        return found
    out = np.empty((*x.shape[:2], *size), dtype=x.dtype)
    lowest = x.dtype.type(QMIN[str(x.dtype)])
    planes = owned(x).reshape(-1, *x.shape[2:])
    g = geometry
    _max_windows(planes, g.kernel, g.strides, g.dilations, g.pads, lowest, out.reshape(-1, *size))
    return out


def _counts(length: int, positions: int, axis: int, geometry: ConvGeometry, include_pad: bool) -> np.ndarray:
    """Return how many taps of each window count along `axis`."""
    start = np.arange(positions)[:, None] * geometry.strides[axis] - geometry.pads[axis]
    taps = start + np.arange(geometry.kernel[axis]) * geometry.dilations[axis]
    if include_pad:
        return np.asarray((taps < length + geometry.pads[axis + 2]).sum(axis=1))
    return np.asarray(((taps >= 0) & (taps < length)).sum(axis=1))


def average_pool2d(
    x: np.ndarray, geometry: ConvGeometry, ceil_mode: bool, count_include_pad: bool, rq: Requantize
) -> np.ndarray:
    """Return ``requantize(sum of the window)`` with the multiplier over the window's count.

    See :func:`qworkbench.numerics.reference.average_pool2d`.
    """
    size = checks.window("average_pool2d", x, geometry, ceil_mode)
    multiplier = checks.requantize("average_pool2d", rq, 1)
    g = geometry
    down, across = (_counts(x.shape[2 + axis], size[axis], axis, g, count_include_pad) for axis in (0, 1))
    count = np.maximum(down[:, None] * across, 1)
    found = window_means(x, g, count, rq)
    if found is not None:
        return found
    sums = np.empty((*x.shape[:2], *size), dtype=np.int64)
    _sum_windows(owned(x).reshape(-1, *x.shape[2:]), g.kernel, g.strides, g.dilations, g.pads, sums.reshape(-1, *size))
    distinct = np.unique(count)
    if len(distinct) == 1:
        return requantize(sums, replace(rq, multiplier=multiplier / distinct[0]))
    out = np.empty(sums.shape, dtype=NUMPY[rq.dtype])
    for value in distinct:
        where = count == value
        out[:, :, where] = requantize(sums[:, :, where], replace(rq, multiplier=multiplier / value))
    return out


def _spatial(owner: str, x: np.ndarray) -> tuple[int, ...]:
    checks.codes(owner, x)
    if x.ndim < 3:
        raise EmulationError(f"{owner} takes (N, C, spatial ...), got {x.shape}")
    return tuple(range(2, x.ndim))


def global_average_pool(x: np.ndarray, rq: Requantize) -> np.ndarray:
    """Return the mean over all spatial axes, kept as 1: integer sum, one requantize with ``s_x / s_y / count``."""
    axes = _spatial("global_average_pool", x)
    checks.requantize("global_average_pool", rq, 1)
    found = image_means(x, rq)
    return reduce_mean(x, axes, True, rq) if found is None else found


def global_max_pool(x: np.ndarray) -> np.ndarray:
    """Return the largest code over all spatial axes, kept as 1."""
    axes = _spatial("global_max_pool", x)
    found = largest(x, ConvGeometry((x.shape[2], x.shape[3])), (1, 1)) if x.ndim == 4 else None
    return reduce_max(x, axes, True) if found is None else found
