"""Products of two feature maps that lie alike, or of one with a number per channel and image: gates and attention.

int8 in float32 and int16 in float64, as plans have them, in one call that can be prepared; every other product goes
over lines (:mod:`.elementwise`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qworkbench.emulator.kernels.calls import RESULT, Call, note, perform
from qworkbench.emulator.kernels.compiled import inner, row_kernel
from qworkbench.emulator.kernels.rescale import requantize
from qworkbench.emulator.kernels.rounding import whole
from qworkbench.emulator.kernels.sums import KINDS
from qworkbench.emulator.kernels.surface import new_surface, surface_of
from qworkbench.emulator.kernels.values import Surface, new_array, value_of
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import carray
from qworkbench.numerics.arithmetic import ROUNDING_CODES, Requantize
from qworkbench.numerics.dtypes import NUMPY

(LEFT, LEFT_IMAGE, LEFT_ROW, LEFT_PIXEL, RIGHT, RIGHT_IMAGE, RIGHT_ROW, RIGHT_PIXEL, OUT, OUT_IMAGE, OUT_ROW,
 OUT_PIXEL, IMAGES, ROWS, PIXELS, LENGTH, LOW, HIGH, ROUNDING, BYTES, OUT_BYTES, FACTOR,
 WORDS) = range(23)  # fmt: skip


@inner
def _narrow(x: int, y: int, to: int, size: int, factor: float, low: int, high: int, rounding: int) -> None:
    a, b, out = carray(v.int8_at(x), size), carray(v.int8_at(y), size), carray(v.int8_at(to), size)
    real, bottom, top = np.float32(factor), np.float32(low), np.float32(high)
    for i in range(size):
        out[i] = whole(np.float32(np.int32(np.int32(a[i]) * np.int32(b[i]))) * real, bottom, top, rounding)


@inner
def _wide(x: int, y: int, to: int, size: int, factor: float, low: int, high: int, rounding: int) -> None:
    a, b, out = carray(v.int16_at(x), size), carray(v.int16_at(y), size), carray(v.int16_at(to), size)
    bottom, top = np.float64(low), np.float64(high)
    for i in range(size):
        out[i] = whole(np.float64(np.int32(np.int32(a[i]) * np.int32(b[i]))) * factor, bottom, top, rounding)


@inner
def _exact(a: Any, b: Any, to: int, size: int) -> None:
    out = carray(v.int32_at(to), size)
    for i in range(size):
        out[i] = np.int32(np.int32(a[i]) * np.int32(b[i]))


@row_kernel
def _mul(row: int) -> None:
    """``out = clamp(round(f(a * b) * factor), low, high)`` in runs of codes of BYTES each; FACTOR holds float64.

    Where results take four bytes, the products alone.
    """
    p, size, factor = carray(v.int64_at(row), WORDS), v.word_at(row + 8 * LENGTH), v.float64_at(row + 8 * FACTOR)[0]
    for n in range(p[IMAGES]):
        for r in range(p[ROWS]):
            for w in range(p[PIXELS]):
                x = p[LEFT] + n * p[LEFT_IMAGE] + r * p[LEFT_ROW] + w * p[LEFT_PIXEL]
                y = p[RIGHT] + n * p[RIGHT_IMAGE] + r * p[RIGHT_ROW] + w * p[RIGHT_PIXEL]
                to = p[OUT] + n * p[OUT_IMAGE] + r * p[OUT_ROW] + w * p[OUT_PIXEL]
                if p[OUT_BYTES] == 4 and p[BYTES] == 1:
                    _exact(carray(v.int8_at(x), size), carray(v.int8_at(y), size), to, size)
                elif p[OUT_BYTES] == 4:
                    _exact(carray(v.int16_at(x), size), carray(v.int16_at(y), size), to, size)
                elif p[BYTES] == 1:
                    _narrow(x, y, to, size, factor, p[LOW], p[HIGH], p[ROUNDING])
                else:
                    _wide(x, y, to, size, factor, p[LOW], p[HIGH], p[ROUNDING])


def multiplied(a: np.ndarray, b: np.ndarray, rq: Requantize) -> np.ndarray | None:
    """Return ``requantize(int32(a) * int32(b))`` by one multiplier; None for operands that lie otherwise."""
    if a.dtype != b.dtype or a.dtype not in KINDS or not a.size or not b.size:
        return None
    usual = KINDS[a.dtype] == (rq.dtype, rq.kind)
    dtype = NUMPY[rq.dtype] if usual else np.int32
    left, right = surface_of(a), surface_of(b)
    row = np.zeros(WORDS, np.int64)
    if left is not None and right is not None:
        turned = a.shape[2:] == (1, 1)
        like, other = (right, left) if turned else (left, right)
        if not _fits(like, other):
            return None
        out = new_surface(like.inside, dtype, like.margin, like.shape[3])
        to = surface_of(out)
        assert to is not None
        begins = (RIGHT_IMAGE, LEFT_IMAGE) if turned else (LEFT_IMAGE, RIGHT_IMAGE)
        for begin, surface in zip((*begins, OUT_IMAGE), (like, other, to), strict=True):
            steps = [step if n > 1 else 0 for n, step in zip(_pixels(surface), surface.strides[:3], strict=True)]
            row[begin : begin + 3] = steps
        row[IMAGES : PIXELS + 1], row[LENGTH] = _pixels(like), like.shape[3]
    elif left is None and right is None and a.shape == b.shape and a.flags.c_contiguous and b.flags.c_contiguous:
        out = new_array(a.shape, dtype)
        row[IMAGES : LENGTH + 1] = 1, 1, 1, a.size
    else:
        return None
    row[LOW], row[HIGH], row[ROUNDING], row[BYTES] = rq.low, rq.high, ROUNDING_CODES[rq.rounding], a.itemsize
    row[OUT_BYTES] = out.itemsize
    if usual:
        row[FACTOR : FACTOR + 1].view(np.float64)[0] = rq.multiplier.astype(rq.kind).reshape(-1)[0]
    call = Call(_mul, row, ((LEFT, 0, 0), (RIGHT, 1, 0), (OUT, RESULT, 0)))
    perform(call, [value_of(x).origin for x in (a, b)], value_of(out).origin)
    note((a, b), (out,), (call,), None)
    return out if usual else requantize(out, rq)


def _pixels(surface: Surface) -> tuple[int, int, int]:
    """Return images, rows and columns inside."""
    batch, _, height, width = surface.inside
    return batch, height, width


def _fits(like: Surface, other: Surface) -> bool:
    """Tell whether pixels of `other` lie as those of `like` do, one for each or one for each image."""
    alike = like.shape[3] == other.shape[3] and like.inside[1] == other.inside[1]
    return alike and all(n in (1, of) for n, of in zip(_pixels(other), _pixels(like), strict=True))
