"""Pixels moved with their channels: gathered by rows and columns, or several maps at once, line by line.

Concatenation, splits, slices and nearest neighbours of surfaces. What several maps share is read or written while its
line is in the nearest cache. Knows addresses and distances in bytes only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qworkbench.emulator.kernels.calls import RESULT, Call
from qworkbench.emulator.kernels.compiled import kernel, row_kernel
from qworkbench.emulator.kernels.values import Surface
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import carray, intrinsic, types

BLOCK, LINE = 16, 64  # bytes


def _copier(size: int) -> Any:
    """Return the intrinsic that copies so many bytes."""

    @intrinsic
    def copy(typing_context: Any, source: Any, target: Any) -> Any:
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            v.store(b, v.load(b, args[0], v.vector(v.i8, size)), args[1])
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), generate

    return copy


_copy_block, _copy_pair, _copy_line = (_copier(size) for size in (BLOCK, 2 * BLOCK, LINE))


@kernel("void(int64, int64, int64, int64, int64, int64)")
def _copy_run(source: int, step: int, target: int, to: int, size: int, count: int) -> None:
    """Copy `size` bytes each of `count` pixels."""
    if size == BLOCK:
        for j in range(count):
            _copy_block(source + j * step, target + j * to)
    elif size == 2 * BLOCK:
        for j in range(count):
            _copy_pair(source + j * step, target + j * to)
    elif size > BLOCK:
        for j in range(count):
            pixel, there = source + j * step, target + j * to
            at = 0
            while at + LINE <= size:
                _copy_line(pixel + at, there + at)
                at += LINE
            while at + BLOCK <= size:
                _copy_block(pixel + at, there + at)
                at += BLOCK
            if at < size:  # the last block overlaps the one before it
                _copy_block(pixel + size - BLOCK, there + size - BLOCK)
    else:
        for j in range(count):
            pixel, there = carray(v.int8_at(source + j * step), size), carray(v.int8_at(target + j * to), size)
            for k in range(size):
                there[k] = pixel[k]


MAPS, MAP_WORDS = 4, 9  # words before the maps, and of each


@row_kernel
def copy_maps(row: int) -> None:
    """Copy maps: how many, their images, rows and columns; then source, steps, target, steps and bytes of each.

    Steps are the bytes between images, rows and pixels.
    """
    p = carray(v.int64_at(row), MAPS)
    maps = carray(v.int64_at(row + 8 * MAPS), (p[0], MAP_WORDS))
    for n in range(p[1]):
        for i in range(p[2]):
            for m in range(len(maps)):
                source = maps[m, 0] + n * maps[m, 1] + i * maps[m, 2]
                target = maps[m, 4] + n * maps[m, 5] + i * maps[m, 6]
                _copy_run(source, maps[m, 3], target, maps[m, 7], maps[m, 8], p[3])


(SOURCE, IMAGE, LINES, LINE_COUNT, COLUMNS, COLUMN_COUNT, TARGET, TO_IMAGE, TO_LINE, TO_PIXEL, IMAGES, SIZE,
 WORDS) = range(13)  # fmt: skip


@row_kernel
def gather(row: int) -> None:
    """``target[n, i, j] = source[n * IMAGE + lines[i] + columns[j]]``, SIZE bytes each, TO_... the target's steps."""
    p = carray(v.int64_at(row), WORDS)
    lines, columns = carray(v.int64_at(p[LINES]), p[LINE_COUNT]), carray(v.int64_at(p[COLUMNS]), p[COLUMN_COUNT])
    size = p[SIZE]
    whole = size - size % BLOCK
    for n in range(p[IMAGES]):
        for i in range(lines.size):
            line, there = p[SOURCE] + n * p[IMAGE] + lines[i], p[TARGET] + n * p[TO_IMAGE] + i * p[TO_LINE]
            for j in range(columns.size):
                pixel = line + columns[j]
                at = 0
                while at < whole:
                    _copy_block(pixel + at, there + at)
                    at += BLOCK
                if at < size:
                    tail, rest = carray(v.int8_at(pixel + at), size - at), carray(v.int8_at(there + at), size - at)
                    for k in range(size - at):
                        rest[k] = tail[k]
                there += p[TO_PIXEL]


def gathering(image: int, lines: np.ndarray, columns: np.ndarray, to: Surface, channels: int) -> Call:
    """Return the call that writes pixels of a source to `to`; the tables must be kept beside it.

    Parameters
    ----------
    image : int
        Bytes between images of the source.
    lines, columns : numpy.ndarray
        Bytes of each line and pixel to take, int64.
    to : Surface
    channels : int
    """
    row = np.zeros(WORDS, np.int64)
    row[IMAGE], row[LINES], row[LINE_COUNT] = image, lines.ctypes.data, lines.size
    row[COLUMNS], row[COLUMN_COUNT] = columns.ctypes.data, columns.size
    row[TO_IMAGE : TO_PIXEL + 1] = to.strides[:3]
    row[IMAGES], row[SIZE] = to.shape[0], channels * to.itemsize
    return Call(gather, row, ((SOURCE, 0, 0), (TARGET, RESULT, 0)))
