"""Requantize, quantize and dequantize in one pass over memory, one operand and its multipliers.

Kernels run over lines (:mod:`.lines`): a multiplier is an operand that repeats, whether there is one or one per
channel. No ``fastmath``: it would fold the roundings away. int8 codes with one multiplier are 256 results in a table.
Knows arrays only; what is right is said by :mod:`qworkbench.numerics.reference`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from qworkbench.emulator.kernels.calls import note, perform
from qworkbench.emulator.kernels.compiled import kernel
from qworkbench.emulator.kernels.lines import lies_alone, lined, placed
from qworkbench.emulator.kernels.lookup import look_up
from qworkbench.emulator.kernels.requantized import requantized
from qworkbench.emulator.kernels.rounding import shifted, whole
from qworkbench.emulator.kernels.runs import dequantized_run, dequantizing, quantized_run
from qworkbench.emulator.kernels.surface import surface_of
from qworkbench.emulator.kernels.values import Surface
from qworkbench.errors import EmulationError
from qworkbench.numerics import checks
from qworkbench.numerics.arithmetic import ROUNDING_CODES, Requantize, Rounding
from qworkbench.numerics.dtypes import NUMPY, QMAX, QMIN
from qworkbench.numerics.multiplier import integer_multiplier
from qworkbench.numerics.reference import requantize as requantize_exactly

INT32_MIN, INT32_MAX = QMIN["int32"], QMAX["int32"]
CODES = np.arange(-128, 128).astype(np.int8)
WORTH_A_TABLE = 1024  # codes; below, the table costs more than the pass


@kernel()
def _requantize_float(
    q: np.ndarray, at: Any, multiplier: np.ndarray, m_at: Any, out: np.ndarray, to: Any, span: Any, low: Any, high: Any,
    rounding: int,
) -> None:  # fmt: skip
    """``out = clamp(round(f(q) * m), low, high)``, f the float type of m."""
    real = multiplier.dtype.type
    images, rows, length = span
    for n in range(images):
        for r in range(rows):
            codes = q[at[0] + n * at[1] + r * at[2] :]
            factors = multiplier[m_at[0] + n * m_at[1] + r * m_at[2] :]
            result = out[to[0] + n * to[1] + r * to[2] :]
            if m_at[3]:
                for i in range(length):
                    result[i] = whole(real(codes[i]) * factors[i], low, high, rounding)
            else:
                factor = factors[0]
                for i in range(length):
                    result[i] = whole(real(codes[i]) * factor, low, high, rounding)


@kernel()
def _requantize_fixed(
    q: np.ndarray, at: Any, mantissa: np.ndarray, shift: np.ndarray, m_at: Any, out: np.ndarray, to: Any, span: Any,
    low: Any, high: Any, rounding: int,
) -> None:  # fmt: skip
    """``out = clamp(round(q * M * 2**-s), low, high)`` in int64, for ``|q| <= 2**31``."""
    images, rows, length = span
    for n in range(images):
        for r in range(rows):
            begin, first, there = at[0] + n * at[1] + r * at[2], m_at[0] + n * m_at[1] + r * m_at[2], to[0] + n * to[1]
            for i in range(length):
                k = first + i * m_at[3]
                y = shifted(np.int64(q[begin + i]) * mantissa[k], shift[k], low, high, rounding)
                out[there + r * to[2] + i] = y


@kernel()
def _quantize(
    x: np.ndarray, at: Any, scale: np.ndarray, s_at: Any, out: np.ndarray, to: Any, span: Any, low: Any, high: Any,
    rounding: int,
) -> int:  # fmt: skip
    """``out = clamp(round(x / s), low, high)`` in float32; return how many x are NaN."""
    missing = 0
    images, rows, length = span
    for n in range(images):
        for r in range(rows):
            values = x[at[0] + n * at[1] + r * at[2] :]
            steps = scale[s_at[0] + n * s_at[1] + r * s_at[2] :]
            result = out[to[0] + n * to[1] + r * to[2] :]
            lost = np.int32(0)
            if s_at[3]:
                for i in range(length):
                    y = values[i] / steps[i]
                    lost = np.int32(lost + np.int32(np.isnan(y)))
                    result[i] = whole(y, low, high, rounding)
            else:
                step = steps[0]
                for i in range(length):
                    y = values[i] / step
                    lost = np.int32(lost + np.int32(np.isnan(y)))
                    result[i] = whole(y, low, high, rounding)
            missing += int(lost)
    return missing


def along(values: np.ndarray, rank: int, axis: int) -> np.ndarray:
    """Return one value, or one per entry of `axis`, in a shape that broadcasts over `rank` axes."""
    return values.reshape((1,) * rank if values.size == 1 else (-1,) + (1,) * (rank - 1 - axis % rank))


def requantize(q: np.ndarray, rq: Requantize, axis: int = 1) -> np.ndarray:
    """Return ``clamp(round(q * m), low, high)``; see :func:`qworkbench.numerics.reference.requantize`."""
    checks.codes("requantize", q, allowed=("int8", "int16", "int32", "int64"))
    multiplier = checks.requantize("requantize", rq, q.shape[axis] if -q.ndim <= axis < q.ndim else 1)
    if multiplier.size == 1 and q.dtype == np.int8 and q.size >= WORTH_A_TABLE:
        return look_up(q, _table(float(multiplier[0]), rq.dtype, rq.low, rq.high, rq.rounding, rq.kind))
    rounding, dtype = ROUNDING_CODES[rq.rounding], NUMPY[rq.dtype]
    multiplier = along(multiplier, q.ndim, axis)
    found = requantized(q, rq, multiplier)
    if found is not None:
        return found
    if rq.kind in ("float32", "float64"):
        real: Any = np.float32 if rq.kind == "float32" else np.float64
        out, span, to, (codes, factors) = lined(dtype, q, multiplier.astype(real))
        _requantize_float(*codes, *factors, *to, span, real(rq.low), real(rq.high), rounding)
        return out
    if q.dtype == np.int64:
        if q.size and (int(q.min()) < INT32_MIN or int(q.max()) > INT32_MAX):
            return requantize_exactly(q, rq, axis)  # 31-bit mantissas need more than 64 bits here, and it is rare
        q = q.astype(np.int32)
    mantissa, shift = integer_multiplier(multiplier, rq.kind)
    out, span, to, (codes, factors, (shifts, _)) = lined(dtype, q, mantissa, shift)
    _requantize_fixed(*codes, factors[0], shifts, factors[1], *to, span, rq.low, rq.high, rounding)
    return out


@lru_cache(maxsize=256)
def _table(multiplier: float, dtype: str, low: int, high: int, rounding: Rounding, kind: Any) -> np.ndarray:
    """Return the requantized code of every int8 code from -128 up."""
    return requantize_exactly(CODES, Requantize(np.array([multiplier]), dtype, low, high, rounding, kind))


def quantize(
    x: np.ndarray,
    scale: np.ndarray | np.float32 | float,
    dtype: str,
    rounding: Rounding,
    *,
    margin: int | None = None,
) -> np.ndarray:
    """Return ``clamp(round(x / s), qmin, qmax)``; see :func:`qworkbench.numerics.reference.quantize`.

    With a `margin`, planes come out as a surface with so many zeros around, for the convolution that reads them next.
    """
    made = quantized_run(x, scale, dtype, rounding) if margin is None else _to_pixels(x, scale, dtype, rounding, margin)
    if made is None:
        checks.codes("quantize", x, allowed=("float32",))
        checks.rounding("quantize", rounding)
        scales = checks.scale("quantize", scale, x.shape)
        made = _in_lines(x, scales, dtype, rounding)
    out, missing = made
    if missing:
        missing = int(np.isnan(x).sum())  # what lies beside the pixels of a surface may not be a number, and is none
    if missing:
        where = "look for it in the sample, or in the CPU op before it"
        raise EmulationError(f"quantize: {missing} of {x.size} values are NaN, which has no code; {where}")
    return out


def _to_pixels(x: np.ndarray, scale: Any, dtype: str, rounding: Rounding, margin: int) -> tuple[np.ndarray, int] | None:
    from qworkbench.emulator.kernels.vector.images import quantized_pixels

    return quantized_pixels(x, scale, dtype, rounding, margin)


def _to_planes(q: np.ndarray, surface: Surface, scales: np.ndarray) -> np.ndarray:
    from qworkbench.emulator.kernels.vector.planes import dequantized_planes

    return dequantized_planes(q, surface, scales)


def _in_lines(x: np.ndarray, scales: np.ndarray, dtype: str, rounding: Rounding) -> tuple[np.ndarray, int]:
    """Return codes that lie as `x` does, and how many numbers are NaN."""
    low, high = np.float32(QMIN[dtype]), np.float32(QMAX[dtype])
    out, span, to, (values, steps) = lined(NUMPY[dtype], x, along(scales, x.ndim, 1))
    return out, _quantize(*values, *steps, *to, span, low, high, ROUNDING_CODES[rounding])


def dequantize(q: np.ndarray, scale: np.ndarray | np.float32 | float) -> np.ndarray:
    """Return ``float32(q) * s``; see :func:`qworkbench.numerics.reference.dequantize`."""
    surface = surface_of(q) if isinstance(q, np.ndarray) and q.itemsize < 4 else None
    if surface is not None and not q.flags.c_contiguous:
        return _to_planes(q, surface, checks.scale("dequantize", scale, q.shape))  # the CPU computes on planes
    run = dequantized_run(q, scale)
    if run is not None:
        return run
    checks.codes("dequantize", q, allowed=("int8", "int16", "int32"))
    scales = along(checks.scale("dequantize", scale, q.shape), q.ndim, 1)
    out, span, to, (codes, steps) = lined(np.float32, q, scales)
    call = dequantizing(q.itemsize, placed(codes), placed(steps), placed(to), span)
    perform(call, (placed(codes)[0],), placed(to)[0])
    if lies_alone(q, placed(codes)[0]) and lies_alone(out, placed(to)[0]):
        note((q,), (out,), (call,), steps)
    return out
