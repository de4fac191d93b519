"""Pooling of int8 surfaces to one pixel, all channels of a pixel at once: the sum of an image, its mean."""

from __future__ import annotations

import numpy as np

from qworkbench.emulator.kernels.compiled import kernel
from qworkbench.emulator.kernels.isa import PORTABLE, chosen
from qworkbench.emulator.kernels.surface import Surface, surface_of
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import carray
from qworkbench.numerics.arithmetic import Requantize


@kernel("void(int64, int64[::1], int64[::1], int32[:, ::1])")
def _sums(x: int, strides: np.ndarray, sizes: np.ndarray, out: np.ndarray) -> None:
    """``out[n, c] = sum over all pixels of x[n, ., ., c]``; int32 holds 2**24 pixels."""
    channels = out.shape[1]
    for n in range(out.shape[0]):
        total = out[n]
        total[:] = 0
        for h in range(sizes[0]):
            for w in range(sizes[1]):
                codes = carray(v.int8_at(x + n * strides[0] + h * strides[1] + w * strides[2]), channels)
                for c in range(channels):
                    total[c] = np.int32(total[c] + np.int32(codes[c]))


@kernel("void(int32[:, ::1], float32, float32, float32, int8[:, ::1])")
def _leave(sums: np.ndarray, multiplier: np.float32, low: np.float32, high: np.float32, out: np.ndarray) -> None:
    """``out = clamp(round_half_even(float32(sum) * multiplier), low, high)``; `sums` may have more columns."""
    for n in range(out.shape[0]):
        for c in range(out.shape[1]):
            y = np.float32(sums[n, c]) * multiplier
            y = low if y < low else y
            out[n, c] = np.int8(np.int32(np.rint(high if y > high else y)))


def image_means(x: np.ndarray, rq: Requantize) -> np.ndarray | None:
    """Return the requantized means (N, C, 1, 1) of the surface `x` in the default arithmetic; None for all else."""
    surface = _found(x) if rq.kind == "float32" and rq.dtype == "int8" and rq.rounding == "half_even" else None
    if surface is None or rq.multiplier.size != 1 or x.shape[2] * x.shape[3] >= 1 << 24:
        return None
    sums = np.empty((x.shape[0], surface.shape[3]), np.int32)
    _sums(surface.origin, np.array(surface.strides[:3]), np.array(x.shape[2:]), sums)
    out = np.empty(x.shape[:2], np.int8)
    factor = np.float32(float(rq.multiplier.reshape(-1)[0]) / (x.shape[2] * x.shape[3]))
    _leave(sums, factor, np.float32(rq.low), np.float32(rq.high), out)
    return out[:, :, None, None]


def _found(x: np.ndarray) -> Surface | None:
    return None if chosen() == PORTABLE or x.dtype != np.int8 else surface_of(x)


def image_sums(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray | None:
    """Return the int64 sums (N, C) over `axes` of the surface `x`; None where `x` is none or `axes` are not H and W."""
    surface = _found(x) if x.ndim == 4 and sorted(axis % 4 for axis in axes) == [2, 3] else None
    if surface is None or x.shape[2] * x.shape[3] >= 1 << 24:
        return None
    out = np.empty((x.shape[0], surface.shape[3]), np.int32)
    _sums(surface.origin, np.array(surface.strides[:3]), np.array(x.shape[2:]), out)
    return out[:, : x.shape[1]].astype(np.int64)
