"""Which blocks of AMX tiles run in which order: panels over chunks of pixels, as :mod:`.sweeps` has it for vectors.

Several threads may share one row of parameters: each shapes its own tiles and takes the next chunk. The halves of int16
codes are laid in planes chunk by chunk, where they stay in the cache while the panels pass.
"""

from __future__ import annotations

import numpy as np

from qworkbench.emulator.kernels.compiled import row_kernel
from qworkbench.emulator.kernels.memory import LINE
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.amx import BLOCK, HALF, WHOLE, Bytes, Halves, begin_tiles, end_tiles, split
from qworkbench.emulator.kernels.vector.amx_layers import ROWS
from qworkbench.emulator.kernels.vector.ir import carray
from qworkbench.emulator.kernels.vector.parameters import (
    CHANNELS,
    PANEL_BYTES,
    PIXELS,
    PLANE,
    SPAN,
    WEIGHTS,
    WIDE,
    WORDS,
    X,
)
from qworkbench.emulator.kernels.vector.sweeps import parts_of
from qworkbench.emulator.kernels.vector.tile import tile_kernel

_bytes64, _bytes32 = (tile_kernel(shape, Bytes) for shape in (WHOLE, HALF))
_halves64, _halves32 = (tile_kernel(shape, Halves) for shape in (WHOLE, HALF))


@row_kernel
def bytes_amx(row: int) -> None:
    """Compute int8 by int8 in panels of 64 channels, and of 32 behind them."""
    p = carray(v.int64_at(row), WORDS)
    begin_tiles()
    for first, end, begin, stop in parts_of(row, BLOCK):
        for panel in range(begin, stop):
            weights, channel = p[WEIGHTS] + panel * p[PANEL_BYTES], panel * 64
            if panel >= p[WIDE]:
                _bytes32(row, weights, channel, p[CHANNELS] - channel, first, end, 0)
            else:
                _bytes64(row, weights, channel, p[CHANNELS] - channel, first, end, 0)
    end_tiles()


@row_kernel
def halves_amx(row: int) -> None:
    """Compute int16 by int8 likewise; X and the planes are a code and a byte for each other."""
    p = carray(v.int64_at(row), WORDS)
    room = np.empty(2 * p[PLANE] + LINE, np.uint8)
    high = room.ctypes.data + -room.ctypes.data % LINE
    begin_tiles()
    for first, end, begin, stop in parts_of(row, BLOCK):
        rows = carray(v.int64_at(p[PIXELS] + 8 * (first // ROWS)), (end - first) // ROWS)
        lowest = rows.min()
        split(p[X] + 2 * lowest, high, high + p[PLANE], rows.max() - lowest + p[SPAN])
        shift = high - lowest - p[X]
        for panel in range(begin, stop):
            weights, channel = p[WEIGHTS] + panel * p[PANEL_BYTES], panel * 64
            if panel >= p[WIDE]:
                _halves32(row, weights, channel, p[CHANNELS] - channel, first, end, shift)
            else:
                _halves64(row, weights, channel, p[CHANNELS] - channel, first, end, shift)
    end_tiles()
    room[:0] = 0  # that it lives until here
