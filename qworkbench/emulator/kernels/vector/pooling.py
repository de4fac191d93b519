"""Pooling of surfaces to one pixel, all channels of a pixel at once: the sum of an image, its mean."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from qworkbench.emulator.kernels.calls import RESULT, Call, note, perform
from qworkbench.emulator.kernels.compiled import inner, kernel, row_kernel
from qworkbench.emulator.kernels.isa import PORTABLE, vectors
from qworkbench.emulator.kernels.requantized import USUAL
from qworkbench.emulator.kernels.rescale import requantize
from qworkbench.emulator.kernels.surface import new_surface, surface_of
from qworkbench.emulator.kernels.values import Surface, new_array, value_of
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import carray
from qworkbench.numerics.arithmetic import Requantize
from qworkbench.numerics.dtypes import NUMPY


@inner
def _added(codes: Any, total: np.ndarray) -> None:
    for c in range(total.size):
        total[c] = np.int32(total[c] + np.int32(codes[c]))


@kernel("void(int64, int64[::1], int64[::1], int64, int32[:, ::1])")
def _sums(x: int, strides: np.ndarray, sizes: np.ndarray, size: int, out: np.ndarray) -> None:
    """``out[n, c] = sum over all pixels of x[n, ., ., c]``; int32 holds 2**24 pixels of int8, 2**16 of int16."""
    for n in range(out.shape[0]):
        total = out[n]
        total[:] = 0
        for h in range(sizes[0]):
            for w in range(sizes[1]):
                at = x + n * strides[0] + h * strides[1] + w * strides[2]
                if size == 1:
                    _added(v.int8_at(at), total)
                else:
                    _added(v.int16_at(at), total)


(X, X_IMAGE, X_ROW, X_PIXEL, BATCH, HEIGHT, WIDTH, BYTES, PITCH, OUT, OUT_BYTES, OUT_PITCH, FACTOR, LOW, HIGH,
 WORDS) = range(16)  # fmt: skip


@inner
def _left(sums: np.ndarray, factor: Any, low: Any, high: Any, codes: Any, count: int) -> None:
    real = type(factor)
    for c in range(count):
        y = real(sums[c]) * factor
        y = low if y < low else y
        codes[c] = np.int32(np.rint(high if y > high else y))


@row_kernel
def means(row: int) -> None:
    """``out[n, c] = clamp(round_half_even(real(sum of x[n, ., ., c]) * f), low, high)``; FACTOR is f as float64.

    In float32 to int8, in float64 to int16; to int32 the sums alone.
    """
    p = carray(v.int64_at(row), WORDS)
    sums = np.empty((p[BATCH], p[PITCH]), np.int32)
    _sums(p[X], p[X_IMAGE : X_PIXEL + 1], p[HEIGHT : WIDTH + 1], p[BYTES], sums)
    factor, pitch = carray(v.float64_at(row + 8 * FACTOR), 1)[0], p[OUT_PITCH]
    for n in range(p[BATCH]):
        to = p[OUT] + n * pitch * p[OUT_BYTES]
        if p[OUT_BYTES] == 1:
            low, high = np.float32(p[LOW]), np.float32(p[HIGH])
            _left(sums[n], np.float32(factor), low, high, v.int8_at(to), pitch)
        elif p[OUT_BYTES] == 2:
            _left(sums[n], factor, np.float64(p[LOW]), np.float64(p[HIGH]), v.int16_at(to), pitch)
        else:
            whole = v.int32_at(to)
            for c in range(pitch):
                whole[c] = sums[n, c]


def image_means(x: np.ndarray, rq: Requantize, *, keepdims: bool = True) -> np.ndarray | None:
    """Return the requantized means of the surface `x`; None where `x` is none.

    (N, C, 1, 1) on a surface, or (N, C) without `keepdims`.
    """
    surface = _found(x) if rq.multiplier.size == 1 else None
    if surface is None:
        return None
    usual = (rq.kind, rq.dtype) in USUAL and rq.rounding == "half_even"
    dtype = NUMPY[rq.dtype] if usual else np.int32
    pitch = surface.shape[3] if keepdims else x.shape[1]
    out = new_surface((*x.shape[:2], 1, 1), dtype, 0, pitch) if keepdims else new_array(x.shape[:2], dtype)
    row = np.zeros(WORDS, np.int64)
    row[X_IMAGE : X_PIXEL + 1], row[HEIGHT : WIDTH + 1] = surface.strides[:3], x.shape[2:]
    row[BATCH], row[OUT_PITCH], row[PITCH], row[LOW], row[HIGH] = len(x), pitch, surface.shape[3], rq.low, rq.high
    row[BYTES], row[OUT_BYTES] = x.itemsize, out.itemsize
    row[FACTOR : FACTOR + 1].view(np.float64)[0] = float(rq.multiplier.reshape(-1)[0]) / (x.shape[2] * x.shape[3])
    call = Call(means, row, ((X, 0, 0), (OUT, RESULT, 0)))
    perform(call, (surface.origin,), value_of(out).origin)
    note((x,), (out,), (call,), None)
    return out if usual else requantize(out, replace(rq, multiplier=rq.multiplier / (x.shape[2] * x.shape[3])))


def of_images(x: np.ndarray, axes: tuple[int, ...]) -> bool:
    """Tell whether `axes` are all but images and channels of the 4-d `x`."""
    return x.ndim == 4 and sorted(axis % 4 for axis in axes) == [2, 3]


def _found(x: np.ndarray) -> Surface | None:
    """Return the surface of `x`, if its sums over an image fit int32."""
    fits = x.ndim == 4 and x.itemsize <= 2 and x.shape[2] * x.shape[3] < 1 << 32 - 8 * x.itemsize
    return surface_of(x) if fits and vectors() != PORTABLE and x.dtype in (np.int8, np.int16) else None


def image_sums(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray | None:
    """Return the int64 sums (N, C) over `axes` of the surface `x`; None where `x` is none or `axes` are not H and W."""
    surface = _found(x) if of_images(x, axes) else None
    if surface is None:
        return None
    out = np.empty((x.shape[0], surface.shape[3]), np.int32)
    _sums(surface.origin, np.array(surface.strides[:3]), np.array(x.shape[2:]), x.itemsize, out)
    return out[:, : x.shape[1]].astype(np.int64)
