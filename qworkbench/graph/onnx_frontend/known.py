"""Contents that are known before the model runs, and how they follow the batch.

An import runs all shape arithmetic at batch 2 and batch 3 at once. A number that is ``2 k`` in one and ``3 k`` in the
other is ``Sym(k)``; any other difference means that one graph cannot hold both, and the import starts again with one
fixed batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qworkbench.graph.node import Dim, Shape, Sym

FIRST, SECOND = 2, 3


class BatchMismatchError(Exception):
    """Something differs between the batches in another way than a multiple of the batch."""


@dataclass(frozen=True, eq=False)
class Known:
    """The content of a tensor: one array for all batches, or one per batch."""

    arrays: tuple[np.ndarray, ...]

    def at(self, index: int) -> np.ndarray:
        """Return the content in the import's batch number `index`."""
        return self.arrays[index] if len(self.arrays) > 1 else self.arrays[0]

    @property
    def fixed(self) -> bool:
        """Tell whether the content does not follow the batch."""
        return len(self.arrays) == 1


def known(arrays: Sequence[np.ndarray]) -> Known:
    """Return a :class:`Known` of `arrays`, joined to one where they are equal."""
    first = arrays[0]
    same = all(_equal(first, other) for other in arrays[1:])
    return Known((first,) if same else tuple(arrays))


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    if a is b:
        return True
    return a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def merged(numbers: Sequence[int]) -> Dim:
    """Return one dimension for what is ``numbers[0]`` at batch 2 and ``numbers[1]`` at batch 3.

    Raises
    ------
    BatchMismatchError
    """
    first = int(numbers[0])
    if all(int(n) == first for n in numbers):
        return first
    second = int(numbers[1])
    if first % FIRST == 0 and second % SECOND == 0 and first // FIRST == second // SECOND:
        return Sym(first // FIRST)
    raise BatchMismatchError(f"{first} at batch {FIRST}, {second} at batch {SECOND}")


def merged_all(rows: Sequence[Sequence[int]]) -> Shape:
    """Return one shape for the shapes (or lists of numbers) that hold at each batch."""
    if len({len(row) for row in rows}) != 1:
        raise BatchMismatchError("lists of different lengths")
    return tuple(merged(column) for column in zip(*rows, strict=True))
