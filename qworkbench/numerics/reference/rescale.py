"""Everything that rounds: quantize, requantize and the scaled sums of the elementwise operators.

Source of the rule ``q = clamp(round(x / s), qmin, qmax)``: the quantization accuracy tuning guide. Rounding and
multiplier model are parameters, since the hardware's are not public. Plain numpy, written to be read.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qworkbench.errors import EmulationError
from qworkbench.numerics import checks
from qworkbench.numerics.arithmetic import Requantize, Rounding
from qworkbench.numerics.dtypes import NUMPY, QMAX, QMIN
from qworkbench.numerics.multiplier import common_shift, integer_multiplier
from qworkbench.numerics.rounding import round_float, round_shift


def _along(values: np.ndarray, ndim: int, axis: int) -> np.ndarray:
    """Shape (C,) or (1,) values so that they broadcast along `axis` of an `ndim`-dimensional array."""
    if values.size == 1:
        return values.reshape((1,) * ndim)
    shape = [1] * ndim
    shape[axis] = values.size
    return values.reshape(shape)


def requantize(q: np.ndarray, rq: Requantize, axis: int = 1) -> np.ndarray:
    """Return ``clamp(round(q * m), low, high)``, m = ``rq.multiplier`` along `axis`.

    Parameters
    ----------
    q : numpy.ndarray
        int8, int16, int32 or int64 of any rank.
    rq : Requantize
        ``float32``: ``round(f32(q) * f32(m))``; ``float64``: ``round(f64(q) * m)``; ``fixed``: m becomes
        ``M * 2**-s`` with a 31-bit M and ``round_shift(q * M, s)`` is exact; ``pow2``: likewise with the nearest
        power of two.
    axis : int
        Of the multipliers when there is one per channel.

    Returns
    -------
    numpy.ndarray
        Codes of ``rq.dtype``, the shape of `q`.
    """
    checks.codes("requantize", q, allowed=("int8", "int16", "int32", "int64"))
    multiplier = checks.requantize("requantize", rq, q.shape[axis] if -q.ndim <= axis < q.ndim else 1)
    if rq.kind in ("float32", "float64"):
        real: Any = np.float32 if rq.kind == "float32" else np.float64
        with np.errstate(over="ignore"):
            product = q.astype(real) * _along(multiplier.astype(real), q.ndim, axis)
        # clamping to whole numbers first gives the same codes and keeps infinity out of the rounding
        return round_float(np.clip(product, real(rq.low), real(rq.high)), rq.rounding).astype(NUMPY[rq.dtype])
    mantissas, shifts = integer_multiplier(multiplier, rq.kind)
    out = np.empty(q.shape, dtype=NUMPY[rq.dtype])
    for index, (mantissa, shift) in enumerate(zip(mantissas.tolist(), shifts.tolist(), strict=True)):
        part: tuple[slice | int, ...] = (slice(None),) * q.ndim
        if len(mantissas) > 1:
            part = (slice(None),) * (axis % q.ndim) + (slice(index, index + 1),)
        chosen = q[part]
        small = chosen.size == 0 or (1 <= shift <= 62 and int(chosen.max()) < 2**31 and int(chosen.min()) >= -(2**31))
        wide = chosen.astype(np.int64 if small else object)
        out[part] = np.clip(round_shift(wide * mantissa, shift, rq.rounding), rq.low, rq.high).astype(out.dtype)
    return out


def quantize(x: np.ndarray, scale: np.ndarray | np.float32 | float, dtype: str, rounding: Rounding) -> np.ndarray:
    """Return ``clamp(round(x / s), qmin, qmax)``, the division in float32 (as ONNX QuantizeLinear).

    Parameters
    ----------
    x : numpy.ndarray
        float32; infinities saturate.
    scale : float32 or numpy.ndarray
        One, or (C,) along axis 1; > 0.
    dtype : "int8" | "int16"
    rounding : str

    Raises
    ------
    EmulationError
        When `x` holds NaN, which has no code.
    """
    checks.codes("quantize", x, allowed=("float32",))
    checks.rounding("quantize", rounding)
    scales = checks.scale("quantize", scale, x.shape)
    if np.isnan(x).any():
        raise EmulationError(f"quantize: {int(np.isnan(x).sum())} of {x.size} values are NaN, which has no code")
    with np.errstate(over="ignore"):
        ratio = x / _along(scales, x.ndim, 1)
    low, high = np.float32(QMIN[dtype]), np.float32(QMAX[dtype])
    return round_float(np.clip(ratio, low, high), rounding).astype(NUMPY[dtype])


def dequantize(q: np.ndarray, scale: np.ndarray | np.float32 | float) -> np.ndarray:
    """Return ``float32(q) * s`` for int8, int16 or int32 codes; `scale` is one, or (C,) along axis 1."""
    checks.codes("dequantize", q, allowed=("int8", "int16", "int32"))
    scales = checks.scale("dequantize", scale, q.shape)
    with np.errstate(over="ignore"):
        return np.asarray(q.astype(np.float32) * _along(scales, q.ndim, 1))


def _scaled_sum(
    owner: str, a: np.ndarray, b: np.ndarray, ratio_a: float, ratio_b: float, rq: Requantize, sign: int
) -> np.ndarray:
    checks.codes(owner, a, b)
    checks.requantize(owner, rq, 1)
    checks.ratio(owner, ratio_a, ratio_b)
    if rq.kind in ("float32", "float64"):
        real: Any = np.float32 if rq.kind == "float32" else np.float64
        left, right = a.astype(real) * real(ratio_a), b.astype(real) * real(ratio_b)
        total = np.clip(left + right if sign > 0 else left - right, real(rq.low), real(rq.high))
        return round_float(total, rq.rounding).astype(NUMPY[rq.dtype])
    mantissa_a, mantissa_b, shift = common_shift(ratio_a, ratio_b, rq.kind)
    exact = a.astype(object) * mantissa_a + b.astype(object) * (sign * mantissa_b)
    return np.asarray(np.clip(round_shift(exact, shift, rq.rounding), rq.low, rq.high)).astype(NUMPY[rq.dtype])


def add(a: np.ndarray, b: np.ndarray, ratio_a: float, ratio_b: float, rq: Requantize) -> np.ndarray:
    """Return ``clamp(round(f(a) * f(ratio_a) + f(b) * f(ratio_b)), low, high)``, ratio_x = s_x / s_y.

    f is float32 or float64 (``rq.kind``): two rounded products and one rounded sum, no fused multiply-add. ``fixed``
    and ``pow2``: ``round_shift(a * M_a + b * M_b, s)`` with both ratios on one grid
    (:func:`qworkbench.numerics.multiplier.common_shift`). ``rq.multiplier`` is not used. Operands broadcast.
    """
    return _scaled_sum("add", a, b, ratio_a, ratio_b, rq, 1)


def sub(a: np.ndarray, b: np.ndarray, ratio_a: float, ratio_b: float, rq: Requantize) -> np.ndarray:
    """Return ``clamp(round(f(a) * f(ratio_a) - f(b) * f(ratio_b)), low, high)``; see :func:`add`."""
    return _scaled_sum("sub", a, b, ratio_a, ratio_b, rq, -1)


def mul(a: np.ndarray, b: np.ndarray, rq: Requantize) -> np.ndarray:
    """Return ``requantize(int32(a) * int32(b))`` with the one multiplier ``s_a * s_b / s_y``; operands broadcast."""
    checks.codes("mul", a, b)
    checks.requantize("mul", rq, 1)
    return requantize(np.asarray(a.astype(np.int32) * b.astype(np.int32)), rq)
