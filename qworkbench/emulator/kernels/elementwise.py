"""Elementwise functions of two operands of codes, each with its own scale: sum, difference, product, larger, smaller.

One pass over lines (:mod:`.lines`), operands broadcast, one rounding at the end and no ``fastmath``. The second operand
of a kernel may stay the same along a line; the first never does.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from qworkbench.emulator.kernels.compiled import kernel
from qworkbench.emulator.kernels.lines import Line, Span, lined
from qworkbench.emulator.kernels.lookup import look_up
from qworkbench.emulator.kernels.products import multiplied
from qworkbench.emulator.kernels.rescale import CODES, WORTH_A_TABLE
from qworkbench.emulator.kernels.rounding import shifted, whole
from qworkbench.emulator.kernels.sums import summed
from qworkbench.numerics import checks
from qworkbench.numerics.arithmetic import ROUNDING_CODES, Requantize
from qworkbench.numerics.dtypes import NUMPY
from qworkbench.numerics.multiplier import common_shift, integer_multiplier
from qworkbench.numerics.reference import mul as mul_exactly


@kernel()
def _add_float(
    a: np.ndarray, a_at: Any, b: np.ndarray, b_at: Any, out: np.ndarray, to: Any, span: Any, ratios: np.ndarray,
    low: Any, high: Any, rounding: int,
) -> None:  # fmt: skip
    """``out = clamp(round(f(a) * ratios[0] + f(b) * ratios[1]), low, high)``, f the float type of the ratios."""
    real = ratios.dtype.type
    left, right = ratios[0], ratios[1]
    images, rows, length = span
    for n in range(images):
        for r in range(rows):
            x = a[a_at[0] + n * a_at[1] + r * a_at[2] :]
            y = b[b_at[0] + n * b_at[1] + r * b_at[2] :]
            result = out[to[0] + n * to[1] + r * to[2] :]
            if b_at[3]:
                for i in range(length):
                    result[i] = whole(real(x[i]) * left + real(y[i]) * right, low, high, rounding)
            else:
                same = real(y[0]) * right
                for i in range(length):
                    result[i] = whole(real(x[i]) * left + same, low, high, rounding)


@kernel()
def _add_fixed(
    a: np.ndarray, a_at: Any, b: np.ndarray, b_at: Any, out: np.ndarray, to: Any, span: Any, left: int, right: int,
    shift: int, low: Any, high: Any, rounding: int,
) -> None:  # fmt: skip
    """``out = clamp(round((a * left + b * right) * 2**-shift), low, high)`` in int64."""
    images, rows, length = span
    for n in range(images):
        for r in range(rows):
            x, y = a_at[0] + n * a_at[1] + r * a_at[2], b_at[0] + n * b_at[1] + r * b_at[2]
            result = out[to[0] + n * to[1] + r * to[2] :]
            for i in range(length):
                total = np.int64(a[x + i]) * left + np.int64(b[y + i * b_at[3]]) * right
                result[i] = shifted(total, shift, low, high, rounding)


@kernel()
def _mul_float(
    a: np.ndarray, a_at: Any, b: np.ndarray, b_at: Any, out: np.ndarray, to: Any, span: Any, multiplier: np.ndarray,
    low: Any, high: Any, rounding: int,
) -> None:  # fmt: skip
    """``out = clamp(round(f(a * b) * m), low, high)``, f the float type of the multiplier, the product in int32."""
    real = multiplier.dtype.type
    factor = multiplier[0]
    images, rows, length = span
    for n in range(images):
        for r in range(rows):
            x = a[a_at[0] + n * a_at[1] + r * a_at[2] :]
            y = b[b_at[0] + n * b_at[1] + r * b_at[2] :]
            result = out[to[0] + n * to[1] + r * to[2] :]
            if b_at[3]:
                for i in range(length):
                    product = np.int32(np.int32(x[i]) * np.int32(y[i]))
                    result[i] = whole(real(product) * factor, low, high, rounding)
            else:
                same = np.int32(y[0])
                for i in range(length):
                    product = np.int32(np.int32(x[i]) * same)
                    result[i] = whole(real(product) * factor, low, high, rounding)


@kernel()
def _mul_fixed(
    a: np.ndarray, a_at: Any, b: np.ndarray, b_at: Any, out: np.ndarray, to: Any, span: Any, mantissa: int, shift: int,
    low: Any, high: Any, rounding: int,
) -> None:  # fmt: skip
    """``out = clamp(round(a * b * M * 2**-s), low, high)`` in int64."""
    images, rows, length = span
    for n in range(images):
        for r in range(rows):
            x, y = a_at[0] + n * a_at[1] + r * a_at[2], b_at[0] + n * b_at[1] + r * b_at[2]
            result = out[to[0] + n * to[1] + r * to[2] :]
            for i in range(length):
                product = np.int64(a[x + i]) * np.int64(b[y + i * b_at[3]])
                result[i] = shifted(product * mantissa, shift, low, high, rounding)


@kernel()
def _extremum(
    a: np.ndarray, a_at: Any, b: np.ndarray, b_at: Any, out: np.ndarray, to: Any, span: Any, larger: bool
) -> None:
    """``out = max(a, b)`` or ``min(a, b)``."""
    images, rows, length = span
    for n in range(images):
        for r in range(rows):
            x = a[a_at[0] + n * a_at[1] + r * a_at[2] :]
            y = b[b_at[0] + n * b_at[1] + r * b_at[2] :]
            result = out[to[0] + n * to[1] + r * to[2] :]
            for i in range(length):
                one, other = x[i], y[i * b_at[3]]
                result[i] = one if (one > other) == larger else other


def _operands(dtype: str, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, Span, Line, Line, Line, bool]:
    """Return out, span, the lines of out and of both operands, and whether they changed places."""
    out, span, to, (x, y) = lined(NUMPY[dtype], a, b)
    turned = x[1][3] == 0
    return (out, span, to, y, x, True) if turned else (out, span, to, x, y, False)


def _scaled_sum(
    owner: str, a: np.ndarray, b: np.ndarray, ratio_a: float, ratio_b: float, rq: Requantize, sign: int
) -> np.ndarray:
    checks.codes(owner, a, b)
    checks.requantize(owner, rq, 1)
    checks.ratio(owner, ratio_a, ratio_b)
    found = summed(a, b, ratio_a, sign * ratio_b, rq)
    if found is not None:
        return found
    out, span, to, x, y, turned = _operands(rq.dtype, a, b)
    rounding = ROUNDING_CODES[rq.rounding]
    if rq.kind in ("float32", "float64"):
        real: Any = np.float32 if rq.kind == "float32" else np.float64
        ratios = np.array([sign * ratio_b, ratio_a] if turned else [ratio_a, sign * ratio_b], real)
        _add_float(*x, *y, *to, span, ratios, real(rq.low), real(rq.high), rounding)
        return out
    left, right, shift = common_shift(ratio_a, ratio_b, rq.kind)
    left, right = (sign * right, left) if turned else (left, sign * right)
    _add_fixed(*x, *y, *to, span, left, right, shift, rq.low, rq.high, rounding)
    return out


def add(a: np.ndarray, b: np.ndarray, ratio_a: float, ratio_b: float, rq: Requantize) -> np.ndarray:
    """Return ``clamp(round(a * ratio_a + b * ratio_b), low, high)``; see :func:`qworkbench.numerics.reference.add`."""
    return _scaled_sum("add", a, b, ratio_a, ratio_b, rq, 1)


def sub(a: np.ndarray, b: np.ndarray, ratio_a: float, ratio_b: float, rq: Requantize) -> np.ndarray:
    """Return ``clamp(round(a * ratio_a - b * ratio_b), low, high)``; see :func:`qworkbench.numerics.reference.sub`."""
    return _scaled_sum("sub", a, b, ratio_a, ratio_b, rq, -1)


def mul(a: np.ndarray, b: np.ndarray, rq: Requantize) -> np.ndarray:
    """Return ``requantize(int32(a) * int32(b))``; see :func:`qworkbench.numerics.reference.mul`."""
    checks.codes("mul", a, b)
    multiplier = checks.requantize("mul", rq, 1)
    if b.size == 1 and a.dtype == np.int8 and a.size >= WORTH_A_TABLE and b.ndim <= a.ndim:
        return look_up(a, _products(int(b.reshape(-1)[0]), str(b.dtype), rq))
    found = multiplied(a, b, rq)
    if found is not None:
        return found
    out, span, to, x, y, _ = _operands(rq.dtype, a, b)
    rounding = ROUNDING_CODES[rq.rounding]
    if rq.kind in ("float32", "float64"):
        real: Any = np.float32 if rq.kind == "float32" else np.float64
        _mul_float(*x, *y, *to, span, multiplier.astype(real), real(rq.low), real(rq.high), rounding)
        return out
    mantissa, shift = (int(value[0]) for value in integer_multiplier(multiplier, rq.kind))
    _mul_fixed(*x, *y, *to, span, mantissa, shift, rq.low, rq.high, rounding)
    return out


@lru_cache(256)
def _products(code: int, dtype: str, rq: Requantize) -> np.ndarray:
    """Return the requantized product of one code with every int8 code from -128 up."""
    return mul_exactly(CODES, np.array([code], dtype), rq)


def maximum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the larger of two codes of one scale and dtype; operands broadcast."""
    checks.same_codes("maximum", a, b)
    out, span, to, x, y, _ = _operands(str(a.dtype), a, b)
    _extremum(*x, *y, *to, span, True)
    return out


def minimum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the smaller of two codes of one scale and dtype; operands broadcast."""
    checks.same_codes("minimum", a, b)
    out, span, to, x, y, _ = _operands(str(a.dtype), a, b)
    _extremum(*x, *y, *to, span, False)
    return out
