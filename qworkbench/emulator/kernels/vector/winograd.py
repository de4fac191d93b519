"""Transforms of Winograd's F(4x4, 3x3) in vectors of 16 channels: what enters the products, and what leaves them.

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks (2016). Tensors are NHWC float32 at addresses;
their channels are a multiple of 16.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qworkbench.emulator.kernels.compiled import kernel
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import cgutils, intrinsic, types

LANES = 16
TILE, OUT = 6, 4
WEIGHTS = np.array(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)


def _entering(b: Any, d: list[Any], scaled: Any) -> list[Any]:
    """Return the input transform of six vectors."""
    fourth, third = b.fsub(d[4], scaled(d[2], 4)), b.fsub(d[3], scaled(d[1], 4))
    second, first = b.fsub(d[4], d[2]), scaled(b.fsub(d[3], d[1]), 2)
    return [
        b.fadd(b.fsub(scaled(d[0], 4), scaled(d[2], 5)), d[4]),
        b.fadd(fourth, third),
        b.fsub(fourth, third),
        b.fadd(second, first),
        b.fsub(second, first),
        b.fadd(b.fsub(scaled(d[1], 4), scaled(d[3], 5)), d[5]),
    ]


def _leaving(b: Any, m: list[Any], scaled: Any) -> list[Any]:
    """Return the output transform of six vectors: four."""
    s, u, g, h = b.fadd(m[1], m[2]), b.fsub(m[1], m[2]), b.fadd(m[3], m[4]), b.fsub(m[3], m[4])
    return [
        b.fadd(b.fadd(m[0], s), g),
        b.fadd(u, scaled(h, 2)),
        b.fadd(s, scaled(g, 4)),
        b.fadd(b.fadd(u, scaled(h, 8)), m[5]),
    ]


def _tools(b: Any) -> tuple[Any, Any]:
    kind = v.vector(v.f32, LANES)

    def scaled(x: Any, factor: int) -> Any:
        return b.fmul(x, v.constant(kind, [float(factor)] * LANES))

    return kind, scaled


@intrinsic
def _enter_tile(
    typing_context: Any, changed: Any, plain: Any, out: Any, channels: Any
) -> Any:  # fmt: skip
    """Transform ``changed - plain`` of one tile; both are tables of 36 addresses, `out` is (36, channels)."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        changed, plain, out, channels = args
        kind, scaled = _tools(b)
        pitch = b.shl(channels, v.word(2))
        with cgutils.for_range(b, b.sdiv(channels, v.word(LANES)), intp=v.i64) as block:
            shift = b.shl(block.index, v.word(6))
            columns = []
            for q in range(TILE):
                column = []
                for p in range(TILE):
                    place = v.word(8 * (TILE * p + q))
                    ours = v.load(b, b.add(v.load(b, b.add(changed, place), v.i64, 8), shift), kind, 4)
                    theirs = v.load(b, b.add(v.load(b, b.add(plain, place), v.i64, 8), shift), kind, 4)
                    column.append(b.fsub(ours, theirs))
                columns.append(_entering(b, column, scaled))
            for p in range(TILE):
                made = _entering(b, [column[p] for column in columns], scaled)
                for q, one in enumerate(made):
                    v.store(b, one, b.add(b.add(out, shift), b.mul(pitch, v.word(TILE * p + q))), 4)
        return context.get_dummy_value()

    return types.void(*([types.int64] * 4)), generate


@intrinsic
def _leave_tile(
    typing_context: Any, products: Any, plain: Any, out: Any, channels: Any, low: Any, high: Any
) -> Any:  # fmt: skip
    """Add the transform of (36, channels) `products` to 16 addresses `plain`; clamped, it goes to 16 addresses."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        products, plain, out, channels, low, high = args
        kind, scaled = _tools(b)
        low, high = v.splat(b, low, LANES), v.splat(b, high, LANES)
        pitch = b.shl(channels, v.word(2))
        with cgutils.for_range(b, b.sdiv(channels, v.word(LANES)), intp=v.i64) as block:
            shift = b.shl(block.index, v.word(6))
            columns = []
            for q in range(TILE):
                at = [b.add(b.add(products, shift), b.mul(pitch, v.word(TILE * p + q))) for p in range(TILE)]
                columns.append(_leaving(b, [v.load(b, one, kind, 4) for one in at], scaled))
            for p in range(OUT):
                for q, one in enumerate(_leaving(b, [column[p] for column in columns], scaled)):
                    place = v.word(8 * (OUT * p + q))
                    start = v.load(b, b.add(v.load(b, b.add(plain, place), v.i64, 8), shift), kind, 4)
                    y = b.fadd(one, start)
                    y = b.select(b.fcmp_ordered("<", y, low), low, y)
                    y = b.select(b.fcmp_ordered(">", y, high), high, y)
                    v.store(b, y, b.add(v.load(b, b.add(out, place), v.i64, 8), shift), 4)
        return context.get_dummy_value()

    return types.void(*([types.int64] * 4), types.float32, types.float32), generate


@kernel()
def enter(
    x: int, shape: tuple[int, int, int, int], plain: int, rows: np.ndarray, out: int, pads: tuple[int, int],
    grid: tuple[int, int], first: int, last: int,
) -> None:  # fmt: skip
    """Transform tiles `first` to `last` of ``x - plain[rows]``, NHWC float32 at addresses, to (tiles, 36, channels)."""
    _, height, width, channels = shape
    down, across = grid
    zeros = np.zeros(channels, np.float32)
    ours, theirs = np.empty(TILE * TILE, np.int64), np.empty(TILE * TILE, np.int64)
    nothing, image = zeros.ctypes.data, height * width * channels
    for tile in range(first, last):
        n, place = tile // (down * across), tile % (down * across)
        top, left = OUT * (place // across) - pads[0], OUT * (place % across) - pads[1]
        for p in range(TILE):
            for q in range(TILE):
                h, w = top + p, left + q
                inside = 0 <= h < height and 0 <= w < width
                at = 4 * (h * width + w) * channels
                ours[TILE * p + q] = x + 4 * n * image + at if inside else nothing
                theirs[TILE * p + q] = plain + 4 * rows[n] * image + at if inside else nothing
        _enter_tile(ours.ctypes.data, theirs.ctypes.data, out, channels)
        out += 4 * TILE * TILE * channels


@kernel()
def leave(
    products: int, plain: int, rows: np.ndarray, y: int, shape: tuple[int, int, int, int], low: float, high: float,
    grid: tuple[int, int], first: int, last: int,
) -> None:  # fmt: skip
    """Write tiles `first` to `last` of ``clamp(plain[rows] + transformed products)``, NHWC float32 at addresses."""
    _, height, width, channels = shape
    down, across = grid
    dump = np.zeros(channels, np.float32)
    start, to = np.empty(OUT * OUT, np.int64), np.empty(OUT * OUT, np.int64)
    nowhere, image = dump.ctypes.data, height * width * channels
    for tile in range(first, last):
        n, place = tile // (down * across), tile % (down * across)
        for p in range(OUT):
            for q in range(OUT):
                h, w = OUT * (place // across) + p, OUT * (place % across) + q
                inside = h < height and w < width
                at = 4 * (h * width + w) * channels
                start[OUT * p + q] = plain + 4 * rows[n] * image + at if inside else nowhere
                to[OUT * p + q] = y + 4 * n * image + at if inside else nowhere
        _leave_tile(products, start.ctypes.data, to.ctypes.data, channels, np.float32(low), np.float32(high))
        products += 4 * TILE * TILE * channels
