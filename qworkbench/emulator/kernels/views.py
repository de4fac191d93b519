"""The few shapes in which kernels meet arrays, so that each compiles once per dtype and not once per layout."""

from __future__ import annotations

import numpy as np

from qworkbench.emulator.kernels.surface import planes_of


def owned(array: np.ndarray) -> np.ndarray:
    """Return `array` C-contiguous and writable, so that every call meets the same compiled kernel."""
    array = planes_of(array)
    return array if array.flags.writeable else array.copy()


def paired(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both operands broadcast to their common shape and :func:`owned`."""
    if a.shape != b.shape:
        a, b = np.broadcast_arrays(a, b)
    return owned(a), owned(b)


def rows_of(shape: tuple[int, ...], count: int, axis: int) -> tuple[tuple[int, int], bool]:
    """Return the 2-D view of `shape` whose rows have one of `count` multipliers each, and whether they lie inside rows.

    Multipliers along the last axis lie inside the rows; one multiplier for all is one long row.
    """
    size = int(np.prod(shape))
    if count == 1:
        return (1, size), False
    axis %= len(shape)
    inner = int(np.prod(shape[axis + 1 :]))
    return ((size // count, count), True) if inner == 1 else ((size // max(inner, 1), inner), False)
