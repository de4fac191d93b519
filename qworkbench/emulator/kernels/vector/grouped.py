"""Convolution in groups of few channels: every dot takes the group's own word of a pixel, not the same in all lanes.

A vector of sums holds four channels of each 16 bytes of a pixel (:mod:`.groups`), so that words need not leave their
128 bits: one load of a pixel and one shuffle for each vector serve all of its groups. Everything else is as in
:mod:`.tile` and :mod:`.sweeps`.
"""

from __future__ import annotations

from typing import Any

from qworkbench.emulator.kernels.compiled import row_kernel
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector import machine
from qworkbench.emulator.kernels.vector import parameters as at
from qworkbench.emulator.kernels.vector.ir import carray
from qworkbench.emulator.kernels.vector.sweeps import panels_of
from qworkbench.emulator.kernels.vector.tile import Tile, Writer, tile_kernel

QUAD = 4  # channels of a vector of sums that follow each other: the int32 of 128 bits


class Grouped(Writer):
    """Writes tiles whose panels read the channels of their own place, by the table of shuffles in ORDER."""

    late = True

    def write(self) -> None:
        """Write the body; the shuffles stay in registers."""
        table, size = self.parameter(at.ORDER), self.width
        self.orders = [
            v.load(self.b, self.b.add(table, v.word(size * n)), v.vector(v.i8, size), size)
            for n in range(self.tile.vectors)
        ]
        super().write()

    def words(self, address: Any) -> list[Any]:
        """Return, for each vector of sums, the word of every group."""
        b = self.b
        codes = v.vector(v.i8, self.width)
        pixel = b.bitcast(self.flipped(v.load(b, address, self.kind)), codes)
        return [b.bitcast(machine.looked_up(b, pixel, order), self.kind) for order in self.orders]

    def put_in_order(self, bias: Any) -> None:
        """Put the quads of each pixel in the order of channels, and add the bias."""
        b, vectors = self.b, self.tile.vectors
        quads = [(place, n) for place in range(self.tile.lanes // QUAD) for n in range(vectors)]  # as channels follow
        each = self.tile.lanes // QUAD
        for row in self.sums:
            held = [b.load(room) for room in row]
            for n, room in enumerate(row):
                whole = self._gathered(held, quads[n * each : (n + 1) * each])
                b.store(b.add(whole, self.bias(bias, n)), room)

    def _gathered(self, held: list[Any], quads: list[tuple[int, int]]) -> Any:
        """Return the quads (place, vector) of `held` one behind the other."""
        parts = [v.shuffled(self.b, held[n], held[n], range(QUAD * place, QUAD * (place + 1))) for place, n in quads]
        return v.joined(self.b, parts)


_bytes = tile_kernel(Tile("busd", 16, 4, 4), Grouped)
_pairs = tile_kernel(Tile("wssd", 16, 6, 2), Grouped)
_half_pairs = tile_kernel(Tile("madd", 8, 4, 2), Grouped)


@row_kernel
def grouped_bytes_avx512(row: int) -> None:
    """Compute int8 by int8 in groups, in tiles of 64 channels."""
    p = carray(v.int64_at(row), at.WORDS)
    for panel, first, end in panels_of(row):
        weights, channel = p[at.WEIGHTS] + panel * p[at.PANEL_BYTES], panel * 64
        _bytes(row, weights, channel, p[at.CHANNELS] - channel, first, end, channel)


@row_kernel
def grouped_pairs_avx512(row: int) -> None:
    """Compute int16 in groups, in tiles of 32 channels."""
    p = carray(v.int64_at(row), at.WORDS)
    for panel, first, end in panels_of(row):
        weights, channel = p[at.WEIGHTS] + panel * p[at.PANEL_BYTES], panel * 32
        _pairs(row, weights, channel, p[at.CHANNELS] - channel, first, end, 2 * channel)


@row_kernel
def grouped_pairs_avx2(row: int) -> None:
    """Compute pairs of int16 in groups, in tiles of 16 channels."""
    p = carray(v.int64_at(row), at.WORDS)
    for panel, first, end in panels_of(row):
        weights, channel = p[at.WEIGHTS] + panel * p[at.PANEL_BYTES], panel * 16
        _half_pairs(row, weights, channel, 16, first, end, 2 * channel)
