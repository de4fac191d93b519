"""Tiles of 128-bit vectors, whose instructions take what they need of a pixel from a lane of a register.

Everything else is as in :mod:`.tile`. A turn of the loop loads 16 bytes of a pixel, four groups, so these lie beside
each other (``Path.beside``). A dot of bytes names its lane; a product of matrices takes half the bytes of two pixels; a
product of int16 names its element, the weights of a word's two codes lying apart (``Path.layout``). Where weights come
in whole words, of a second activation or in groups of channels, products of the low and the high pairs of a vector are
added apart, and pairwise when all are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector import machine
from qworkbench.emulator.kernels.vector import parameters as at
from qworkbench.emulator.kernels.vector.grouped import Grouped
from qworkbench.emulator.kernels.vector.ir import cgutils
from qworkbench.emulator.kernels.vector.tile import Writer

LANES = 4


class ByLane(Writer):
    """Writes tiles whose dots take a lane of 16 bytes of a pixel."""

    def groups(self, rows: list[Any], reaches: Any, count: int) -> Iterator[Iterator[list[Any]]]:
        """Yield the words of every pixel: of a whole turn from one load each, else one by one."""
        if count != at.UNROLLED:
            yield from super().groups(rows, reaches, count)
            return
        b = self.b
        reach = v.load(b, reaches, v.i64, 8)
        pixels = [v.load(b, b.add(row, reach), self.kind) for row in rows]
        for u in range(count):
            yield ([v.shuffled(b, pixel, pixel, [u] * LANES)] * self.tile.vectors for pixel in pixels)


class ByMatrix(Writer):
    """Writes tiles of 2 x 2 sums a vector: two pixels by two channels, 8 codes of each at once."""

    late = True

    def write(self) -> None:
        """Write the body."""
        pairs, quads = range(self.tile.pixels // 2), range(2 * self.tile.vectors)
        self.apart = [[cgutils.alloca_once(self.b, self.kind) for _ in quads] for _ in pairs]
        super().write()

    def begin_part(self) -> None:
        """Begin at zero."""
        for room in (room for row in self.apart for room in row):
            self.b.store(v.constant(self.kind, [0] * LANES), room)

    def groups(self, rows: list[Any], reaches: Any, count: int) -> Iterator[Iterator[list[Any]]]:
        """Yield 8 codes of every two pixels, twice each: for the first and for the other half of the channels."""
        b, eight = self.b, v.vector(v.i64, 2)
        if count != at.UNROLLED:  # there are whole turns only
            yield from (iter(()) for _ in range(count))
            return
        reach = v.load(b, reaches, v.i64, 8)
        pixels = [v.load(b, b.add(row, reach), eight) for row in rows]
        pairs = list(zip(pixels[::2], pixels[1::2], strict=True))
        for u in range(count):
            yield ([v.shuffled(b, one, other, [u // 2, 2 + u // 2]), u % 2] for one, other in pairs)

    def multiply(self, m: int, words: list[Any], panel: list[Any]) -> None:
        """Add the products of pair `m` with a half of the channels."""
        b, (pixels, half) = self.b, words
        for n, weights in enumerate(panel, half * len(panel)):
            room = self.apart[m][n]
            b.store(machine.dotted(b, self.tile.dot, b.load(room), pixels, weights), room)

    def put_in_order(self, bias: Any) -> None:
        """Let each pixel have its sums, with the bias."""
        b = self.b
        starts = [self.bias(bias, n) for n in range(self.tile.vectors)]
        for m, row in enumerate(self.sums):
            held, k = self.apart[m // 2], m % 2
            for n, (room, start) in enumerate(zip(row, starts, strict=True)):
                left, right = (b.load(part) for part in held[2 * n : 2 * n + 2])
                whole = v.shuffled(b, left, right, [2 * k, 2 * k + 1, 4 + 2 * k, 5 + 2 * k])
                b.store(b.add(whole, start), room)


class ByElement(Writer):
    """Writes tiles of int16 whose products take an element of 16 bytes of a pixel; codes of a word are split."""

    def groups(self, rows: list[Any], reaches: Any, count: int) -> Iterator[Iterator[list[Any]]]:
        """Yield both codes of every pixel's word: of a whole turn from one load each, else one by one."""
        b, whole = self.b, count == at.UNROLLED
        kind = v.vector(v.i16, 2 * LANES if whole else 2)
        reach = v.load(b, reaches, v.i64, 8)
        pixels = [v.load(b, b.add(row, reach), kind) for row in rows]
        for u in range(count):
            yield ([v.shuffled(b, pixel, pixel, [2 * u + k] * LANES) for k in range(2)] for pixel in pixels)

    def multiply(self, m: int, words: list[Any], panel: list[Any]) -> None:
        """Add the products of pixel `m` with two lines of the panel."""
        b, halves = self.b, [range(LANES * half, LANES * (half + 1)) for half in range(2)]
        lines = [b.bitcast(line, v.vector(v.i16, 2 * LANES)) for line in panel]
        for k, code in enumerate(words):
            wide = b.sext(code, self.kind)
            for n, room in enumerate(self.sums[m]):
                line = lines[k * len(lines) // 2 + n // 2]
                weight = b.sext(v.shuffled(b, line, line, halves[n % 2]), self.kind)
                b.store(b.add(b.load(room), b.mul(weight, wide)), room)


class Pairwise(Writer):
    """Writes tiles of int16 in words: two vectors of products for each of sums."""

    def write(self) -> None:
        """Write the body."""
        rows, vectors = range(self.tile.pixels), range(self.tile.vectors)
        self.apart = [[[cgutils.alloca_once(self.b, self.kind) for _ in range(2)] for _ in vectors] for _ in rows]
        super().write()

    def begin_part(self) -> None:
        """Forget the products of the part before."""
        for rooms in (rooms for row in self.apart for rooms in row):
            for room in rooms:
                self.b.store(v.constant(self.kind, [0] * LANES), room)

    def multiply(self, m: int, words: list[Any], panel: list[Any]) -> None:
        """Add the products of pixel `m` with a line of the panel."""
        b = self.b
        for rooms, word, weight in zip(self.apart[m], words, panel, strict=True):
            pairs = [b.bitcast(value, v.vector(v.i16, 2 * LANES)) for value in (word, weight)]
            for half, room in enumerate(rooms):
                taken = range(LANES * half, LANES * (half + 1))
                one, other = (b.sext(v.shuffled(b, pair, pair, taken), self.kind) for pair in pairs)
                b.store(b.add(b.load(room), b.mul(one, other)), room)

    def end_part(self, bias: Any, first: Any) -> None:
        """Join the products of each channel."""
        b = self.b
        nothing = v.constant(self.kind, [0] * LANES)
        starts = [nothing] * self.tile.vectors
        if not self.late:
            starts = [b.select(first, self.bias(bias, n), nothing) for n in range(self.tile.vectors)]
        for totals, row in zip(self.sums, self.apart, strict=True):
            for total, rooms, start in zip(totals, row, starts, strict=True):
                low, high = (b.load(room) for room in rooms)
                even, odd = (v.shuffled(b, low, high, range(k, 2 * LANES, 2)) for k in range(2))
                b.store(b.add(b.add(even, odd), start), total)


class GroupedPairwise(Grouped, Pairwise):
    """Writes tiles of int16 in groups of few channels."""
