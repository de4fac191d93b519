"""Which products run in AMX tiles, which pixels are the rows of a tile, and the row of parameters that says so.

The rows of a tile lie at one distance, as adjacent windows do. Windows that are not adjacent are still multiples of it
apart where the stride is 1: then tiles run on across the margins between lines and images, whose sums nobody asks for.
Elsewhere a tile ends with its line. No tile reads before the first window or behind the last one.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from qworkbench.emulator.kernels.isa import chosen
from qworkbench.emulator.kernels.surface import pixel_pitch
from qworkbench.emulator.kernels.vector import parameters as at
from qworkbench.emulator.kernels.vector.frames import Frame, Tables, chunks_of, frame_of
from qworkbench.emulator.kernels.vector.paths import Path
from qworkbench.numerics.arithmetic import ConvGeometry

ROWS = 16  # of a tile: pixels, groups of four codes, pixels again
LENGTH = 64  # codes of a row
CHUNK = 256  # pixels: their codes stay in the second-level cache while the panels stream
# Products, zeros among them, for each one of AVX512-VNNI's up to which tiles take less time. From figures of earlier
# kernels of this kind on a processor that has both: rows filled to 25 % lost, to 44 % won; what was reached of the two
# peaks, 7 apart, was 3 to 4 apart.
PAYS = 1 / 0.3
FASTER = 4  # than the products that other paths count as work


@cache
def _path(x_type: Any) -> Path:
    from qworkbench.emulator.kernels.vector import amx_sweeps as sweeps

    sweep, size = (sweeps.bytes_amx, 1) if x_type == np.int8 else (sweeps.halves_amx, 2)
    return Path(f"tiles{size}", np.int8, 4, 64, (32,), (2 * ROWS,), False, sweep, True, tiles=size, chunk=CHUNK)


def tiles_for(
    x_type: Any, w_type: Any, shape: tuple[int, int, int], pixels: int, tiles: int | None = None
) -> Path | None:
    """Return the path of tiles for products of (outputs, taps, codes of a tap) where it takes less time, or None.

    `pixels` fill so many `tiles` of 16, or no more than they need. What both ways multiply, zeros included, decides.
    """
    if chosen() != "amx" or w_type != np.int8 or x_type not in (np.int8, np.int16) or pixels < ROWS:
        return None
    outputs, taps, length = shape
    tiles = -(-pixels // ROWS) if tiles is None else tiles
    vectors = pixels * (-(-outputs // 16) * 16) * taps * (-(-length // 4) * 4)
    matrices = (tiles + tiles % 2) * ROWS * (-(-outputs // 32) * 32) * taps * (-(-length // LENGTH) * LENGTH)
    return _path(np.dtype(x_type).type) if matrices < PAYS * vectors else None


def tiles_for_windows(x: np.ndarray, w: np.ndarray, geometry: ConvGeometry) -> Path | None:
    """Return the path of tiles for a convolution, as :func:`tiles_for`."""
    outputs, inputs, down, across = w.shape
    height, width = geometry.output_size(*x.shape[2:])
    if geometry.group > 1 or inputs != x.shape[1] or min(height, width) < 1:
        return None
    beside = geometry.dilations[1] == 1
    taps = (down, (across - 1) * pixel_pitch(inputs) + inputs) if beside else (down * across, inputs)
    lines = len(x) * height
    tiles = lines * -(-width // ROWS)
    if width == 1:
        tiles = -(-lines // ROWS)
    elif geometry.strides[1] == 1:  # across margins and lines that are left out
        pitch = x.shape[3] + 2 * max(1, *geometry.pads)
        tiles = min(tiles, -(-lines * geometry.strides[0] * pitch // ROWS))
    return tiles_for(x.dtype, w.dtype, (outputs, *taps), lines * width, tiles)


def steps_of(length: int) -> np.ndarray:
    """Return where in a tap the steps of 64 codes begin; the last one lies over the one before it, where it can."""
    steps = np.arange(-(-length // LENGTH)) * LENGTH
    if length >= LENGTH:
        steps[-1] = length - LENGTH
    return steps


def in_steps(dense: np.ndarray) -> np.ndarray:
    """Return (outputs, taps, length) weights as each step takes them: zeros where the step before took them already."""
    outputs, taps, length = dense.shape
    steps = -(-length // LENGTH)
    made = np.zeros((outputs, taps, steps * LENGTH), np.int8)
    whole = (steps - 1) * LENGTH
    made[:, :, :whole] = dense[:, :, :whole]
    rest = length - whole
    begin = LENGTH - rest if length >= LENGTH else 0
    made[:, :, whole + begin : whole + begin + rest] = dense[:, :, whole:]
    return made


def rows_of(pixels: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, int, np.ndarray] | None:
    """Return where tiles begin, the distance of their rows, and the place of each row, -1 for none.

    `pixels` (ascending) and `places` are as in :func:`.frames.frame_of`. None where 16 rows reach beyond the windows.
    """
    if pixels.size < ROWS or pixels[1] <= pixels[0]:
        return None
    step = int(pixels[1] - pixels[0])
    breaks = _changes(pixels - np.arange(pixels.size) * step)
    begin = np.flatnonzero(breaks)[np.cumsum(breaks) - 1]  # of the line that a pixel is in
    number, slot = np.divmod(np.arange(pixels.size) - begin, ROWS)
    key, first = begin + number * ROWS, pixels[begin] + number * ROWS * step
    along, rest = np.divmod(pixels - pixels[0], step)
    if not rest.any() and np.count_nonzero(_changes(along // ROWS)) <= np.count_nonzero(_changes(key)):
        key, slot = np.divmod(along, ROWS)
        first = pixels[0] + key * ROWS * step
    most = int(pixels[-1]) - (ROWS - 1) * step
    back = np.maximum(-(-(first - most) // step), 0)  # rows that would lie behind the last window
    first, slot = first - back * step, slot + back
    if int(first.min()) < int(pixels[0]):
        return None
    begins = _changes(key)
    bases = first[begins].astype(np.int64)
    order = np.full((bases.size + bases.size % 2, ROWS), -1, np.int64)
    order[np.cumsum(begins) - 1, slot] = places
    return np.concatenate([bases, bases[-1:]])[: len(order)], step, order.reshape(-1)


def _changes(values: np.ndarray) -> np.ndarray:
    """Tell where a value is another one than that before it; the first one is."""
    found = np.ones(values.size, bool)
    np.not_equal(values[1:], values[:-1], out=found[1:])
    return found


def tiles_frame(
    path: Path, weights: np.ndarray, shape: tuple[int, int, int], tables: Tables, parts: int = 1
) -> Frame | None:
    """Return the frame of packed `weights`, as :func:`.frames.frame_of`; None where a tile does not fit.

    Tables of int16 pixels become those of planes of bytes.
    """
    (outputs, taps, length), size = shape, path.tiles
    pixels, places, reaches, _ = tables
    found = rows_of(pixels // size, places)
    if found is None:
        return None
    rows, step, order = found
    steps = steps_of(length)
    made = frame_of(path, weights, (outputs, taps, steps.size * LENGTH), tables)
    along = (reaches[:, None] // size + steps).reshape(-1).astype(np.int64)
    rows, along = rows + along.min(), along - along.min()  # the first code that is read is where a row begins
    row = made.row.copy()
    row[at.PIXELS], row[at.PLACES], row[at.REACHES] = (table.ctypes.data for table in (rows, order, along))
    row[at.STEP], row[at.TURNS], row[at.COUNT], row[at.PARTS] = step, along.size, order.size, parts
    row[at.SPAN] = (ROWS - 1) * step + int(along.max()) + LENGTH
    extent = int(pixels[-1] - pixels[0]) // size + int(along.max()) + LENGTH
    row[at.PLANE] = -(-extent // LENGTH) * LENGTH + LENGTH  # a line more, against meeting in one set of the cache
    row[at.CHUNKS], row[at.PANEL_PARTS] = chunks_of(order.size, int(row[at.PANELS]), 1, path.chunk)
    return replace(made, row=row, work=made.work // FASTER, kept=(*made.kept, rows, order, along))
