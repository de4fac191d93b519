"""What all distances of a tensor from its float reference are made of, read where both lie, in whatever layout.

How two layouts run beside each other is worked out once; after that a tensor costs two addresses and one call. Knows
no distance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, lru_cache

import numpy as np

from qworkbench.emulator.kernels.lines import merged_axes
from qworkbench.emulator.kernels.surface import surface_of
from qworkbench.emulator.kernels.vector import pair_row as place

_REAL = np.dtype(np.float64)


def distance_sums(reference: np.ndarray, other: np.ndarray, scale: float = 1.0) -> list[float]:
    """Return the sums of a float32 reference and int8, int16 or float32 numbers that count in `scale`.

    Parameters
    ----------
    reference : numpy.ndarray
        float32.
    other : numpy.ndarray
        int8, int16 or float32, same shape; each stands for its float32 product with `scale`.
    scale : float

    Returns
    -------
    list of float
        Sum ab, sum a^2, sum b^2, sum |d|, sum d^2, max |d|, max |d| / |a|, number of elements. Same bits on every
        processor; the order of addition follows the layout of `other`.
    """
    if not other.size:
        return [0.0] * 8
    row = _row(reference.shape, reference.strides, other.strides, other.itemsize)
    if row is None:
        return distance_sums(np.ascontiguousarray(reference), np.ascontiguousarray(other), scale)
    row = row.copy()
    row[place.REFERENCE], row[place.OTHER] = _address(reference), _address(other)
    reals = row.view(_REAL)
    reals[place.SCALE] = scale
    _kernels()[other.dtype.char](row)
    found: list[float] = reals[place.SUMS :].tolist()
    if math.isnan(found[4]):
        found[5:] = math.nan, math.nan  # a maximum that ignores NaN would hide a broken tensor
    return [*found, float(reference.size)]


@cache
def _kernels() -> dict[str, Callable[[np.ndarray], None]]:
    from qworkbench.emulator.kernels.vector import pair_sums

    return {"b": pair_sums.of_int8, "h": pair_sums.of_int16, "f": pair_sums.of_float32}


def _address(array: np.ndarray) -> int:
    surface = surface_of(array)
    return int(array.ctypes.data) if surface is None else surface.origin


@lru_cache(4096)
def _row(
    shape: tuple[int, ...], strides: tuple[int, ...], other_strides: tuple[int, ...], itemsize: int
) -> np.ndarray | None:
    """Return a row of the kernel without addresses and scale; None where no three axes of adjacent pairs make it up.

    Axes are taken in the order in which the other operand lies in memory.
    """
    order = sorted(range(len(shape)), key=lambda axis: -other_strides[axis])
    if any(step % 4 for step in strides) or any(step % itemsize for step in other_strides):
        return None
    steps = [
        tuple(0 if shape[axis] == 1 else own[axis] // size for axis in order)
        for own, size in ((strides, 4), (other_strides, itemsize))
    ]
    sizes, steps = merged_axes(tuple(shape[axis] for axis in order), steps)
    if len(sizes) > 4 or any(step[-1] != 1 or min(step) < 0 for step in steps):
        return None
    more = 4 - len(sizes)
    row = np.zeros(place.WORDS, np.int64)
    row[place.SPAN : place.STEP] = (*(1,) * more, *sizes)
    row[place.STEP + more : place.AT] = [4 * step for step in steps[0][:-1]]
    row[place.AT + more : place.SCALE] = [itemsize * step for step in steps[1][:-1]]
    return row
