"""Pixels moved with their channels: gathered by rows and columns, or several maps at once, line by line.

Concatenation, splits, slices and nearest neighbours of surfaces. What several maps share is read or written while its
line is in the nearest cache. Knows addresses and distances in bytes only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qworkbench.emulator.kernels.compiled import kernel
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


@kernel("void(int64[:, ::1], int64, int64, int64)")
def copy_maps(maps: np.ndarray, images: int, rows: int, columns: int) -> None:
    """Copy every map of `maps`: source, its steps of image, row and pixel, the same of the target, bytes of a pixel."""
    for n in range(images):
        for i in range(rows):
            for m in range(len(maps)):
                source = maps[m, 0] + n * maps[m, 1] + i * maps[m, 2]
                target = maps[m, 4] + n * maps[m, 5] + i * maps[m, 6]
                _copy_run(source, maps[m, 3], target, maps[m, 7], maps[m, 8], columns)


@kernel("void(int64, int64, int64[::1], int64[::1], int64, int64[::1], int64, int64)")
def gather(
    source: int, image: int, rows: np.ndarray, columns: np.ndarray, target: int, steps: np.ndarray, images: int,
    size: int,
) -> None:  # fmt: skip
    """``target[n, i, j] = source[n * image + rows[i] + columns[j]]``, `size` bytes each.

    `steps` are the target's distances of images, rows and pixels; the source's are in the tables.
    """
    whole = size - size % BLOCK
    for n in range(images):
        for i in range(rows.size):
            line, there = source + n * image + rows[i], target + n * steps[0] + i * steps[1]
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
                there += steps[2]
