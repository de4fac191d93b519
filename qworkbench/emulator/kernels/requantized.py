"""Requantize of lines of int16 and int32 codes in the default arithmetic: in float32 to int8, in float64 to int16.

A row of parameters has all that a call takes, so that it is prepared once. Other arithmetic, and int8 codes, which have
a table, are :mod:`.rescale`'s.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qworkbench.emulator.kernels.calls import RESULT, Call, note, perform
from qworkbench.emulator.kernels.compiled import inner, row_kernel
from qworkbench.emulator.kernels.lines import Line, Span, lies_alone, placed
from qworkbench.emulator.kernels.rounding import whole
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import carray
from qworkbench.numerics.arithmetic import ROUNDING_CODES, Requantize

USUAL = {("int16", "float32", "int8"), ("int16", "float64", "int16"), ("int32", "float32", "int8"),
         ("int32", "float64", "int16")}  # fmt: skip
(X, X_IMAGE, X_ROW, FACTOR, FACTOR_IMAGE, FACTOR_ROW, FACTOR_ONE, OUT, OUT_IMAGE, OUT_ROW, IMAGES, ROWS, LENGTH, FROM,
 TO, LOW, HIGH, ROUNDING, WORDS) = range(19)  # fmt: skip


@inner
def _line(codes: Any, factors: np.ndarray, several: bool, out: Any, low: Any, high: Any, rounding: int) -> None:
    """``out = clamp(round(real(q) * m), low, high)``, by one factor or `several`."""
    real = factors.dtype.type
    for i in range(codes.size):
        out[i] = whole(real(codes[i]) * factors[i if several else 0], low, high, rounding)


@inner
def _leaves(codes: Any, p: np.ndarray, n: int, r: int) -> None:
    factor, to = p[FACTOR] + n * p[FACTOR_IMAGE] + r * p[FACTOR_ROW], p[OUT] + n * p[OUT_IMAGE] + r * p[OUT_ROW]
    count, several = p[LENGTH], p[FACTOR_ONE] != 0
    if p[TO] == 1:
        factors, narrow = carray(v.float32_at(factor), count), carray(v.int8_at(to), count)
        _line(codes, factors, several, narrow, np.float32(p[LOW]), np.float32(p[HIGH]), p[ROUNDING])
    else:
        doubles, wide = carray(v.float64_at(factor), count), carray(v.int16_at(to), count)
        _line(codes, doubles, several, wide, np.float64(p[LOW]), np.float64(p[HIGH]), p[ROUNDING])


@row_kernel
def _requantize(row: int) -> None:
    """Requantize lines of LENGTH codes of FROM bytes to TO bytes."""
    p = carray(v.int64_at(row), WORDS)
    for n in range(p[IMAGES]):
        for r in range(p[ROWS]):
            here = p[X] + n * p[X_IMAGE] + r * p[X_ROW]
            if p[FROM] == 2:
                _leaves(carray(v.int16_at(here), p[LENGTH]), p, n, r)
            else:
                _leaves(carray(v.int32_at(here), p[LENGTH]), p, n, r)


def requantize_lines(
    q: np.ndarray, out: np.ndarray, rq: Requantize, lines: tuple[Line, Line, Line], span: Span
) -> None:
    """Fill `out` with the requantized codes of `q`; `lines` are those of codes, factors and result."""
    codes, factors, to = map(placed, lines)
    row = np.array((
        0, *codes[1:3], *factors, 0, *to[1:3], *span, q.itemsize, out.itemsize, rq.low, rq.high,
        ROUNDING_CODES[rq.rounding],
    ))  # fmt: skip
    call = Call(_requantize, row, ((X, 0, 0), (OUT, RESULT, 0)))
    perform(call, (codes[0],), to[0])
    if lies_alone(q, codes[0]) and lies_alone(out, to[0]):
        note((q,), (out,), (call,), lines[1])
