"""A tile of 17 to 24 channels of bytes: what is behind the first 16 takes half a vector, so two pixels share one.

The lower half of a shared vector of sums belongs to the even pixel, the upper half to the odd one; the weights of these
channels are read into both halves. Before the sums leave, each pixel gets its half back.
"""

from __future__ import annotations

from typing import Any

from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector import machine
from qworkbench.emulator.kernels.vector.ir import cgutils
from qworkbench.emulator.kernels.vector.tile import Tile, Writer

MOST = 24  # channels


class Abreast(Writer):
    """Writes tiles of an even number of pixels and two vectors, of which the second is half empty."""

    def __init__(self, b: Any, tile: Tile, args: Any) -> None:
        super().__init__(b, tile, args)
        self.shared = [cgutils.alloca_once(b, self.kind) for _ in range(tile.pixels // 2)]
        half = tile.lanes // 2
        self._lower, self._upper = range(half), range(half, tile.lanes)
        self._even: Any = None

    def begin_part(self) -> None:
        """Put what the second vectors of two pixels hold into one."""
        for (_, even), (_, odd), room in zip(self.sums[::2], self.sums[1::2], self.shared, strict=True):
            self.b.store(self._joined(self.b.load(even), self.b.load(odd)), room)

    def put_in_order(self, bias: Any) -> None:  # noqa: ARG002  the sums began at it
        """Give each pixel its half back."""
        b = self.b
        for m, (_, room) in enumerate(self.sums):
            shared = b.load(self.shared[m // 2])
            b.store(v.shuffled(b, shared, shared, [*(self._upper if m % 2 else self._lower)] * 2), room)

    def multiply(self, m: int, words: list[Any], panel: list[Any]) -> None:
        """Add the products of pixel `m` with the first 16 channels; behind an odd one those of both with the others."""
        b, dot, (room, _) = self.b, self.tile.dot, self.sums[m]
        word, weight = words[0], panel[0]
        b.store(machine.dotted(b, dot, b.load(room), word, weight), room)
        if m % 2 == 0:
            self._even = word
            return
        twice = v.shuffled(b, panel[1], panel[1], [*self._lower, *self._lower])
        shared = self.shared[m // 2]
        b.store(machine.dotted(b, dot, b.load(shared), self._joined(self._even, word), twice), shared)

    def _joined(self, even: Any, odd: Any) -> Any:
        """Return the lower halves of two vectors, all of whose elements are equal or whose lower half counts."""
        return v.shuffled(self.b, even, odd, [*self._lower, *(self.tile.lanes + i for i in self._lower)])
