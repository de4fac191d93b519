"""Which tiles of :mod:`.neon` run in which order: chunks of pixels while the panels pass, as in :mod:`.sweeps`."""

from __future__ import annotations

import numpy as np

from qworkbench.emulator.kernels.compiled import row_kernel
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector import parameters as at
from qworkbench.emulator.kernels.vector.grouped import Grouped
from qworkbench.emulator.kernels.vector.ir import carray
from qworkbench.emulator.kernels.vector.neon import LANES, ByElement, ByLane, ByMatrix, GroupedPairwise, Pairwise
from qworkbench.emulator.kernels.vector.sweeps import panels_of
from qworkbench.emulator.kernels.vector.tile import Tile, tile_kernel
from qworkbench.emulator.kernels.vector.widened import widened_panels_of

_bytes = tile_kernel(Tile("sdot", LANES, 5, 4), ByLane)
_steps = tile_kernel(Tile("smmla", LANES, 4, 4), ByMatrix)
_pairs = tile_kernel(Tile("mlal", LANES, 6, 2, 4), Pairwise)
_codes = tile_kernel(Tile("mlal", LANES, 5, 4), ByElement)
_grouped_bytes = tile_kernel(Tile("sdot", LANES, 4, 4), Grouped)
_grouped_pairs = tile_kernel(Tile("mlal", LANES, 4, 2), GroupedPairwise)


@row_kernel
def bytes_dotprod(row: int) -> None:
    """Compute int8 by int8 in tiles of 16 channels, 20 sums of 128 bits in registers beside what they are made of."""
    p = carray(v.int64_at(row), at.WORDS)
    for panel, first, end in panels_of(row):
        weights, shift = p[at.WEIGHTS] + panel * p[at.PANEL_BYTES], v.word_at(p[at.SHIFTS] + 8 * panel)
        _bytes(row, weights, panel * 16, 16, first, end, shift)


@row_kernel
def bytes_i8mm(row: int) -> None:
    """Compute int8 by int8 in tiles of 16 channels, 16 vectors of 2 x 2 sums in registers."""
    p = carray(v.int64_at(row), at.WORDS)
    for panel, first, end in panels_of(row):
        weights, shift = p[at.WEIGHTS] + panel * p[at.PANEL_BYTES], v.word_at(p[at.SHIFTS] + 8 * panel)
        _steps(row, weights, panel * 16, 16, first, end, shift)


@row_kernel
def codes_neon(row: int) -> None:
    """Compute int16 in tiles of 16 channels, 20 sums of 128 bits in registers beside what they are made of."""
    p = carray(v.int64_at(row), at.WORDS)
    for panel, first, end in panels_of(row):
        weights, shift = p[at.WEIGHTS] + panel * p[at.PANEL_BYTES], v.word_at(p[at.SHIFTS] + 8 * panel)
        _codes(row, weights, panel * 16, 16, first, end, shift)


@row_kernel
def bytes_neon(row: int) -> None:
    """Compute the same of int8."""
    one = np.empty(at.WORDS, np.int64)
    for panel, first, end in widened_panels_of(row, one):
        weights, shift = one[at.WEIGHTS] + panel * one[at.PANEL_BYTES], v.word_at(one[at.SHIFTS] + 8 * panel)
        _codes(one.ctypes.data, weights, panel * 16, 16, first, end, shift)


@row_kernel
def pairs_neon(row: int) -> None:
    """Compute words of int16, panels of 16 channels in tiles of 8, with two vectors of products for each of sums."""
    p = carray(v.int64_at(row), at.WORDS)
    for panel, first, end in panels_of(row):
        weights, shift = p[at.WEIGHTS] + panel * p[at.PANEL_BYTES], v.word_at(p[at.SHIFTS] + 8 * panel)
        _pairs(row, weights, panel * 16, 8, first, end, shift)
        _pairs(row, weights + 32, panel * 16 + 8, 8, first, end, shift)


@row_kernel
def grouped_bytes_dotprod(row: int) -> None:
    """Compute int8 by int8 in groups of few channels, in tiles of 16."""
    p = carray(v.int64_at(row), at.WORDS)
    for panel, first, end in panels_of(row):
        weights, channel = p[at.WEIGHTS] + panel * p[at.PANEL_BYTES], panel * 16
        _grouped_bytes(row, weights, channel, 16, first, end, channel)


@row_kernel
def grouped_pairs_neon(row: int) -> None:
    """Compute pairs of int16 in groups of few channels, in tiles of 8."""
    p = carray(v.int64_at(row), at.WORDS)
    for panel, first, end in panels_of(row):
        weights, channel = p[at.WEIGHTS] + panel * p[at.PANEL_BYTES], panel * 8
        _grouped_pairs(row, weights, channel, 8, first, end, 2 * channel)
