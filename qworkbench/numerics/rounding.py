"""The three ways to round, on floats and on integers with a shift.

Which one the hardware uses is not public; ``half_even`` is the default since it equals ONNX. Pure numpy.
"""

from __future__ import annotations

import numpy as np

from qworkbench.numerics.arithmetic import Rounding


def round_float(y: np.ndarray, rounding: Rounding) -> np.ndarray:
    """Round floats to whole numbers; ``y - floor(y)`` is exact, so that a tie is a tie and nothing else is."""
    if rounding == "half_even":
        return np.asarray(np.rint(y))
    if rounding == "half_up":
        floor = np.floor(y)
        return np.asarray(floor + (y - floor >= 0.5))
    floor = np.floor(np.abs(y))
    return np.asarray(np.copysign(floor + (np.abs(y) - floor >= 0.5), y))


def round_shift(value: np.ndarray, shift: int, rounding: Rounding) -> np.ndarray:
    """Return ``round(value * 2**-shift)`` of integers (int64, or Python integers in an object array)."""
    if shift <= 0:
        return np.asarray(value * 2**-shift)
    floor = value >> shift
    rest = value - (floor << shift)
    half = 1 << (shift - 1)
    if rounding == "half_even":
        tie = floor % 2 == 1
    elif rounding == "half_up":
        tie = np.ones(value.shape, dtype=bool)
    else:
        tie = value >= 0
    return np.asarray(floor + ((rest > half) | ((rest == half) & tie)))
