"""What mixes neighbouring pixels of int8 surfaces: means of windows, and bilinear resize; all channels side by side.

Rows are combined first, to a line of int32 that stays in the first-level cache, then pixels of the line.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qworkbench.emulator.kernels.calls import RESULT, Call, note, perform
from qworkbench.emulator.kernels.compiled import inner, row_kernel
from qworkbench.emulator.kernels.isa import PORTABLE, vectors
from qworkbench.emulator.kernels.surface import new_surface, surface_of
from qworkbench.emulator.kernels.values import Surface
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import carray, cgutils, intrinsic, types
from qworkbench.numerics.arithmetic import ConvGeometry, Requantize

MARGIN = 1
LANES = 16
MOST_BITS = 11  # of a weight, so that ``128 * 2**(2 bits)`` and its half fit int32
(X, X_IMAGE, X_ROW, OUT, OUT_IMAGE, OUT_ROW, BATCH, HEIGHT, WIDTH, OUT_HEIGHT, OUT_WIDTH, PITCH) = range(12)
(ROWS, COLUMNS, STRIDE_H, STRIDE_W, TOP, LEFT, DILATION_H, DILATION_W, FACTORS, LOW, HIGH, WINDOW_WORDS) = range(12, 24)
(BITS, H0, H1, WEIGHTS_H, W0, W1, WEIGHTS_W, RESIZE_WORDS) = range(12, 20)


@inner
def _add_codes(line: np.ndarray, source: int) -> None:
    codes = carray(v.int8_at(source), line.size)
    for k in range(line.size):
        line[k] = np.int32(line[k] + np.int32(codes[k]))


def _in_blocks(b: Any, size: Any, target: Any, codes: Any) -> None:
    """Store ``codes(i)``, int8, for every block of `size` channels from channel i on, no byte behind the last."""
    blocks, rest = b.lshr(size, v.word(4)), b.and_(size, v.word(LANES - 1))
    with cgutils.for_range(b, blocks, intp=v.i64) as block:
        at = b.shl(block.index, v.word(4))
        v.store(b, codes(at), b.add(target, at))
    with b.if_then(b.icmp_signed("!=", rest, v.word(0))):
        at = b.shl(blocks, v.word(4))
        v.masked_store(b, codes(at), b.add(target, at), b.sub(b.shl(v.word(1), rest), v.word(1)))


@intrinsic
def _mean_of(
    typing_context: Any, source: Any, taps: Any, distance: Any, factor: Any, low: Any, high: Any, target: Any, size: Any
) -> Any:
    """``clamp(round_half_even(float32(sum over t < taps of source[t * distance + i]) * factor), low, high)``."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        source, taps, distance, factor, low, high, target, size = args
        kind, real = v.vector(v.i32, LANES), v.vector(v.f32, LANES)
        factor, low, high = (v.splat(b, number, LANES) for number in (factor, low, high))

        def codes(at: Any) -> Any:
            begin, room = b.add(source, b.shl(at, v.word(2))), cgutils.alloca_once(b, kind)
            b.store(v.constant(kind, [0] * LANES), room)
            with cgutils.for_range(b, taps, intp=v.i64) as tap:
                part = v.load(b, b.add(begin, b.mul(tap.index, distance)), kind, 4)
                b.store(b.add(b.load(room), part), room)
            y = b.fmul(b.sitofp(b.load(room), real), factor)
            y = b.select(b.fcmp_ordered(">", y, low), y, low)
            y = b.select(b.fcmp_ordered("<", y, high), y, high)
            return b.trunc(b.fptosi(v.call(b, "rint.v16f32", real, [y]), kind), v.vector(v.i8, LANES))

        _in_blocks(b, size, target, codes)
        return context.get_dummy_value()

    whole, part = types.int64, types.float32
    return types.void(whole, whole, whole, part, part, part, whole, whole), generate


@row_kernel
def _means(row: int) -> None:
    """``out[n, i, j, c] = requantize(sum over the window's pixels inside the image of x[n, ., ., c])``."""
    p = carray(v.int64_at(row), WINDOW_WORDS)
    pitch, across, stride = p[PITCH], p[DILATION_W], p[STRIDE_W]
    low, high = np.float32(p[LOW]), np.float32(p[HIGH])
    factors = carray(v.float32_at(p[FACTORS]), p[OUT_HEIGHT] * p[OUT_WIDTH])
    reach = max((p[OUT_WIDTH] - 1) * stride + (p[COLUMNS] - 1) * across + 1, p[LEFT] + p[WIDTH])
    line = np.zeros(reach * pitch + LANES, np.int32)
    begin = line.ctypes.data
    inside = line[p[LEFT] * pitch : (p[LEFT] + p[WIDTH]) * pitch]
    for n in range(p[BATCH]):
        for i in range(p[OUT_HEIGHT]):
            inside[:] = np.int32(0)
            for r in range(p[ROWS]):
                h = i * p[STRIDE_H] - p[TOP] + r * p[DILATION_H]
                if 0 <= h < p[HEIGHT]:
                    _add_codes(inside, p[X] + n * p[X_IMAGE] + h * p[X_ROW])
            out = p[OUT] + n * p[OUT_IMAGE] + i * p[OUT_ROW]
            for j in range(p[OUT_WIDTH]):
                here, factor = begin + 4 * j * stride * pitch, factors[i * p[OUT_WIDTH] + j]
                _mean_of(here, p[COLUMNS], 4 * across * pitch, factor, low, high, out + j * pitch, pitch)


@inner
def _mix_rows(line: np.ndarray, above: int, below: int, up: Any, down: Any) -> None:
    upper, lower = carray(v.int8_at(above), line.size), carray(v.int8_at(below), line.size)
    for k in range(line.size):
        line[k] = np.int32(np.int32(np.int32(upper[k]) * up) + np.int32(np.int32(lower[k]) * down))


@intrinsic
def _mix_pixels(
    typing_context: Any, left: Any, right: Any, one: Any, other: Any, shift: Any, target: Any, size: Any
) -> Any:
    """``target = round_half_even(left * one + right * other >> shift)`` of `size` int32; it may read a block more."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        left, right, one, other, shift, target, size = args
        kind = v.vector(v.i32, LANES)
        half = b.shl(v.word(1), b.sub(shift, v.word(1)))
        less = b.sub(half, v.word(1))
        one, other, shift, less = (v.splat(b, b.trunc(number, v.i32), LANES) for number in (one, other, shift, less))
        unit = v.splat(b, v.constant(v.i32, 1), LANES)

        def codes(at: Any) -> Any:
            near, far = (v.load(b, b.add(start, b.shl(at, v.word(2))), kind, 4) for start in (left, right))
            total = b.add(b.mul(near, one), b.mul(far, other))
            odd = b.and_(b.ashr(total, shift), unit)
            return b.trunc(b.ashr(b.add(b.add(total, less), odd), shift), v.vector(v.i8, LANES))

        _in_blocks(b, size, target, codes)
        return context.get_dummy_value()

    return types.void(*([types.int64] * 7)), generate


@row_kernel
def _bilinear(row: int) -> None:
    """``out[n, i, j, c]`` = rows H0[i] and H1[i], columns W0[j] and W1[j] of x, weighed in fixed point."""
    p = carray(v.int64_at(row), RESIZE_WORDS)
    pitch, one, shift = p[PITCH], np.int64(1) << p[BITS], 2 * p[BITS]
    h0, h1 = carray(v.int64_at(p[H0]), p[OUT_HEIGHT]), carray(v.int64_at(p[H1]), p[OUT_HEIGHT])
    w0, w1 = carray(v.int64_at(p[W0]), p[OUT_WIDTH]), carray(v.int64_at(p[W1]), p[OUT_WIDTH])
    down, across = carray(v.int64_at(p[WEIGHTS_H]), p[OUT_HEIGHT]), carray(v.int64_at(p[WEIGHTS_W]), p[OUT_WIDTH])
    room = np.empty(p[WIDTH] * pitch + LANES, np.int32)
    line, begin = room[: p[WIDTH] * pitch], room.ctypes.data
    for n in range(p[BATCH]):
        image = p[X] + n * p[X_IMAGE]
        for i in range(p[OUT_HEIGHT]):
            above, below = image + h0[i] * p[X_ROW], image + h1[i] * p[X_ROW]
            _mix_rows(line, above, below, np.int32(one - down[i]), np.int32(down[i]))
            out = p[OUT] + n * p[OUT_IMAGE] + i * p[OUT_ROW]
            for j in range(p[OUT_WIDTH]):
                left, right = begin + 4 * w0[j] * pitch, begin + 4 * w1[j] * pitch
                _mix_pixels(left, right, one - across[j], across[j], shift, out + j * pitch, pitch)


def _found(x: np.ndarray) -> Surface | None:
    return None if vectors() == PORTABLE or x.dtype != np.int8 else surface_of(x)


def _made(kernel: Any, x: np.ndarray, surface: Surface, size: tuple[int, int], more: tuple[int, ...], kept: Any) -> Any:
    out = new_surface((*x.shape[:2], *size), np.int8, MARGIN if size[0] * size[1] > 1 else 0, surface.shape[3])
    to = surface_of(out)
    assert to is not None
    begin = (0, *surface.strides[:2], 0, *to.strides[:2], len(x), *x.shape[2:], *size, surface.shape[3])
    call = Call(kernel, np.array((*begin, *more)), ((X, 0, 0), (OUT, RESULT, 0)))
    perform(call, (surface.origin,), to.origin)
    note((x,), (out,), (call,), kept)
    return out


def window_means(x: np.ndarray, geometry: ConvGeometry, counts: np.ndarray, rq: Requantize) -> np.ndarray | None:
    """Return the requantized means of the windows of the surface `x` in the default arithmetic; None for all else.

    `counts` (H, W) of the result are what each sum is divided by.
    """
    surface = _found(x) if (rq.kind, rq.dtype, rq.rounding) == ("float32", "int8", "half_even") else None
    if surface is None or rq.multiplier.size != 1:
        return None
    factors = np.ascontiguousarray(float(rq.multiplier.reshape(-1)[0]) / counts, np.float32)
    g = geometry
    more = (*g.kernel, *g.strides, *g.pads[:2], *g.dilations, factors.ctypes.data, rq.low, rq.high)
    return np.asarray(_made(_means, x, surface, (counts.shape[0], counts.shape[1]), more, factors))


def bilinear(x: np.ndarray, index: tuple[np.ndarray, ...], bits: int) -> np.ndarray | None:
    """Return the surface `x` resized by `index` = rows, rows, weights, columns, columns, weights; or None."""
    surface = _found(x) if bits <= MOST_BITS else None
    if surface is None:
        return None
    tables = tuple(np.ascontiguousarray(table, np.int64) for table in index)
    size = (tables[0].size, tables[3].size)
    more = (bits, *(table.ctypes.data for table in tables))
    return np.asarray(_made(_bilinear, x, surface, size, more, tables))
