"""Sums of int16 that may leave int32, as parts that do not: ranges of taps, and of their groups where a tap is long.

The parts are added in int64, so that the sum is exact before it wraps and what leaves int32 is counted.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LIMIT = 2**30  # of a part; as much again is left for the bias
MOST_SPLITS = 64


class Parts(NamedTuple):
    """Into how many taps each is split, and how many parts all of them make, each of as many."""

    splits: int
    total: int


WHOLE = Parts(1, 1)


def parts_that_fit(dense: np.ndarray, per_word: int, largest: int) -> Parts | None:
    """Return parts of (outputs, taps, length) codes with ``largest * sum|w| < 2**30`` each; None where none do."""
    outputs, taps, length = dense.shape
    groups = -(-length // per_word)
    room = np.zeros((outputs, taps, groups * per_word), np.int64)
    np.abs(dense, out=room[:, :, :length], dtype=np.int64)
    magnitude = room.reshape(outputs, taps * groups, per_word).sum(axis=2)
    for splits in (n for n in range(1, min(groups, MOST_SPLITS) + 1) if groups % n == 0):
        whole = taps * splits
        for count in (n for n in range(2, whole + 1) if whole % n == 0):
            if largest * int(magnitude.reshape(outputs, count, -1).sum(axis=2).max()) < LIMIT:
                return Parts(splits, count)
    return None
