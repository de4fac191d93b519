"""Which convolutions in groups :mod:`.grouped` computes, and how their weights and tables lie.

A group's channels share 16 bytes of a pixel with others. A panel's vector n holds channels ``4 n .. 4 n + 3`` of each
16 bytes; the dots of these four read a few words of the same 16 bytes, against zeros where a code is of another group.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from qworkbench.emulator.kernels.isa import PORTABLE, vectors
from qworkbench.emulator.kernels.surface import aligned
from qworkbench.emulator.kernels.vector import parameters as at
from qworkbench.emulator.kernels.vector.frames import Frame, Tables, frame_of
from qworkbench.emulator.kernels.vector.paths import Path
from qworkbench.emulator.kernels.vector.product import packed_weights
from qworkbench.numerics.arithmetic import ConvGeometry

LANE = 16  # bytes that a shuffle does not leave
QUAD = 4  # channels of a vector that follow each other


@cache
def _path(isa: str, narrow: bool) -> Path:
    if isa in ("dotprod", "neon"):
        from qworkbench.emulator.kernels.vector import neon_sweeps as neon

        if narrow and isa == "dotprod":
            return Path("groups16.bytes", np.int8, 4, 16, (), (4,), False, neon.grouped_bytes_dotprod, False)
        return Path("groups8", np.int16, 2, 8, (), (4,), False, neon.grouped_pairs_neon, False)
    from qworkbench.emulator.kernels.vector import grouped

    if isa == "avx512vnni":
        if narrow:
            return Path("groups64", np.int8, 4, 64, (), (4,), True, grouped.grouped_bytes_avx512, True)
        return Path("groups32", np.int16, 2, 32, (), (6,), False, grouped.grouped_pairs_avx512, True)
    return Path("groups16", np.int16, 2, 16, (), (4,), False, grouped.grouped_pairs_avx2, False)


def groups_path(x: np.ndarray, w: np.ndarray, geometry: ConvGeometry) -> Path | None:
    """Return the tiles for groups as wide as these; None where one is wide, or has not as many outputs as inputs."""
    isa, inputs = vectors(), w.shape[1]
    if geometry.group == 1 or len(w) != inputs * geometry.group or len(w) != x.shape[1] or isa == PORTABLE:
        return None
    path = _path(isa, x.dtype == np.int8 == w.dtype)
    return path if LANE // np.dtype(path.codes).itemsize % inputs == 0 else None


def _reach(inputs: int) -> int:
    """Return how many codes the dots of a quad read."""
    return max(inputs, QUAD)


def groups_frame(path: Path, w: np.ndarray, weights: np.ndarray, tables: Tables) -> Frame:
    """Return the frame of :func:`grouped_weights`; of `tables`, the last is not read."""
    reach = _reach(w.shape[1])
    made = frame_of(path, weights, (len(w), w.shape[2] * w.shape[3], reach), tables)
    order, row = _order(path, reach), made.row.copy()
    row[at.ORDER] = order.ctypes.data
    return replace(made, row=row, work=int(tables[0].size * w.size), kept=(*made.kept, order))


def grouped_weights(path: Path, w: np.ndarray) -> np.ndarray:
    """Return packed weights, the channels of a panel in the order of its sums."""
    outputs, inputs, kernel_h, kernel_w = w.shape
    taps, reach = kernel_h * kernel_w, _reach(inputs)
    room = -(-outputs // path.channels) * path.channels
    channel = np.arange(outputs)
    first = channel // inputs * inputs - channel // QUAD * QUAD // reach * reach  # of its group, in what is read
    dense = np.zeros((room, taps, reach), path.codes)
    for i in range(inputs):
        dense[channel, :, first + i] = w[:, i].reshape(outputs, taps)
    lane = LANE // np.dtype(path.codes).itemsize
    ordered = dense.reshape(room // path.channels, path.channels // lane, lane // QUAD, QUAD, taps, reach)
    return packed_weights(path, ordered.transpose(0, 2, 1, 3, 4, 5).reshape(room, taps, reach))


def _order(path: Path, reach: int) -> np.ndarray:
    """Return, for each vector of sums, the bytes that a shuffle takes: the first word of what its quads read."""
    size = np.dtype(path.codes).itemsize
    lane = LANE // size
    quads = lane // QUAD
    width = 4 * path.channels // quads
    order = aligned(quads * width, np.uint8).reshape(quads, width // LANE, LANE // 4, 4)
    for n in range(quads):
        order[n] = n * QUAD // reach * reach * size + np.arange(4)
    return order
