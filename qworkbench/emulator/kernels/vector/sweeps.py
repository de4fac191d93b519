"""Which tiles run in which order: chunks of pixels that stay in the first-level cache while the panels pass.

A panel is a full tile of channels; what is left of the channels is a panel of a narrower tile with more pixels: enough
sums to keep the dots busy, few enough pixels that their addresses stay in registers. Several threads may share one row
of parameters: each takes the next chunk.
"""

from __future__ import annotations

from collections.abc import Iterator

from qworkbench.emulator.kernels.compiled import inner, row_kernel
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.abreast import MOST, Abreast
from qworkbench.emulator.kernels.vector.ir import carray
from qworkbench.emulator.kernels.vector.parameters import (
    CHANNELS,
    CHUNKS,
    COUNT,
    COUNTER,
    PANEL_BYTES,
    PANEL_PARTS,
    PANELS,
    PIXELS_OF_TILE,
    SHIFTS,
    TAIL,
    WEIGHTS,
    WIDE,
    WORDS,
)
from qworkbench.emulator.kernels.vector.tile import Tile, tile_kernel

SLICE = 48  # pixels of a chunk are a multiple of this: of whole tiles of every shape

_bytes5, _bytes6, _half8, _quarter8 = (
    tile_kernel(Tile("busd", 16, pixels, vectors)) for pixels, vectors in ((5, 4), (6, 4), (8, 2), (8, 1))
)
_words6, _half_words8, _quarter_words8 = (
    tile_kernel(Tile("wssd", 16, pixels, vectors)) for pixels, vectors in ((6, 4), (8, 2), (8, 1))
)
_abreast8 = tile_kernel(Tile("busd", 16, 8, 2), Abreast)
_bytes16, _bytes8 = (tile_kernel(Tile("busd", 8, pixels, vectors)) for pixels, vectors in ((6, 2), (8, 1)))
_words16, _words8 = (tile_kernel(Tile("madd", 8, pixels, vectors)) for pixels, vectors in ((6, 2), (8, 1)))


@inner
def parts_of(row: int, unit: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield first pixel, end, first panel and end of every chunk that no other thread has taken; `unit` pixels fit."""
    p = carray(v.int64_at(row), WORDS)
    parts, units = p[PANEL_PARTS], (p[COUNT] + unit - 1) // unit
    slices = p[CHUNKS] // parts
    while True:
        chunk = v.taken(row + 8 * COUNTER)
        if chunk >= p[CHUNKS]:
            break
        place, share = chunk // parts, chunk % parts
        first, end = place * units // slices * unit, (place + 1) * units // slices * unit
        yield first, min(end, p[COUNT]), share * p[PANELS] // parts, (share + 1) * p[PANELS] // parts


@inner
def panels_of(row: int) -> Iterator[tuple[int, int, int]]:
    """Yield panel, first pixel and end, panel by panel of every such chunk."""
    for first, end, begin, stop in parts_of(row, SLICE):
        for panel in range(begin, stop):
            yield panel, first, end


@row_kernel
def bytes_avx512(row: int) -> None:
    """Compute int8 by int8 in tiles of 64 channels, and of 32, 24 or 16 behind them."""
    p = carray(v.int64_at(row), WORDS)
    for panel, first, end in panels_of(row):
        weights, channel = p[WEIGHTS] + panel * p[PANEL_BYTES], panel * 64
        count, shift = p[CHANNELS] - channel, v.word_at(p[SHIFTS] + 8 * panel)
        if panel >= p[WIDE] and p[TAIL] == 32 and count <= MOST:
            _abreast8(row, weights, channel, count, first, end, shift)
        elif panel >= p[WIDE] and p[TAIL] == 32:
            _half8(row, weights, channel, count, first, end, shift)
        elif panel >= p[WIDE] and p[TAIL] == 16:
            _quarter8(row, weights, channel, count, first, end, shift)
        elif p[PIXELS_OF_TILE] == 5:
            _bytes5(row, weights, channel, count, first, end, shift)
        else:
            _bytes6(row, weights, channel, count, first, end, shift)


@row_kernel
def pairs_avx512(row: int) -> None:
    """Compute int16 in tiles of 64 channels, and of 32 or 16 behind them."""
    p = carray(v.int64_at(row), WORDS)
    for panel, first, end in panels_of(row):
        weights, channel = p[WEIGHTS] + panel * p[PANEL_BYTES], panel * 64
        count, shift = p[CHANNELS] - channel, v.word_at(p[SHIFTS] + 8 * panel)
        if panel >= p[WIDE] and p[TAIL] == 16:
            _quarter_words8(row, weights, channel, count, first, end, shift)
        elif panel >= p[WIDE]:
            _half_words8(row, weights, channel, count, first, end, shift)
        else:
            _words6(row, weights, channel, count, first, end, shift)


@row_kernel
def bytes_avxvnni(row: int) -> None:
    """Compute int8 by int8 in tiles of 16 channels, 12 sums of 256 bits in registers, and of 8 behind them."""
    p = carray(v.int64_at(row), WORDS)
    for panel, first, end in panels_of(row):
        weights, shift = p[WEIGHTS] + panel * p[PANEL_BYTES], v.word_at(p[SHIFTS] + 8 * panel)
        if panel >= p[WIDE]:
            _bytes8(row, weights, panel * 16, 8, first, end, shift)
        else:
            _bytes16(row, weights, panel * 16, 16, first, end, shift)


@row_kernel
def pairs_avx2(row: int) -> None:
    """Compute pairs of int16 in tiles of 16 channels, and of 8 behind them."""
    p = carray(v.int64_at(row), WORDS)
    for panel, first, end in panels_of(row):
        weights, shift = p[WEIGHTS] + panel * p[PANEL_BYTES], v.word_at(p[SHIFTS] + 8 * panel)
        if panel >= p[WIDE]:
            _words8(row, weights, panel * 16, 8, first, end, shift)
        else:
            _words16(row, weights, panel * 16, 16, first, end, shift)
