"""Requantize of lines of int16 and int32 codes to int8 or int16, in float or by mantissa and shift.

A row of parameters has all that a call takes, so that it is prepared once. int8 codes have a table, and what does not
fit here is done by :mod:`.rescale`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from qworkbench.emulator.kernels.calls import RESULT, Call, note, perform
from qworkbench.emulator.kernels.compiled import inner, row_kernel
from qworkbench.emulator.kernels.lines import lies_alone, lined, placed
from qworkbench.emulator.kernels.rounding import shifted_right, whole
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import carray
from qworkbench.numerics.arithmetic import ROUNDING_CODES, Requantize
from qworkbench.numerics.dtypes import NUMPY
from qworkbench.numerics.multiplier import integer_multiplier

FROM_CODES, TO_CODES = (np.dtype(np.int16), np.dtype(np.int32)), (np.int8, np.int16)
USUAL = {("float32", "int8"), ("float64", "int16")}  # arithmetic and dtype of what leaves
SHIFTS = range(1, 63)  # by which a product of a code and a mantissa is shifted exactly
(X, X_IMAGE, X_ROW, FACTOR, FACTOR_IMAGE, FACTOR_ROW, FACTOR_ONE, SHIFT, OUT, OUT_IMAGE, OUT_ROW, IMAGES, ROWS, LENGTH,
 FROM, TO, LOW, HIGH, ROUNDING, WORDS) = range(20)  # fmt: skip


@inner
def _lines_of(row: int) -> Iterator[tuple[int, int, int]]:
    """Yield where each line of codes, of factors (behind the first) and of results begins."""
    p = carray(v.int64_at(row), WORDS)
    for n in range(p[IMAGES]):
        for r in range(p[ROWS]):
            factor = n * p[FACTOR_IMAGE] + r * p[FACTOR_ROW]
            yield p[X] + n * p[X_IMAGE] + r * p[X_ROW], factor, p[OUT] + n * p[OUT_IMAGE] + r * p[OUT_ROW]


@inner
def _scaled(codes: Any, factors: np.ndarray, several: bool, out: Any, low: Any, high: Any, rounding: int) -> None:
    """``out = clamp(round(real(q) * m), low, high)``, by one factor or `several`."""
    real = factors.dtype.type
    if several:
        for i in range(codes.size):
            out[i] = whole(real(codes[i]) * factors[i], low, high, rounding)
    else:
        factor = factors[0]
        for i in range(codes.size):
            out[i] = whole(real(codes[i]) * factor, low, high, rounding)


@inner
def _by_single(codes: Any, factor: int, out: Any, p: np.ndarray) -> None:
    factors, low, high = carray(v.float32_at(p[FACTOR] + factor), codes.size), np.float32(p[LOW]), np.float32(p[HIGH])
    _scaled(codes, factors, p[FACTOR_ONE] != 0, out, low, high, p[ROUNDING])


@inner
def _by_double(codes: Any, factor: int, out: Any, p: np.ndarray) -> None:
    factors, low, high = carray(v.float64_at(p[FACTOR] + factor), codes.size), np.float64(p[LOW]), np.float64(p[HIGH])
    _scaled(codes, factors, p[FACTOR_ONE] != 0, out, low, high, p[ROUNDING])


@row_kernel
def _as_usual(row: int) -> None:
    """Requantize lines of LENGTH codes of FROM bytes, in float32 to int8, in float64 to int16."""
    p = carray(v.int64_at(row), WORDS)
    count = p[LENGTH]
    for here, factor, to in _lines_of(row):
        if p[FROM] == 2 and p[TO] == 1:
            _by_single(carray(v.int16_at(here), count), factor, carray(v.int8_at(to), count), p)
        elif p[TO] == 1:
            _by_single(carray(v.int32_at(here), count), factor, carray(v.int8_at(to), count), p)
        elif p[FROM] == 2:
            _by_double(carray(v.int16_at(here), count), factor, carray(v.int16_at(to), count), p)
        else:
            _by_double(carray(v.int32_at(here), count), factor, carray(v.int16_at(to), count), p)


@row_kernel
def _otherwise(row: int) -> None:
    """Do the same in float64 to int8, in float32 to int16."""
    p = carray(v.int64_at(row), WORDS)
    count = p[LENGTH]
    for here, factor, to in _lines_of(row):
        if p[FROM] == 2 and p[TO] == 1:
            _by_double(carray(v.int16_at(here), count), factor, carray(v.int8_at(to), count), p)
        elif p[TO] == 1:
            _by_double(carray(v.int32_at(here), count), factor, carray(v.int8_at(to), count), p)
        elif p[FROM] == 2:
            _by_single(carray(v.int16_at(here), count), factor, carray(v.int16_at(to), count), p)
        else:
            _by_single(carray(v.int32_at(here), count), factor, carray(v.int16_at(to), count), p)


@inner
def _shifted(codes: Any, factor: int, out: Any, p: np.ndarray) -> None:
    """``out = clamp(round(q * M * 2**-s), low, high)`` for shifts in :data:`SHIFTS`, without a branch in the loop."""
    mantissas = carray(v.int64_at(p[FACTOR] + factor), codes.size)
    shifts = carray(v.int64_at(p[SHIFT] + factor), codes.size)
    several, low, high = p[FACTOR_ONE] != 0, p[LOW], p[HIGH]
    for i in range(codes.size):
        k = i if several else 0
        y = shifted_right(np.int64(codes[i]) * mantissas[k], shifts[k], p[ROUNDING])
        out[i] = np.int32(min(max(y, low), high))


@row_kernel
def _by_shift(row: int) -> None:
    """Do the same by mantissas and shifts, int64 each, that lie alike."""
    p = carray(v.int64_at(row), WORDS)
    count = p[LENGTH]
    for here, factor, to in _lines_of(row):
        if p[FROM] == 2 and p[TO] == 1:
            _shifted(carray(v.int16_at(here), count), factor, carray(v.int8_at(to), count), p)
        elif p[TO] == 1:
            _shifted(carray(v.int32_at(here), count), factor, carray(v.int8_at(to), count), p)
        elif p[FROM] == 2:
            _shifted(carray(v.int16_at(here), count), factor, carray(v.int16_at(to), count), p)
        else:
            _shifted(carray(v.int32_at(here), count), factor, carray(v.int16_at(to), count), p)


def requantized(q: np.ndarray, rq: Requantize, multiplier: np.ndarray) -> np.ndarray | None:
    """Return ``clamp(round(q * m), low, high)`` for `multiplier` that broadcasts; None where it is not done here."""
    dtype = NUMPY[rq.dtype]
    if q.dtype not in FROM_CODES or dtype not in TO_CODES:
        return None
    real = rq.kind in ("float32", "float64")
    tables = [multiplier.astype(rq.kind)] if real else [*integer_multiplier(multiplier, rq.kind)]
    if not real and not all(int(shift) in SHIFTS for shift in tables[1].flat):
        return None
    out, span, to, (codes, *factors) = lined(dtype, q, *tables)
    here, there = placed(codes), placed(to)
    address, *steps = placed(factors[0])
    shift = 0 if real else placed(factors[1])[0]
    row = np.array((
        0, *here[1:3], address, *steps, shift, 0, *there[1:3], *span, q.itemsize, out.itemsize, rq.low, rq.high,
        ROUNDING_CODES[rq.rounding],
    ))  # fmt: skip
    usual = (rq.kind, rq.dtype) in USUAL
    call = Call(_as_usual if usual else _otherwise if real else _by_shift, row, ((X, 0, 0), (OUT, RESULT, 0)))
    perform(call, (here[0],), there[0])
    if lies_alone(q, here[0]) and lies_alone(out, there[0]):
        note((q,), (out,), (call,), factors)
    return out
