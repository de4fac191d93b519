"""The tiles of pairs of int16 on int8 pixels, which AVX2 has no exact dot for; :mod:`.widened` says how they enter."""

from __future__ import annotations

import numpy as np

from qworkbench.emulator.kernels.compiled import row_kernel
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.parameters import PANEL_BYTES, SHIFTS, WEIGHTS, WIDE, WORDS
from qworkbench.emulator.kernels.vector.tile import Tile, tile_kernel
from qworkbench.emulator.kernels.vector.widened import widened_panels_of

_words16, _words8 = (tile_kernel(Tile("madd", 8, pixels, vectors)) for pixels, vectors in ((6, 2), (8, 1)))


@row_kernel
def bytes_avx2(row: int) -> None:
    """Compute int8 by int8 in tiles of 16 channels, and of 8 behind them."""
    one = np.empty(WORDS, np.int64)
    for panel, first, end in widened_panels_of(row, one):
        weights, shift = one[WEIGHTS] + panel * one[PANEL_BYTES], v.word_at(one[SHIFTS] + 8 * panel)
        if panel >= one[WIDE]:
            _words8(one.ctypes.data, weights, panel * 16, 8, first, end, shift)
        else:
            _words16(one.ctypes.data, weights, panel * 16, 16, first, end, shift)
