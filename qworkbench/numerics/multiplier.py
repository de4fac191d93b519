"""The integer forms of a real multiplier: 31-bit mantissa and shift, nearest power of two, two ratios on one shift.

How a BPU applies ``s_x * s_w / s_y`` is not public; these are the two integer models that can be chosen beside float32
and float64 (:class:`qworkbench.numerics.arithmetic.Arithmetic`). Pure numpy; knows nothing of tensors or operators.
"""

from __future__ import annotations

import numpy as np

from qworkbench.numerics.arithmetic import Multiplier

MANTISSA_BITS = 31


def fixed_point(multiplier: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ``(M, s)`` with ``multiplier ~ M * 2**-s`` and M in [2**30, 2**31).

    ``M = round_half_even(fraction * 2**31)`` of the float64 `multiplier` (> 0, finite); relative error <= 2**-31.

    Returns
    -------
    mantissa, shift : numpy.ndarray
        int64, the shape of `multiplier`. The shift is <= 0 for multipliers of 2**31 and above.
    """
    fraction, exponent = np.frexp(np.asarray(multiplier, dtype=np.float64))
    mantissa = np.rint(fraction * 2.0**MANTISSA_BITS).astype(np.int64)
    carried = mantissa == 1 << MANTISSA_BITS  # 0.99999999999 rounds up to 1.0
    mantissa = np.where(carried, mantissa >> 1, mantissa)
    return mantissa, MANTISSA_BITS - exponent.astype(np.int64) - carried


def power_of_two(multiplier: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ``(2**30, s)`` with ``2**30 * 2**-s`` the power of two nearest to `multiplier` in log2.

    A tie (``multiplier = sqrt(2) * 2**k``, which float64 can only approach) goes to the larger exponent.
    """
    fraction, exponent = np.frexp(np.asarray(multiplier, dtype=np.float64))
    exponent = exponent.astype(np.int64) - (fraction < np.sqrt(0.5))
    return np.full(exponent.shape, 1 << (MANTISSA_BITS - 1), dtype=np.int64), MANTISSA_BITS - 1 - exponent


def integer_multiplier(multiplier: np.ndarray, kind: Multiplier) -> tuple[np.ndarray, np.ndarray]:
    """Return mantissa and shift of the model `kind`: ``"fixed"`` or ``"pow2"``."""
    return power_of_two(multiplier) if kind == "pow2" else fixed_point(multiplier)


def common_shift(ratio_a: float, ratio_b: float, kind: Multiplier) -> tuple[int, int, int]:
    """Return ``(M_a, M_b, s)``: both ratios as integers over one ``2**-s``.

    The larger ratio keeps its 31-bit mantissa; the smaller one is rounded half to even on the same grid:
    ``s = min(s_a, s_b)``, ``M = round_half_even(M_x * 2**(s - s_x))``.
    """
    mantissas, shifts = integer_multiplier(np.array([ratio_a, ratio_b]), kind)
    shift = int(shifts.min())
    aligned = np.rint(np.ldexp(mantissas.astype(np.float64), (shift - shifts).astype(np.int32)))
    return int(aligned[0]), int(aligned[1]), shift
