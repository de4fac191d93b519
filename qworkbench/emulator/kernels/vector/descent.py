"""The walk of a depthwise 3 x 3 window down a column: a row of input is loaded once and enters three rows of output.

With stride 2 it enters one or two. How a row is loaded, multiplied and left is said by :mod:`.columns` and
:mod:`.pairs`.
"""

from __future__ import annotations

from typing import Any

from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import cgutils


class Descent:
    """Writes the walk of one block of channels down `rows` output rows.

    Parameters
    ----------
    b : llvmlite.ir.IRBuilder
    stride : int
        1 or 2.
    x, x_row, out, out_row, rows
        Address of the first input, bytes to the next row, the same of the output, and how many rows of it there are.
    """

    start: list[Any]
    """The bias, as vectors of sums."""

    def __init__(self, b: Any, stride: int, x: Any, x_row: Any, out: Any, out_row: Any, rows: Any) -> None:
        self.b, self.stride = b, stride
        self.x, self.x_row, self.out, self.out_row, self.rows = x, x_row, out, out_row, rows

    def load(self, address: Any) -> list[Any]:
        """Return a row of the window whose left column is at an address, as :meth:`dotted` takes it."""
        raise NotImplementedError

    def dotted(self, sums: list[Any], row: list[Any], r: int) -> list[Any]:
        """Return the `sums` plus the products of an input row with row `r` of the kernel."""
        raise NotImplementedError

    def leave(self, sums: list[Any], to: Any) -> None:
        """Store an output row of the block."""
        raise NotImplementedError

    def fetch(self, address: Any) -> None:
        """Ask for memory beside the row at an address, where that helps."""

    def write(self) -> None:
        """Write the body."""
        b = self.b
        here, to = (cgutils.alloca_once_value(b, address) for address in (self.x, self.out))
        upper, lower = ([cgutils.alloca_once(b, total.type) for total in self.start] for _ in range(2))
        first = self.load(self.x)
        if self.stride == 1:
            second = self.load(b.add(self.x, self.x_row))
            self._put(self.dotted(self.dotted(self.start, first, 0), second, 1), upper)
            self._put(self.dotted(self.start, second, 0), lower)
        else:
            self._put(self.dotted(self.start, first, 0), upper)
        b.store(b.add(self.x, b.mul(self.x_row, v.word(3 - self.stride))), here)
        with cgutils.for_range(b, self.rows, intp=v.i64):
            at = b.load(here)
            self.fetch(at)
            row = self.load(at)
            if self.stride == 1:
                self.leave(self.dotted(self._get(upper), row, 2), b.load(to))
                self._put(self.dotted(self._get(lower), row, 1), upper)
                self._put(self.dotted(self.start, row, 0), lower)
            else:
                middle = self.dotted(self._get(upper), row, 1)
                at = b.add(at, self.x_row)
                self.fetch(at)
                row = self.load(at)
                self.leave(self.dotted(middle, row, 2), b.load(to))
                self._put(self.dotted(self.start, row, 0), upper)
            b.store(b.add(at, self.x_row), here)
            b.store(b.add(b.load(to), self.out_row), to)

    def _put(self, values: list[Any], rooms: list[Any]) -> None:
        for value, room in zip(values, rooms, strict=True):
            self.b.store(value, room)

    def _get(self, rooms: list[Any]) -> list[Any]:
        return [self.b.load(room) for room in rooms]
