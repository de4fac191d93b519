"""Pooling: a maximum passes codes through, an average is one integer sum and one requantize.

Windows, ``ceil_mode`` and counts as in torch (a window that reaches past the padding counts only what lies inside it).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qworkbench.errors import EmulationError
from qworkbench.numerics import checks
from qworkbench.numerics.arithmetic import ConvGeometry, Requantize
from qworkbench.numerics.dtypes import NUMPY, QMIN
from qworkbench.numerics.reference.rescale import requantize


def _taps(position: int, axis: int, geometry: ConvGeometry) -> range:
    """Return the input indices, possibly outside the input, that the window at output `position` covers."""
    start = position * geometry.strides[axis] - geometry.pads[axis]
    return range(start, start + geometry.kernel[axis] * geometry.dilations[axis], geometry.dilations[axis])


def max_pool2d(x: np.ndarray, geometry: ConvGeometry, ceil_mode: bool = False) -> np.ndarray:
    """Return the largest code of each window of `x` (N, C, H, W); padding never wins.

    A window that lies wholly in the padding gives the lowest code of the dtype.
    """
    out_h, out_w = checks.window("max_pool2d", x, geometry, ceil_mode)
    height, width = x.shape[2:]
    y = np.full((*x.shape[:2], out_h, out_w), QMIN[str(x.dtype)], dtype=x.dtype)
    for i in range(out_h):
        rows = [r for r in _taps(i, 0, geometry) if 0 <= r < height]
        for j in range(out_w):
            columns = [c for c in _taps(j, 1, geometry) if 0 <= c < width]
            if rows and columns:
                y[:, :, i, j] = x[:, :, rows][:, :, :, columns].max(axis=(2, 3))
    return y


def average_pool2d(
    x: np.ndarray, geometry: ConvGeometry, ceil_mode: bool, count_include_pad: bool, rq: Requantize
) -> np.ndarray:
    """Return ``requantize(sum of the window)`` with the multiplier divided by the window's count.

    Parameters
    ----------
    x : numpy.ndarray
        int8 or int16, (N, C, H, W).
    geometry : ConvGeometry
    ceil_mode : bool
    count_include_pad : bool
        True: the count is the taps inside the padded input; False: the taps inside the input (1 if there are none).
    rq : Requantize
        The one multiplier ``s_x / s_y``; the division by the count is in float64.
    """
    out_h, out_w = checks.window("average_pool2d", x, geometry, ceil_mode)
    multiplier = checks.requantize("average_pool2d", rq, 1)
    sizes = x.shape[2:]
    y = np.empty((*x.shape[:2], out_h, out_w), dtype=NUMPY[rq.dtype])
    for i in range(out_h):
        for j in range(out_w):
            inside, count = [], 1
            for axis, position in enumerate((i, j)):
                taps = _taps(position, axis, geometry)
                real = [t for t in taps if 0 <= t < sizes[axis]]
                padded = [t for t in taps if t < sizes[axis] + geometry.pads[axis + 2]]
                inside.append(real)
                count *= len(padded if count_include_pad else real)
            total = x[:, :, inside[0]][:, :, :, inside[1]].sum(axis=(2, 3), dtype=np.int64)
            y[:, :, i, j] = requantize(total, replace(rq, multiplier=multiplier / max(count, 1)))
    return y


def _spatial(owner: str, x: np.ndarray) -> tuple[int, ...]:
    checks.codes(owner, x)
    if x.ndim < 3:
        raise EmulationError(f"{owner} takes (N, C, spatial ...), got {x.shape}")
    return tuple(range(2, x.ndim))


def global_average_pool(x: np.ndarray, rq: Requantize) -> np.ndarray:
    """Return the mean over all spatial axes, kept as 1: integer sum, one requantize with ``s_x / s_y / count``."""
    axes = _spatial("global_average_pool", x)
    multiplier = checks.requantize("global_average_pool", rq, 1)
    total = x.sum(axis=axes, keepdims=True, dtype=np.int64)
    count = int(np.prod(x.shape[2:]))
    return requantize(total, replace(rq, multiplier=multiplier / count))


def global_max_pool(x: np.ndarray) -> np.ndarray:
    """Return the largest code over all spatial axes, kept as 1."""
    return np.asarray(x.max(axis=_spatial("global_max_pool", x), keepdims=True))
