"""The roundings that every kernel inlines: of a float, and of an integer times a power of two."""

from __future__ import annotations

from typing import Any

import numpy as np

from qworkbench.emulator.kernels.compiled import inner
from qworkbench.numerics.arithmetic import ROUNDING_CODES

HALF_EVEN = ROUNDING_CODES["half_even"]
HALF_AWAY = ROUNDING_CODES["half_away"]


@inner
def whole(y: Any, low: Any, high: Any, rounding: int) -> np.int32:
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
        up = np.int32(np.int32(floor) + np.int32(magnitude - floor >= 0.5))
        return np.int32(-up) if y < 0 else up
    floor = np.floor(y)
    return np.int32(np.int32(floor) + np.int32(y - floor >= 0.5))


@inner
def shifted_right(p: Any, shift: Any, rounding: int) -> np.int64:
    """Return ``round(p * 2**-shift)`` for int64 ``|p| < 2**62`` and 0 < shift < 63.

    ``(p + half - t) >> shift`` with ``half = 2**(shift-1)`` and t = 0 (half_up), 1 - (p >> shift) mod 2 (half_even),
    p < 0 (half_away).
    """
    if rounding == HALF_EVEN:
        t = np.int64(1) - ((p >> shift) & np.int64(1))
    elif rounding == HALF_AWAY:
        t = (p >> np.int64(63)) & np.int64(1)
    else:
        t = np.int64(0)
    return np.int64((p + (np.int64(1) << (shift - 1)) - t) >> shift)


@inner
def shifted(p: Any, shift: Any, low: Any, high: Any, rounding: int) -> np.int32:
    """Return ``clamp(round(p * 2**-shift), low, high)`` as int32 for int64 ``|p| < 2**62`` and any shift."""
    if shift > 62:
        y = np.int64(0)
    elif shift > 0:
        y = shifted_right(p, shift, rounding)
    else:  # beyond 2**20 the code saturates in any case
        y = min(max(p, -(np.int64(1) << 20)), np.int64(1) << 20) << min(-shift, np.int64(16))
    y = low if y < low else y
    return np.int32(high if y > high else y)
