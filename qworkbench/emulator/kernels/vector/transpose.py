"""Feature maps from planes to pixels and back: in blocks of 16 x 16 by register shuffles, the rest one by one.

Knows addresses and distances only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qworkbench.emulator.kernels.compiled import inner, kernel, row_kernel
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import carray, intrinsic, types

BLOCK = 16


def transposed(b: Any, rows: list[Any]) -> list[Any]:
    """Return the columns of 16 vectors of 16: four rounds of interleaving row i with row i + 8."""
    for _ in range(4):
        rows = [
            v.shuffled(b, rows[i], rows[i + 8], [start + k // 2 + BLOCK * (k % 2) for k in range(BLOCK)])
            for i in range(8)
            for start in (0, 8)
        ]
    return rows


@intrinsic
def block(typing_context: Any, source: Any, source_pitch: Any, target: Any, target_pitch: Any) -> Any:
    """``target[j, i] = source[i, j]`` for 16 x 16 bytes."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        source, source_pitch, target, target_pitch = args
        kind = v.vector(v.i8, BLOCK)
        rows = [v.load(b, b.add(source, b.mul(source_pitch, v.word(i))), kind) for i in range(BLOCK)]
        for j, row in enumerate(transposed(b, rows)):
            v.store(b, row, b.add(target, b.mul(target_pitch, v.word(j))))
        return context.get_dummy_value()

    return types.void(*([types.int64] * 4)), generate


def _gatherer(element: Any) -> Any:
    """Return the intrinsic of a block of numbers of this type, whose rows lie anywhere."""
    size = element.width // 8

    @intrinsic
    def gathered(typing_context: Any, addresses: Any, offset: Any, target: Any, target_pitch: Any) -> Any:
        """``target[j, i] = number j behind addresses[i] + offset`` for 16 x 16; offsets and pitch in bytes."""

        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            addresses, offset, target, target_pitch = args
            kind = v.vector(element, BLOCK)
            starts = [v.load(b, b.add(addresses, v.word(8 * i)), v.i64, 8) for i in range(BLOCK)]
            rows = [v.load(b, b.add(start, offset), kind, size) for start in starts]
            for j, row in enumerate(transposed(b, rows)):
                v.store(b, row, b.add(target, b.mul(target_pitch, v.word(j))), size)
            return context.get_dummy_value()

        return types.void(*([types.int64] * 4)), generate

    return gathered


_gathered, _gathered16, gathered32 = (_gatherer(element) for element in (v.i8, v.i16, v.i32))


@inner
def _bytes(source: int, source_pitch: int, target: int, target_pitch: int, rows: int, columns: int) -> None:
    """``target[j, i] = source[i, j]`` for rows x columns bytes."""
    wide, high = columns >= BLOCK, rows >= BLOCK
    done = 0
    if columns < BLOCK:
        pixels = carray(v.int8_at(source), (rows - 1) * source_pitch + columns)
        for j in range(columns):
            plane = carray(v.int8_at(target + j * target_pitch), rows)
            for i in range(rows):
                plane[i] = pixels[i * source_pitch + j]
        return
    if wide and high:
        i = 0
        while i < rows:
            at = min(i, rows - BLOCK)  # the last block overlaps the one before it
            j = 0
            while j < columns:
                to = min(j, columns - BLOCK)
                block(source + at * source_pitch + to, source_pitch, target + to * target_pitch + at, target_pitch)
                j += BLOCK
            i += BLOCK
        done = rows
    for i in range(done, rows):
        line = carray(v.int8_at(source + i * source_pitch), columns)
        for j in range(columns):
            carray(v.int8_at(target + j * target_pitch + i), 1)[0] = line[j]


@kernel()
def to_planes(source: int, target: int, shape: np.ndarray, strides: np.ndarray) -> None:
    """Write int8 pixels to contiguous planes; `shape` is (N, C, H, W), `strides` the source's of image, row, pixel."""
    batch, channels, height, width = shape[0], shape[1], shape[2], shape[3]
    size = height * width
    if size >= BLOCK and channels >= BLOCK:
        addresses = np.empty(BLOCK, np.int64)
        for n in range(batch):
            for begin in range(0, size, BLOCK):
                first = min(begin, size - BLOCK)
                for i in range(BLOCK):
                    h, w = (first + i) // width, (first + i) % width
                    addresses[i] = source + n * strides[0] + h * strides[1] + w * strides[2]
                for c in range(0, channels, BLOCK):
                    plane = min(c, channels - BLOCK)
                    to = target + (n * channels + plane) * size + first
                    _gathered(addresses.ctypes.data, plane, to, size)
        return
    for n in range(batch):
        for h in range(height):
            here = source + n * strides[0] + h * strides[1]
            _bytes(here, strides[2], target + n * channels * size + h * width, size, width, channels)


@kernel()
def to_wide_planes(
    source: int, target: int, shape: np.ndarray, strides: np.ndarray, pixels: np.ndarray, planes: np.ndarray
) -> None:
    """Write pixels of 16-bit or 32-bit numbers to contiguous `planes`; both are the same memory as 1-D arrays."""
    batch, channels, height, width = shape[0], shape[1], shape[2], shape[3]
    area, size = height * width, planes.itemsize
    addresses = np.empty(BLOCK, np.int64)
    if area >= BLOCK and channels >= BLOCK:
        for n in range(batch):
            for begin in range(0, area, BLOCK):
                first = min(begin, area - BLOCK)
                for i in range(BLOCK):
                    h, w = (first + i) // width, (first + i) % width
                    addresses[i] = source + n * strides[0] + h * strides[1] + w * strides[2]
                for c in range(0, channels, BLOCK):
                    plane = min(c, channels - BLOCK)
                    to = target + ((n * channels + plane) * area + first) * size
                    if size == 2:
                        _gathered16(addresses.ctypes.data, plane * size, to, area * size)
                    else:
                        gathered32(addresses.ctypes.data, plane * size, to, area * size)
        return
    begin = source - pixels.ctypes.data
    for n in range(batch):
        for c in range(channels):
            for h in range(height):
                here = begin + n * strides[0] + h * strides[1] + c * size
                line = planes[((n * channels + c) * height + h) * width :]
                for w in range(width):
                    line[w] = pixels[(here + w * strides[2]) // size]


@kernel()
def to_pixels(source: int, target: int, shape: np.ndarray, strides: np.ndarray) -> None:
    """Write contiguous int8 planes to pixels; `strides` are the target's."""
    batch, channels, height, width = shape[0], shape[1], shape[2], shape[3]
    size = height * width
    for n in range(batch):
        for h in range(height):
            here = target + n * strides[0] + h * strides[1]
            _bytes(source + n * channels * size + h * width, size, here, strides[2], channels, width)


@kernel()
def to_wide_pixels(source: int, target: int, batch: int, channels: int, area: int) -> None:
    """Write contiguous planes of 32-bit numbers to contiguous pixels; at least a block of both."""
    addresses = np.empty(BLOCK, np.int64)
    for n in range(batch):
        for begin in range(0, area, BLOCK):
            first = min(begin, area - BLOCK)
            for c in range(0, channels, BLOCK):
                plane = min(c, channels - BLOCK)
                for i in range(BLOCK):
                    addresses[i] = source + (n * channels + plane + i) * area * 4
                to = target + ((n * area + first) * channels + plane) * 4
                gathered32(addresses.ctypes.data, first * 4, to, channels * 4)


@row_kernel
def clear_margin(row: int) -> None:
    """Zero the margin of a surface: its address; images, lines of each, bytes of a line and beside it, the margin."""
    p = v.int64_at(row)
    surface, batch, lines, line, side, margin = p[0], p[1], p[2], p[3], p[4], p[5]
    for n in range(batch):
        here = surface + n * lines * line
        v.clear(here, margin * line)
        v.clear(here + (lines - margin) * line, margin * line)
        for h in range(margin, lines - margin):
            v.clear(here + h * line, side)
            v.clear(here + (h + 1) * line - side, side)
