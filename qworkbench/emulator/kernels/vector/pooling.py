"""Pooling of int8 surfaces to one pixel, all channels of a pixel at once: the sum of an image, its mean."""

from __future__ import annotations

import numpy as np

from qworkbench.emulator.kernels.calls import RESULT, Call, note, perform
from qworkbench.emulator.kernels.compiled import kernel, row_kernel
from qworkbench.emulator.kernels.isa import PORTABLE, vectors
from qworkbench.emulator.kernels.surface import new_surface, surface_of
from qworkbench.emulator.kernels.values import Surface, new_array, value_of
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


X, X_IMAGE, X_ROW, X_PIXEL, BATCH, HEIGHT, WIDTH, PITCH, OUT, OUT_PITCH, FACTOR, LOW, HIGH, WORDS = range(14)


@row_kernel
def means(row: int) -> None:
    """``out[n, c] = clamp(round_half_even(float32(sum of x[n, ., ., c]) * f), low, high)``; FACTOR is the bits of f."""
    p = carray(v.int64_at(row), WORDS)
    sums = np.empty((p[BATCH], p[PITCH]), np.int32)
    _sums(p[X], p[X_IMAGE : X_PIXEL + 1], p[HEIGHT : WIDTH + 1], sums)
    factor = carray(v.float32_at(row + 8 * FACTOR), 1)[0]
    low, high = np.float32(p[LOW]), np.float32(p[HIGH])
    codes = carray(v.int8_at(p[OUT]), p[BATCH] * p[OUT_PITCH])
    for n in range(p[BATCH]):
        for c in range(p[OUT_PITCH]):
            y = np.float32(sums[n, c]) * factor
            y = low if y < low else y
            codes[n * p[OUT_PITCH] + c] = np.int8(np.int32(np.rint(high if y > high else y)))


def image_means(x: np.ndarray, rq: Requantize, *, keepdims: bool = True) -> np.ndarray | None:
    """Return the requantized means of the surface `x` in the default arithmetic; None for all else.

    (N, C, 1, 1) on a surface, or (N, C) without `keepdims`.
    """
    surface = _found(x) if rq.kind == "float32" and rq.dtype == "int8" and rq.rounding == "half_even" else None
    if surface is None or rq.multiplier.size != 1 or x.shape[2] * x.shape[3] >= 1 << 24:
        return None
    pitch = surface.shape[3] if keepdims else x.shape[1]
    out = new_surface((*x.shape[:2], 1, 1), np.int8, 0, pitch) if keepdims else new_array(x.shape[:2], np.int8)
    row = np.zeros(WORDS, np.int64)
    row[X_IMAGE : X_PIXEL + 1], row[HEIGHT : WIDTH + 1] = surface.strides[:3], x.shape[2:]
    row[BATCH], row[OUT_PITCH], row[PITCH], row[LOW], row[HIGH] = len(x), pitch, surface.shape[3], rq.low, rq.high
    row[FACTOR : FACTOR + 1].view(np.float32)[0] = float(rq.multiplier.reshape(-1)[0]) / (x.shape[2] * x.shape[3])
    call = Call(means, row, ((X, 0, 0), (OUT, RESULT, 0)))
    perform(call, (surface.origin,), value_of(out).origin)
    note((x,), (out,), (call,), None)
    return out


def of_images(x: np.ndarray, axes: tuple[int, ...]) -> bool:
    """Tell whether `axes` are all but images and channels of the 4-d `x`."""
    return x.ndim == 4 and sorted(axis % 4 for axis in axes) == [2, 3]


def _found(x: np.ndarray) -> Surface | None:
    return None if vectors() == PORTABLE or x.dtype != np.int8 else surface_of(x)


def image_sums(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray | None:
    """Return the int64 sums (N, C) over `axes` of the surface `x`; None where `x` is none or `axes` are not H and W."""
    surface = _found(x) if of_images(x, axes) else None
    if surface is None or x.shape[2] * x.shape[3] >= 1 << 24:
        return None
    out = np.empty((x.shape[0], surface.shape[3]), np.int32)
    _sums(surface.origin, np.array(surface.strides[:3]), np.array(x.shape[2:]), out)
    return out[:, : x.shape[1]].astype(np.int64)
