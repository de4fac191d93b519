"""Sums of int16 that may leave int32, as parts that do not: equal runs of the groups of a sum.

The parts are added in int64, so that the sum is exact before it wraps and what leaves int32 is counted.
"""

from __future__ import annotations

import numpy as np

from qworkbench.emulator.kernels.vector.paths import Path

LIMIT = 2**30  # of a part; as much again is left for the bias
MOST = 64  # parts of a tap


def most_of(codes: np.ndarray) -> int:
    """Return the largest magnitude of any code of the dtype; what is prepared must hold for every tensor of it."""
    return 128 if codes.dtype == np.int8 else 32768


def parts_that_fit(path: Path, dense: np.ndarray, largest: int) -> int | None:
    """Return how many parts (outputs, taps, length) codes make with ``largest * sum|w| < 2**30`` each, or None."""
    outputs, taps, length = dense.shape
    groups, per_word = path.groups(taps, length), path.per_word
    room = np.zeros((outputs, taps, groups * per_word), np.int64)
    np.abs(dense, out=room[:, :, :length], dtype=np.int64)
    magnitude = room.reshape(outputs, taps * groups, per_word).sum(axis=2)
    for count in (n for n in range(2, taps * min(groups, MOST) + 1) if taps * groups % (n * path.step(taps)) == 0):
        if largest * int(magnitude.reshape(outputs, count, -1).sum(axis=2).max()) < LIMIT:
            return count
    return None
