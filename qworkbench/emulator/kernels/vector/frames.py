"""What stays of a sum of products when only a scale changes: where operands lie, packed weights, then bias and ratio.

An edit of a scale makes a few vectors of numbers anew; tables and weights are as they were. What leaves the tile, and
how, is :mod:`.product`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import numpy as np

from qworkbench.emulator.kernels.memory import LINE
from qworkbench.emulator.kernels.surface import aligned
from qworkbench.emulator.kernels.vector import parameters as at
from qworkbench.emulator.kernels.vector.paths import Path
from qworkbench.emulator.kernels.vector.residual import split_ratio

WORD = 4  # bytes of a group
MOST_PIXELS = 2 * 12  # of any tile, and of the tile whose lines are fetched ahead

Tables = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Frame:
    """What of a product follows from its weights and from how its operands lie: most of the row, and `kept` memory."""

    path: Path
    row: np.ndarray
    outputs: int
    room: int
    work: int
    kept: tuple[np.ndarray, ...] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Start:
    """A frame whose sums have a bias and, where there is one, the ratio of a residual."""

    frame: Frame
    row: np.ndarray
    ratios: np.ndarray | None
    kept: tuple[np.ndarray, ...] = field(repr=False)

    @cached_property
    def split(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The ratios as integers, where int8 codes leave and there are such integers."""
        return None if self.ratios is None else split_ratio(self.ratios)


def frame_of(path: Path, weights: np.ndarray, shape: tuple[int, int, int], tables: Tables, parts: int = 1) -> Frame:
    """Return the frame of packed `weights`.

    Parameters
    ----------
    path : Path
    weights : numpy.ndarray
        From :func:`packed_weights`, of dense codes of this `shape`.
    tables
        Byte offset of each pixel's window; element offset of each output pixel; byte offset of each tap; byte offset
        of each panel's first input channel; of the pixels as they lie in memory.
    parts
        In how many a sum is formed, from :func:`.parts.parts_that_fit`.
    """
    outputs, taps, length = shape
    groups = path.groups(taps, length)
    pixels, places, tap_offsets, shifts = tables
    if path.widens:
        nearest = tap_offsets.min()
        pixels, tap_offsets, shifts = 2 * (pixels + nearest), 2 * (tap_offsets - nearest), 2 * shifts
    wide, tail = path.panels(outputs)
    panels = wide + bool(tail)
    room = panels * path.channels
    count = pixels.size  # the last tile computes its last pixel more than once
    pixels, places = (np.concatenate([t, np.repeat(t[-1:], MOST_PIXELS)]).astype(np.int64) for t in (pixels, places))
    reaches = (tap_offsets[:, None] + np.arange(groups) * WORD).reshape(-1).astype(np.int64)
    shifts = shifts.astype(np.int64)
    row = np.zeros(at.WORDS, np.int64)
    addresses = {
        at.PIXELS: pixels,
        at.PLACES: places,
        at.REACHES: reaches,
        at.SHIFTS: shifts,
        at.WEIGHTS: weights,
        at.SIGN: sign(),
    }
    for slot, array in addresses.items():
        row[slot] = array.ctypes.data
    row[at.PARTS], row[at.REACH] = parts, reaches.max() + shifts.max() + WORD
    row[at.TURNS], row[at.REST] = divmod(reaches.size // parts, at.UNROLLED)
    row[at.PANELS], row[at.WIDE], row[at.TAIL] = panels, wide, tail
    row[at.PANEL_BYTES] = path.channels * reaches.size * path.per_word * weights.itemsize
    row[at.COUNT], row[at.CHANNELS] = count, outputs
    row[at.PIXELS_OF_TILE] = path.pixels_for(count)
    row[at.CHUNKS], row[at.PANEL_PARTS] = chunks_of(count, panels, 1, path.chunk)
    work = count * room * reaches.size * path.per_word
    return Frame(path, row, outputs, room, work, tuple(addresses.values()))


def started(frame: Frame, start: np.ndarray, ratio: np.ndarray | None, margin: int = 0) -> Start:
    """Return `frame` with `start` (int64 (outputs,): the bias, less ``128 * sum(w)`` where the path shifts its pixels).

    `ratio` is the residual's as float64, (1,) or (outputs,); what it adds is at most `margin`.
    """
    row, bias, ratios = frame.row.copy(), line_of(frame.room, np.int32), None
    bias[: frame.outputs] = start.astype(np.int32)  # modulo 2**32, as the sums are
    row[at.BIAS], row[at.MARGIN] = bias.ctypes.data, margin
    if ratio is None:
        return Start(frame, row, None, (bias,))
    ratios = np.zeros(frame.room, np.float64)
    ratios[: frame.outputs] = ratio
    row[at.RATIO] = ratios.ctypes.data
    return Start(frame, row, ratios, (bias, ratios))


def chunks_of(pixels: int, panels: int, threads: int, chunk: int) -> tuple[int, int]:
    """Return how many chunks of about `chunk` pixels, and into how many parts the panels are split."""
    slices = -(-pixels // chunk)
    if threads == 1:
        return (1 if slices <= 2 else slices), 1
    if slices >= 4 * threads:
        return slices, 1
    slices = min(slices, 2 * threads)
    parts = min(panels, max(1, 4 * threads // slices))
    return slices * parts, parts


def line_of(count: int, dtype: Any) -> np.ndarray:
    """Return zeros that no vector load meets across two cache lines."""
    made = aligned(count, dtype)
    made[:] = 0
    return made


@cache
def sign() -> np.ndarray:
    """Return a vector of the bits that turn an int8 code into ``code + 128``."""
    bits = aligned(LINE, np.uint8)
    bits[:] = 0x80
    return bits
