"""Which 3 x 3 convolutions of codes are computed by Winograd's transforms, and the tables of :mod:`.winograd_parts`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np

from qworkbench.emulator.kernels.isa import vectors
from qworkbench.emulator.kernels.memory import LINE
from qworkbench.emulator.kernels.slabs import lasting
from qworkbench.emulator.kernels.surface import margin_of, pitch_of
from qworkbench.emulator.kernels.values import Surface
from qworkbench.emulator.kernels.vector import parameters as at
from qworkbench.emulator.kernels.vector.frames import Frame, frame_of
from qworkbench.emulator.kernels.vector.paths import Path
from qworkbench.numerics.arithmetic import ConvGeometry

EXACT = 2**25  # a sum below it survives the division of 576 times itself, modulo 2**32, by 576
SIDE, OUT = 6, 4
POINTS = SIDE * SIDE
INPUTS = 32  # channels of x are filled up to a multiple of this: vectors of int16
MOST_WEIGHTS = 4_800_000  # bytes; more would come from memory every time, which takes longer than the products
CACHED = 1 << 19  # bytes of weights up to which they stay in the second-level cache beside a block of windows
BLOCK_BYTES = (480_000, 1_000_000)  # numbers and sums of a block of windows, beside such weights and beside more
WORTH = 0.9  # of the direct way's time, at most


@cache
def _path(isa: str, halves: int) -> Path | None:
    """Return the tiles for the products of transformed codes; None where the direct way is faster."""
    if isa not in ("avx512vnni", "avx2"):
        return None
    from qworkbench.emulator.kernels.vector import winograd_codes as kernels

    wide = halves == 2
    if isa == "avx512vnni":
        sweep = kernels.winograd_wide_avx512 if wide else kernels.winograd_avx512
        return Path(f"winograd64.{halves}", np.int16, 2, 64, () if wide else (32,), (4,), False, sweep, True, True)
    sweep = kernels.winograd_wide_avx2 if wide else kernels.winograd_avx2
    return Path(f"winograd16.{halves}", np.int16, 2, 16, (), (6,), False, sweep, False, True)


def winograd_for(x: np.ndarray, w: np.ndarray, geometry: ConvGeometry, magnitude: Callable[[], int]) -> Path | None:
    """Return the path of transforms where it is exact and faster than the direct way.

    `magnitude` is the largest sum of the magnitudes of the weights of an output.
    """
    plain = geometry.kernel == (3, 3) and geometry.strides == (1, 1) == geometry.dilations and geometry.group == 1
    if not plain or x.dtype not in (np.int8, np.int16) or w.dtype != np.int8 or w.shape[1:] != (x.shape[1], 3, 3):
        return None
    path = _path(vectors(), x.itemsize)
    if path is None or not _pays(path, x.itemsize, w, *geometry.output_size(*x.shape[2:])):
        return None
    return path if 128 * magnitude() < EXACT else None


def _pays(path: Path, halves: int, w: np.ndarray, height: int, width: int) -> bool:
    """Tell whether transforms and their products take less time than the direct way, counted in products of vectors."""
    outputs, inputs = w.shape[:2]
    (panels, tail), length = path.panels(outputs), -(-inputs // INPUTS) * INPUTS
    room = panels * path.channels + tail
    if POINTS * room * length * 2 > MOST_WEIGHTS:
        return False
    lanes = 16 if path.masks else 8
    per_dot, cost = (4 // halves, 1) if path.masks else (2, 2)  # of the direct way: codes, and instructions
    direct = height * width * 9 * -(-inputs // per_dot) * (-(-outputs // 16) * 16 // lanes) * cost
    windows = -(-height // OUT) * -(-width // OUT)
    windows = -(-windows // path.pixels[0]) * path.pixels[0]
    products = POINTS * (length // 2) * (room // lanes) * cost
    transforms = 200 * length // (2 * lanes) + 220 * -(-room // path.channels) * path.channels // lanes
    return bool(halves * windows * (products + transforms) < WORTH * direct)


def transformed_weights(path: Path, w: np.ndarray) -> np.ndarray:
    """Return the numbers of (outputs, inputs, 3, 3) codes as [panel][number][pair of inputs][channel][of the pair]."""
    outputs, inputs = w.shape[:2]
    (wide, tail), length = path.panels(outputs), -(-inputs // INPUTS) * INPUTS
    split = wide * path.channels
    room = np.zeros((split + tail, length, 9), np.int8)
    room[:outputs, :inputs] = w.reshape(outputs, inputs, 9)
    out = lasting(len(room) * POINTS * length, np.int16)
    for codes, channels in ((room[:split], path.channels), (room[split:], tail)):
        if len(codes):
            first = POINTS * length * (0 if channels == path.channels else split)
            shape = (len(codes) // channels, POINTS, length // 2, channels, 2)
            numbers = out[first : first + POINTS * length * len(codes)].reshape(shape)
            taps = codes.reshape(-1, channels, length // 2, 2, 9).transpose(4, 0, 2, 1, 3).astype(np.int16, order="C")
            for p, line in enumerate(_numbers(taps[:3], taps[3:6], taps[6:])):
                for q, one in enumerate(_numbers(*line)):
                    numbers[:, SIDE * p + q] = one
    return out


def _numbers(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return six numbers of three weights, 24 times those of Lavin and Gray but for the last one: 12 times."""
    ends, far, double = a + c, a + 4 * c, 2 * b
    return 6 * a, -4 * (ends + b), 4 * (b - ends), far + double, far - double, 12 * c


def winograd_frame(
    path: Path, surface: Surface, weights: np.ndarray, shape: tuple[int, ...], geometry: ConvGeometry, parts: int
) -> Frame:
    """Return the frame of :func:`transformed_weights`, of a convolution from `surface` to codes of this `shape`.

    More than one of `parts` where a sum may leave int32.
    """
    from qworkbench.emulator.kernels.vector import winograd_parts as slots

    (batch, outputs, height, width), inputs = shape, surface.inside[1]
    margin, length = margin_of(shape), -(-inputs // INPUTS) * INPUTS
    nothing = np.zeros(1, np.int64)
    tables = (nothing, nothing, np.zeros(POINTS, np.int64), np.zeros(-(-outputs // path.channels), np.int64))
    made = frame_of(path, weights, (outputs, POINTS, length), tables, parts)
    (down, across), (top, left) = (-(-height // OUT), -(-width // OUT)), geometry.pads[:2]
    image, line, pixel, _ = surface.strides
    last = (size + surface.margin - 1 for size in surface.inside[2:])  # what lies behind is of results that nobody asks
    rows, columns = (
        (np.minimum(OUT * np.arange(count)[:, None] + np.arange(SIDE) - before, most) * step).astype(np.int64)
        for count, before, most, step in zip((down, across), (top, left), last, (line, pixel), strict=True)
    )
    halves = surface.itemsize
    size = halves * POINTS * (2 * length + 4 * path.channels) * path.pixels[0]
    units = -(-batch * down * across // path.pixels[0])
    blocks = -(-units // max(BLOCK_BYTES[weights.nbytes > CACHED] // size, 1))
    most = -(-units // blocks) * path.pixels[0] * halves
    pitch = pitch_of(outputs)
    row = np.zeros(slots.WORDS, np.int64)
    row[: at.WORDS] = made.row
    row[slots.ROW_OFFSETS], row[slots.COLUMN_OFFSETS] = rows.ctypes.data, columns.ctypes.data
    row[slots.X_IMAGE], row[slots.BATCH], row[slots.DOWN], row[slots.ACROSS] = image, batch, down, across
    row[slots.HEIGHT], row[slots.WIDTH], row[slots.INPUTS] = height, width, length
    row[slots.OUT_ROW], row[slots.OUT_PIXEL] = (width + 2 * margin) * pitch, pitch
    row[slots.OUT_IMAGE] = (height + 2 * margin) * row[slots.OUT_ROW]
    row[slots.BLOCKS] = blocks
    # a line more, so that the numbers of a window do not meet in one set of the cache
    row[slots.PITCH], row[slots.SUM_PITCH] = 2 * most * length + LINE, 4 * most * path.channels + LINE
    room = POINTS * (row[slots.PITCH] + row[slots.SUM_PITCH]) + 4 * slots.RESULTS * path.channels
    row[slots.ROOM] = room + LINE
    row[at.CHUNKS], row[at.PANEL_PARTS] = blocks, 1
    return replace(made, row=row, work=int(np.prod(shape)) * inputs * 9, kept=(*made.kept, rows, columns))
