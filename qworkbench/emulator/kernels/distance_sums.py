"""What all distances of tensors from their float references are made of, read where they lie, in whatever layout.

How two layouts run beside each other is worked out once; after that a tensor costs two addresses, and one compiled call
reads any number of them: what Python keeps in the caches is not thrown out between two tensors. Knows no distance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from qworkbench.emulator.kernels.lines import descending, merged_axes
from qworkbench.emulator.kernels.surface import surface_of
from qworkbench.emulator.kernels.threads import share, thread_count
from qworkbench.emulator.kernels.vector import pair_row as place

Pair = tuple[np.ndarray, np.ndarray, float]
"""A float32 reference; int8, int16 or float32 numbers of the same shape; the scale in which they count."""
KINDS = {"b": place.INT8, "h": place.INT16, "f": place.FLOAT32}
SHARED = 1 << 18  # numbers from which on it pays to wake another thread
_REAL = np.dtype(np.float64)


def distance_sums(pairs: Sequence[Pair]) -> list[list[float]]:
    """Return the sums of each pair.

    Parameters
    ----------
    pairs : sequence of (numpy.ndarray, numpy.ndarray, float)
        See :data:`Pair`; a number of the second array stands for its float32 product with the scale.

    Returns
    -------
    list of list of float
        Sum ab, sum a^2, sum b^2, sum |d|, sum d^2, max |d|, max |d| / |a|, number of elements. Same bits on every
        processor and with any number of threads; the order of addition follows the layout of the second array.
    """
    from qworkbench.emulator.kernels.vector.pair_sums import fill_sums

    rows = np.empty((len(pairs) + 1, place.WORDS), np.int64)
    rows[-1, 0] = 0  # the counter of rows taken
    reals = rows.view(_REAL)
    read = [_readable(reference, other) for reference, other, _ in pairs]
    for i, (template, reference, other) in enumerate(read):
        row = rows[i]
        row[:] = template
        row[place.REFERENCE], row[place.OTHER] = _address(reference), _address(other)
    reals[:-1, place.SCALE] = [scale for _, _, scale in pairs]
    address = int(rows.ctypes.data)
    sizes = [float(reference.size) for reference, _, _ in pairs]
    threads = min(thread_count(), len(pairs)) if sum(sizes) >= SHARED else 1
    share(fill_sums, address, len(pairs), address + rows.strides[0] * len(pairs), threads=threads)
    found: list[list[float]] = reals[:-1, place.SUMS :].tolist()
    for total, size in zip(found, sizes, strict=True):
        if math.isnan(total[4]):
            total[5:] = math.nan, math.nan  # a maximum that ignores NaN would hide a broken tensor
        total.append(size)
    return found


def _readable(reference: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a row without addresses and scale, and the arrays that it reads: copies where it has to be."""
    row = _row(reference.shape, reference.strides, other.strides, other.dtype.char)
    return (row, reference, other) if row is not None else _readable(*map(np.ascontiguousarray, (reference, other)))


def _address(array: np.ndarray) -> int:
    surface = surface_of(array)
    return int(array.ctypes.data) if surface is None else surface.origin


@lru_cache(4096)
def _row(
    shape: tuple[int, ...], strides: tuple[int, ...], other_strides: tuple[int, ...], other_type: str
) -> np.ndarray | None:
    """Return a row of the kernel without addresses and scale; None where no three axes of adjacent pairs make it up.

    Axes are taken in the order in which the other operand lies in memory.
    """
    itemsize = np.dtype(other_type).itemsize
    order = descending(other_strides)
    if any(step % 4 for step in strides) or any(step % itemsize for step in other_strides):
        return None
    steps = [
        tuple(0 if shape[axis] == 1 else own[axis] // size for axis in order)
        for own, size in ((strides, 4), (other_strides, itemsize))
    ]
    sizes, steps = merged_axes(tuple(shape[axis] for axis in order), steps)
    if 0 in shape:
        sizes, steps = (0,), [(1,), (1,)]
    if len(sizes) > 4 or any(step[-1] != 1 or min(step) < 0 for step in steps):
        return None
    more = 4 - len(sizes)
    row = np.zeros(place.WORDS, np.int64)
    row[place.SPAN : place.STEP] = (*(1,) * more, *sizes)
    row[place.STEP + more : place.AT] = [4 * step for step in steps[0][:-1]]
    row[place.AT + more : place.KIND] = [itemsize * step for step in steps[1][:-1]]
    row[place.KIND] = KINDS[other_type]
    return row
