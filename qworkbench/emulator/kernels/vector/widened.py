"""int8 pixels for tiles that take int16: what a chunk of pixels reads is widened before the panels pass over it.

A few kilobytes that stay in the cache, rather than a copy of the whole tensor. Knows chunks and addresses; which tiles
follow is said in :mod:`.sweeps` and :mod:`.neon_sweeps`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qworkbench.emulator.kernels.compiled import inner
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import carray
from qworkbench.emulator.kernels.vector.parameters import PIXELS, REACH, WORDS, X
from qworkbench.emulator.kernels.vector.sweeps import SLICE, parts_of

BEYOND = 8  # pixels of the last tile behind the end of a chunk
BLOCK = 64  # codes that are widened at once: a loop over whole blocks is a fifth faster on small layers
SPARE = 64  # codes behind the last one that a tile may read, against zeros


@inner
def widened_panels_of(row: int, one: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Yield panel, first pixel and end as :func:`.sweeps.panels_of`; `one` is the row to call a tile with meanwhile."""
    p = carray(v.int64_at(row), WORDS)
    for word in range(WORDS):
        one[word] = p[word]
    room = np.empty(0, np.int16)
    for first, end, begin, stop in parts_of(row, SLICE):
        pixels = v.int64_at(p[PIXELS] + 8 * first)
        low = high = pixels[0]
        for i in range(end - first + BEYOND):
            low, high = min(low, pixels[i]), max(high, pixels[i])
        low, high = low // 2, high // 2
        size = high - low + p[REACH] // 2  # and no code more: what lies behind the last row may be nobody's memory
        if room.size < size + SPARE:
            room = np.empty(size + SPARE, np.int16)
        codes = carray(v.int8_at(p[X] + low), size)
        whole = size // BLOCK * BLOCK
        for i in range(whole):
            room[i] = codes[i]
        for i in range(whole, size):
            room[i] = codes[i]
        one[X] = room.ctypes.data - 2 * low
        for panel in range(begin, stop):
            yield panel, first, end
