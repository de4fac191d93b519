"""Sums of two feature maps that lie alike, which residual connections are made of, as one call that can be prepared.

int8 in float32 and int16 in float64, as plans have them; every other sum goes over lines (:mod:`.elementwise`).
"""

from __future__ import annotations

import numpy as np

from qworkbench.emulator.kernels.calls import RESULT, Call, note, perform
from qworkbench.emulator.kernels.compiled import inner, row_kernel
from qworkbench.emulator.kernels.rounding import whole
from qworkbench.emulator.kernels.surface import new_surface, surface_of
from qworkbench.emulator.kernels.values import value_of
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import carray
from qworkbench.numerics.arithmetic import ROUNDING_CODES, Requantize
from qworkbench.numerics.dtypes import NUMPY

(LEFT, LEFT_IMAGE, LEFT_ROW, RIGHT, RIGHT_IMAGE, RIGHT_ROW, OUT, OUT_IMAGE, OUT_ROW, IMAGES, ROWS, LENGTH, LOW,
 HIGH, ROUNDING, LEFT_RATIO, RIGHT_RATIO, WORDS) = range(18)  # fmt: skip
KINDS = {np.dtype(np.int8): ("int8", "float32"), np.dtype(np.int16): ("int16", "float64")}


@inner
def _narrow(
    x: np.ndarray, y: np.ndarray, out: np.ndarray, left: float, right: float, low: int, high: int, rounding: int
) -> None:
    a, b, bottom, top = np.float32(left), np.float32(right), np.float32(low), np.float32(high)
    for i in range(out.size):
        out[i] = whole(np.float32(x[i]) * a + np.float32(y[i]) * b, bottom, top, rounding)


@inner
def _wide(
    x: np.ndarray, y: np.ndarray, out: np.ndarray, left: float, right: float, low: int, high: int, rounding: int
) -> None:
    bottom, top = np.float64(low), np.float64(high)
    for i in range(out.size):
        out[i] = whole(np.float64(x[i]) * left + np.float64(y[i]) * right, bottom, top, rounding)


@row_kernel
def _add_narrow(row: int) -> None:
    """``out = clamp(round(f(a) * left + f(b) * right), low, high)`` of int8 in lines; words of ratios hold float64."""
    p, ratios = carray(v.int64_at(row), WORDS), carray(v.float64_at(row), WORDS)
    for n in range(p[IMAGES]):
        for r in range(p[ROWS]):
            x = carray(v.int8_at(p[LEFT] + n * p[LEFT_IMAGE] + r * p[LEFT_ROW]), p[LENGTH])
            y = carray(v.int8_at(p[RIGHT] + n * p[RIGHT_IMAGE] + r * p[RIGHT_ROW]), p[LENGTH])
            out = carray(v.int8_at(p[OUT] + n * p[OUT_IMAGE] + r * p[OUT_ROW]), p[LENGTH])
            _narrow(x, y, out, ratios[LEFT_RATIO], ratios[RIGHT_RATIO], p[LOW], p[HIGH], p[ROUNDING])


@row_kernel
def _add_wide(row: int) -> None:
    """Compute the same of int16."""
    p, ratios = carray(v.int64_at(row), WORDS), carray(v.float64_at(row), WORDS)
    for n in range(p[IMAGES]):
        for r in range(p[ROWS]):
            x = carray(v.int16_at(p[LEFT] + n * p[LEFT_IMAGE] + r * p[LEFT_ROW]), p[LENGTH])
            y = carray(v.int16_at(p[RIGHT] + n * p[RIGHT_IMAGE] + r * p[RIGHT_ROW]), p[LENGTH])
            out = carray(v.int16_at(p[OUT] + n * p[OUT_IMAGE] + r * p[OUT_ROW]), p[LENGTH])
            _wide(x, y, out, ratios[LEFT_RATIO], ratios[RIGHT_RATIO], p[LOW], p[HIGH], p[ROUNDING])


def summed(a: np.ndarray, b: np.ndarray, ratio_a: float, ratio_b: float, rq: Requantize) -> np.ndarray | None:
    """Return ``clamp(round(a * ratio_a + b * ratio_b), low, high)``; None for operands that lie otherwise."""
    if a.shape != b.shape or a.dtype != b.dtype or KINDS.get(a.dtype) != (rq.dtype, rq.kind) or not a.size:
        return None
    left, right = surface_of(a), surface_of(b)
    row = np.zeros(WORDS, np.int64)
    if left is not None and right is not None and left.shape[3] == right.shape[3]:
        out = new_surface(a.shape, NUMPY[rq.dtype], left.margin, left.shape[3])
        to = surface_of(out)
        assert to is not None
        for begin, surface in ((LEFT_IMAGE, left), (RIGHT_IMAGE, right), (OUT_IMAGE, to)):
            row[begin : begin + 2] = surface.strides[:2]
        row[IMAGES], row[ROWS], row[LENGTH] = len(a), a.shape[2], a.shape[3] * left.shape[3]
    elif left is None and right is None and a.flags.c_contiguous and b.flags.c_contiguous:
        out = np.empty(a.shape, NUMPY[rq.dtype])
        row[IMAGES], row[ROWS], row[LENGTH] = 1, 1, a.size
    else:
        return None
    row[LOW], row[HIGH], row[ROUNDING] = rq.low, rq.high, ROUNDING_CODES[rq.rounding]
    row.view(np.float64)[LEFT_RATIO : RIGHT_RATIO + 1] = ratio_a, ratio_b
    call = Call(_add_narrow if a.itemsize == 1 else _add_wide, row, ((LEFT, 0, 0), (RIGHT, 1, 0), (OUT, RESULT, 0)))
    perform(call, [value_of(x).origin for x in (a, b)], value_of(out).origin)
    note((a, b), (out,), (call,), None)
    return out
