"""Everything that rounds, as one pass over memory: requantize, quantize, dequantize and the scaled sums.

Kernels are plain numba functions over 2-D views (rows, elements of one multiplier): unsigned loop bounds and
compare-and-select clamps are what lets LLVM vectorize them. They compile once per combination of dtypes on first use
and are cached on disk. No ``fastmath``: it would fold the roundings away. Knows arrays only; what is right is said by
:mod:`qworkbench.numerics.reference`.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from qworkbench.emulator.kernels.views import owned, paired, rows_of
from qworkbench.errors import EmulationError
from qworkbench.numerics import checks
from qworkbench.numerics.arithmetic import ROUNDING_CODES, Requantize, Rounding
from qworkbench.numerics.dtypes import NUMPY, QMAX, QMIN
from qworkbench.numerics.multiplier import common_shift, integer_multiplier
from qworkbench.numerics.reference import requantize as requantize_exactly

HALF_EVEN = ROUNDING_CODES["half_even"]
HALF_AWAY = ROUNDING_CODES["half_away"]
INT32_MIN, INT32_MAX = QMIN["int32"], QMAX["int32"]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _whole(y: Any, low: Any, high: Any, rounding: int) -> np.int32:
    """Return ``clamp(round(y), low, high)`` as int32 for a float y.

    half_even: ``rint(y)``; half_up: ``floor(y) + (y - floor(y) >= 1/2)``; half_away: the same on ``|y|``, signed.
    """
    y = low if y < low else y
    y = high if y > high else y
    if rounding == HALF_EVEN:
        return np.int32(np.rint(y))
    if rounding == HALF_AWAY:
        magnitude = abs(y)
        floor = np.floor(magnitude)
        whole = np.int32(np.int32(floor) + np.int32(magnitude - floor >= 0.5))
        return np.int32(-whole) if y < 0 else whole
    floor = np.floor(y)
    return np.int32(np.int32(floor) + np.int32(y - floor >= 0.5))


@numba.njit(cache=True, nogil=True)
def _shifted(p: Any, shift: Any, low: Any, high: Any, rounding: int) -> np.int32:
    """Return ``clamp(round(p * 2**-shift), low, high)`` as int32 for int64 ``|p| < 2**62`` and any shift.

    ``(p + half - t) >> shift`` with ``half = 2**(shift-1)`` and t = 0 (half_up), 1 - (p >> shift) mod 2 (half_even),
    p < 0 (half_away).
    """
    if shift > 62:
        y = np.int64(0)
    elif shift > 0:
        if rounding == HALF_EVEN:
            t = np.int64(1) - ((p >> shift) & np.int64(1))
        elif rounding == HALF_AWAY:
            t = (p >> np.int64(63)) & np.int64(1)
        else:
            t = np.int64(0)
        y = (p + (np.int64(1) << (shift - 1)) - t) >> shift
    else:  # beyond 2**20 the code saturates in any case
        y = min(max(p, -(np.int64(1) << 20)), np.int64(1) << 20) << min(-shift, np.int64(16))
    y = low if y < low else y
    return np.int32(high if y > high else y)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _requantize_float(
    q: np.ndarray, multiplier: np.ndarray, per_element: bool, low: Any, high: Any, rounding: int, out: np.ndarray
) -> None:
    """``out = clamp(round(f(q) * m), low, high)``, f the float type of `multiplier`.

    m is ``multiplier[row mod size]``, or ``multiplier[element]`` of each row if `per_element`.
    """
    real = multiplier.dtype.type
    for row in range(q.shape[0]):
        if per_element:
            for i in range(q.shape[1]):
                out[row, i] = _whole(real(q[row, i]) * multiplier[i], low, high, rounding)
        else:
            m = multiplier[row % multiplier.size]
            for i in range(q.shape[1]):
                out[row, i] = _whole(real(q[row, i]) * m, low, high, rounding)


@numba.njit(cache=True, nogil=True)
def _requantize_fixed(
    q: np.ndarray,
    mantissa: np.ndarray,
    shift: np.ndarray,
    per_element: bool,
    low: Any,
    high: Any,
    rounding: int,
    out: np.ndarray,
) -> None:
    """``out = clamp(round(q * M * 2**-s), low, high)`` in int64, for ``|q| <= 2**31``; M, s as in the float form."""
    for row in range(q.shape[0]):
        if per_element:
            for i in range(q.shape[1]):
                out[row, i] = _shifted(np.int64(q[row, i]) * mantissa[i], shift[i], low, high, rounding)
        else:
            m, s = mantissa[row % mantissa.size], shift[row % mantissa.size]
            for i in range(q.shape[1]):
                out[row, i] = _shifted(np.int64(q[row, i]) * m, s, low, high, rounding)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _quantize(x: np.ndarray, scale: np.ndarray, low: Any, high: Any, rounding: int, out: np.ndarray) -> int:
    """``out = clamp(round(x / scale[row mod size]), low, high)`` in float32; return how many x are NaN."""
    missing = 0
    for row in range(x.shape[0]):
        s = scale[row % scale.size]
        for i in range(x.shape[1]):
            y = x[row, i] / s
            missing += np.isnan(y)
            out[row, i] = _whole(y, low, high, rounding)
    return missing


@numba.njit(cache=True, nogil=True)
def _dequantize(q: np.ndarray, scale: np.ndarray, out: np.ndarray) -> None:
    """``out = float32(q) * scale[row mod size]``."""
    for row in range(q.shape[0]):
        s = scale[row % scale.size]
        for i in range(q.shape[1]):
            out[row, i] = np.float32(q[row, i]) * s


@numba.njit(cache=True, nogil=True)
def _add_float(
    a: np.ndarray,
    b: np.ndarray,
    ratio_a: np.ndarray,
    ratio_b: np.ndarray,
    low: Any,
    high: Any,
    rounding: int,
    out: np.ndarray,
) -> None:
    """``out = clamp(round(f(a) * ratio_a + f(b) * ratio_b), low, high)``, f the float type of the ratios (size 1)."""
    real = ratio_a.dtype.type
    left, right = ratio_a[0], ratio_b[0]
    for i in range(a.size):
        out[i] = _whole(real(a[i]) * left + real(b[i]) * right, low, high, rounding)


@numba.njit(cache=True, nogil=True)
def _add_fixed(
    a: np.ndarray,
    b: np.ndarray,
    mantissa_a: int,
    mantissa_b: int,
    shift: int,
    low: Any,
    high: Any,
    rounding: int,
    out: np.ndarray,
) -> None:
    """``out = clamp(round((a * M_a + b * M_b) * 2**-s), low, high)`` in int64."""
    for i in range(a.size):
        total = np.int64(a[i]) * mantissa_a + np.int64(b[i]) * mantissa_b
        out[i] = _shifted(total, shift, low, high, rounding)


def requantize(q: np.ndarray, rq: Requantize, axis: int = 1) -> np.ndarray:
    """Return ``clamp(round(q * m), low, high)``; see :func:`qworkbench.numerics.reference.requantize`."""
    checks.codes("requantize", q, allowed=("int8", "int16", "int32", "int64"))
    multiplier = checks.requantize("requantize", rq, q.shape[axis] if -q.ndim <= axis < q.ndim else 1)
    out = np.empty(q.shape, dtype=NUMPY[rq.dtype])
    view, per_element = rows_of(q.shape, multiplier.size, axis)
    rounding = ROUNDING_CODES[rq.rounding]
    if rq.kind in ("float32", "float64"):
        real: Any = np.float32 if rq.kind == "float32" else np.float64
        codes, result = owned(q).reshape(view), out.reshape(view)
        _requantize_float(codes, multiplier.astype(real), per_element, real(rq.low), real(rq.high), rounding, result)
        return out
    if q.dtype == np.int64:
        if q.size and (int(q.min()) < INT32_MIN or int(q.max()) > INT32_MAX):
            return requantize_exactly(q, rq, axis)  # 31-bit mantissas need more than 64 bits here, and it is rare
        q = q.astype(np.int32)
    mantissa, shift = integer_multiplier(multiplier, rq.kind)
    codes, result = owned(q).reshape(view), out.reshape(view)
    _requantize_fixed(codes, mantissa, shift, per_element, rq.low, rq.high, rounding, result)
    return out


def quantize(x: np.ndarray, scale: np.ndarray | np.float32 | float, dtype: str, rounding: Rounding) -> np.ndarray:
    """Return ``clamp(round(x / s), qmin, qmax)``; see :func:`qworkbench.numerics.reference.quantize`."""
    checks.codes("quantize", x, allowed=("float32",))
    checks.rounding("quantize", rounding)
    scales = checks.scale("quantize", scale, x.shape)
    out = np.empty(x.shape, dtype=NUMPY[dtype])
    view, per_element = rows_of(x.shape, scales.size, 1)
    if per_element:
        view = (x.size, 1)
    low, high = np.float32(QMIN[dtype]), np.float32(QMAX[dtype])
    missing = _quantize(owned(x).reshape(view), owned(scales), low, high, ROUNDING_CODES[rounding], out.reshape(view))
    if missing:
        where = "look for it in the sample, or in the CPU op before it"
        raise EmulationError(f"quantize: {missing} of {x.size} values are NaN, which has no code; {where}")
    return out


def dequantize(q: np.ndarray, scale: np.ndarray | np.float32 | float) -> np.ndarray:
    """Return ``float32(q) * s``; see :func:`qworkbench.numerics.reference.dequantize`."""
    checks.codes("dequantize", q, allowed=("int8", "int16", "int32"))
    scales = checks.scale("dequantize", scale, q.shape)
    out = np.empty(q.shape, dtype=np.float32)
    view, per_element = rows_of(q.shape, scales.size, 1)
    if per_element:
        view = (q.size, 1)
    _dequantize(owned(q).reshape(view), owned(scales), out.reshape(view))
    return out


def _scaled_sum(
    owner: str, a: np.ndarray, b: np.ndarray, ratio_a: float, ratio_b: float, rq: Requantize, sign: int
) -> np.ndarray:
    checks.codes(owner, a, b)
    checks.requantize(owner, rq, 1)
    checks.ratio(owner, ratio_a, ratio_b)
    a, b = paired(a, b)
    out = np.empty(a.shape, dtype=NUMPY[rq.dtype])
    rounding = ROUNDING_CODES[rq.rounding]
    flat = a.reshape(-1), b.reshape(-1)
    if rq.kind in ("float32", "float64"):
        real: Any = np.float32 if rq.kind == "float32" else np.float64
        ratios = np.array([ratio_a], dtype=real), np.array([sign * ratio_b], dtype=real)
        _add_float(*flat, *ratios, real(rq.low), real(rq.high), rounding, out.reshape(-1))
    else:
        left, right, shift = common_shift(ratio_a, ratio_b, rq.kind)
        _add_fixed(*flat, left, sign * right, shift, rq.low, rq.high, rounding, out.reshape(-1))
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
    checks.requantize("mul", rq, 1)
    return requantize(np.asarray(np.multiply(a, b, dtype=np.int32)), rq)
