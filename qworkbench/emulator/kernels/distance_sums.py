"""What all distances of tensors from their float references are made of, read where they lie, in whatever layout.

How two layouts run beside each other is worked out once; after that a tensor costs two addresses, and one compiled call
reads any number of them: what Python keeps in the caches is not thrown out between two tensors. Knows no distance.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from functools import lru_cache
from struct import Struct

import numpy as np

from qworkbench.emulator.kernels.lines import descending, merged_axes
from qworkbench.emulator.kernels.threads import share, thread_count
from qworkbench.emulator.kernels.values import Value, value_of
from qworkbench.emulator.kernels.vector import pair_row as place
from qworkbench.errors import EmulationError

KINDS = {"b": place.INT8, "h": place.INT16, "f": place.FLOAT32}
SHARED = 1 << 18  # numbers from which on it pays to wake another thread
_ROW = Struct(f"qqd{8 * (place.WORDS - place.KIND)}s")
_WORD = Struct("q")


class Reference:
    """A float32 tensor that others are compared with: where it lies, and how those run beside it that it has met.

    Attributes
    ----------
    array : numpy.ndarray
        float32.
    """

    __slots__ = ("_address", "_met", "_size", "array")

    def __init__(self, array: np.ndarray) -> None:
        self.array, self._address, self._size = array, int(array.ctypes.data), float(array.size)
        self._met: dict[Hashable, bytes | None] = {}

    def met(self, other: np.ndarray | Value) -> bool:
        """Tell whether an array of the same shape and layout was read beside this one."""
        return self._met.get(_lie(other if type(other) is Value else value_of(other))) is not None  # type: ignore[arg-type]

    def beside(self, other: Value) -> tuple[int, float, bytes | None]:
        """Return the address, the number of elements and how `other`, of the same shape, runs beside them.

        Raises
        ------
        EmulationError
            When the shapes differ.
        """
        lie = _lie(other)
        layout = self._met.get(lie, b"")
        if layout == b"":
            array = other.array
            if array.shape != self.array.shape:
                raise EmulationError(f"cannot compare shapes {self.array.shape} and {array.shape}")
            layout = self._met[lie] = _layout(array.shape, self.array.strides, array.strides, array.dtype.char)
        return self._address, self._size, layout


Pair = tuple[Reference, np.ndarray | Value, float]
"""A reference; int8, int16 or float32 numbers of the same shape; the scale in which they count."""


def distance_sums(pairs: Sequence[Pair]) -> list[list[float]]:
    """Return the sums of each pair.

    Parameters
    ----------
    pairs : sequence of (Reference, numpy.ndarray or Value, float)
        See :data:`Pair`; a number of the array stands for its float32 product with the scale.

    Returns
    -------
    list of list of float
        Sum ab, sum a^2, sum b^2, sum |d|, sum d^2, max |d|, max |d| / |a|, number of elements. Same bits on every
        processor and with any number of threads; the order of addition follows the layout of the array.

    Raises
    ------
    EmulationError
        When the shapes of a pair differ.
    """
    from qworkbench.emulator.kernels.vector.pair_sums import fill_sums

    counter = _ROW.size * len(pairs)
    table = np.empty(counter + _WORD.size, np.uint8)
    memory = table.data
    sizes = []
    copies = []
    for i, (reference, other, scale) in enumerate(pairs):
        value = other if isinstance(other, Value) else value_of(other)
        address, size, layout = reference.beside(value)
        if layout is None:
            copied = Reference(np.ascontiguousarray(reference.array))
            value = value_of(np.ascontiguousarray(value.array))
            copies.append((copied, value))
            address, _, layout = copied.beside(value)
        at = value.origin if value.layout is not None else int(value.array.ctypes.data)
        _ROW.pack_into(memory, _ROW.size * i, address, at, scale, layout)
        sizes.append(size)
    _WORD.pack_into(memory, counter, 0)
    threads = min(thread_count(), len(pairs)) if sum(sizes) >= SHARED else 1
    start = int(table.ctypes.data)
    share(fill_sums, start, len(pairs), start + counter, threads=threads)
    numbers = table.view(np.float64)[:-1].reshape(len(pairs), place.WORDS)
    found: list[list[float]] = numbers[:, place.SUMS :].tolist()
    for total, size in zip(found, sizes, strict=True):
        if math.isnan(total[4]):
            total[5:] = math.nan, math.nan  # a maximum that ignores NaN would hide a broken tensor
        total.append(size)
    return found


def _lie(value: Value) -> Hashable:
    return value.layout or (value.array.shape, value.array.strides, value.array.dtype.char)


@lru_cache(4096)
def _layout(
    shape: tuple[int, ...], strides: tuple[int, ...], other_strides: tuple[int, ...], other_type: str
) -> bytes | None:
    """Return the words of a row from `KIND` on; None where no three axes of adjacent pairs make up the arrays.

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
    row[place.KIND] = KINDS[other_type]
    row[place.SPAN : place.STEP] = (*(1,) * more, *sizes)
    row[place.STEP + more : place.AT] = [4 * step for step in steps[0][:-1]]
    row[place.AT + more : place.SUMS] = [itemsize * step for step in steps[1][:-1]]
    return row[place.KIND :].tobytes()
