"""Float planes to a surface of codes in one pass: the entry of a network.

An image row of each channel is quantized to a line that stays in the first-level cache, the lines are woven to pixels.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from qworkbench.emulator.kernels.calls import RESULT, Call, clear_around, note, perform
from qworkbench.emulator.kernels.compiled import inner, row_kernel
from qworkbench.emulator.kernels.isa import PORTABLE, vectors
from qworkbench.emulator.kernels.rounding import HALF_AWAY, HALF_EVEN
from qworkbench.emulator.kernels.surface import pixel_pitch
from qworkbench.emulator.kernels.values import Layout, new_value, surface_layout
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import cgutils, intrinsic, types
from qworkbench.emulator.kernels.vector.transpose import block
from qworkbench.numerics import checks
from qworkbench.numerics.arithmetic import ROUNDING_CODES, Rounding
from qworkbench.numerics.dtypes import NUMPY, QMAX, QMIN

LANES, VECTORS = 16, 4
BLOCK = LANES * VECTORS
(X, SCALES, OUT, OUT_IMAGE, OUT_ROW, BATCH, PLANES, HEIGHT, WIDTH, BYTES, ROUNDING, PITCH,
 MISSING, WORDS) = range(14)  # fmt: skip
SCALE, LOW, HIGH = range(3)  # of a channel, float32 each


def _halves_up(b: Any, y: Any, rounding: Any) -> Any:
    """Return `y` rounded half up, or half away from zero, in float32."""
    kind = y.type
    away = b.icmp_signed("==", rounding, v.word(HALF_AWAY))
    from_zero = b.select(away, v.call(b, "fabs.v16f32", kind, [y]), y)
    floor = v.call(b, "floor.v16f32", kind, [from_zero])
    zero, half, one = (v.constant(kind, [number] * LANES) for number in (0.0, 0.5, 1.0))
    up = b.fadd(floor, b.select(b.fcmp_ordered(">=", b.fsub(from_zero, floor), half), one, zero))
    return b.select(away, v.call(b, "copysign.v16f32", kind, [up, y]), up)


@intrinsic
def _quantized(
    typing_context: Any, source: Any, channel: Any, target: Any, count: Any, size: Any, rounding: Any
) -> Any:
    """Write `count` codes of `size` bytes, and rubbish up to a whole block; return other than 0 if a number is NaN."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        source, channel, target, count, size, rounding = args
        real, whole = v.vector(v.f32, LANES), v.vector(v.i32, LANES)
        slots = (SCALE, LOW, HIGH)
        factors = (v.load(b, b.add(channel, v.word(4 * slot)), v.f32, 4) for slot in slots)
        scale, low, high = (v.splat(b, factor, LANES) for factor in factors)
        lost = cgutils.alloca_once_value(b, v.constant(v.i16, 0))
        narrow = b.icmp_signed("==", size, v.word(1))
        evenly = b.icmp_signed("==", rounding, v.word(HALF_EVEN))
        blocks = b.lshr(b.add(count, v.word(BLOCK - 1)), v.word(6))
        with cgutils.for_range(b, blocks, intp=v.i64) as block:
            first = b.shl(block.index, v.word(6))
            rest = b.sub(count, first)
            full = b.icmp_signed(">=", rest, v.word(BLOCK))
            mask = b.select(full, v.word(-1), b.sub(b.shl(v.word(1), b.and_(rest, v.word(BLOCK - 1))), v.word(1)))
            exact, numbers = [], []
            below = b.add(source, b.shl(b.add(first, b.shl(count, v.word(1))), v.word(2)))  # two rows on
            for n in range(VECTORS):
                v.prefetch(b, b.add(below, v.word(4 * LANES * n)), near=True)
                here = b.add(source, b.shl(b.add(first, v.word(LANES * n)), v.word(2)))
                x = b.bitcast(v.masked_load(b, here, whole, b.lshr(mask, v.word(LANES * n))), real)
                numbers.append(x)
                y = b.fdiv(x, scale)
                y = b.select(b.fcmp_ordered(">", y, low), y, low)
                exact.append(b.select(b.fcmp_ordered("<", y, high), y, high))
            for x, other in zip(numbers[::2], numbers[1::2], strict=True):  # of either
                b.store(b.or_(b.load(lost), b.bitcast(b.fcmp_unordered("uno", x, other), v.i16)), lost)
            rooms = [cgutils.alloca_once(b, whole) for _ in range(VECTORS)]
            with b.if_else(evenly) as (even, other):
                with even:
                    for y, room in zip(exact, rooms, strict=True):
                        b.store(b.fptosi(v.call(b, "rint.v16f32", real, [y]), whole), room)
                with other:
                    for y, room in zip(exact, rooms, strict=True):
                        b.store(b.fptosi(_halves_up(b, y, rounding), whole), room)
            to = b.add(target, b.mul(first, size))
            with b.if_else(narrow) as branches:
                for branch, code in zip(branches, (v.i8, v.i16), strict=True):
                    with branch:
                        for n, room in enumerate(rooms):
                            codes = b.trunc(b.load(room), v.vector(code, LANES))
                            v.store(b, codes, b.add(to, v.word(LANES * n * code.width // 8)))
        return b.zext(b.load(lost), v.i64)

    return types.int64(*([types.int64] * 6)), generate


@intrinsic
def _woven(typing_context: Any, source: Any, distance: Any, target: Any) -> Any:
    """``target[3 i + c] = source[c * distance + i]`` for 16 bytes of 3 lines."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        source, distance, target = args
        kind = v.vector(v.i8, LANES)
        lines = [v.load(b, b.add(source, b.mul(distance, v.word(c))), kind) for c in range(3)]
        for part in range(3):
            order = [divmod(LANES * part + k, 3) for k in range(LANES)]  # pixel, channel
            two = v.shuffled(b, lines[0], lines[1], [i + LANES * (c % 2) for i, c in order])
            all_three = [LANES + i if c == 2 else k for k, (i, c) in enumerate(order)]
            v.store(b, v.shuffled(b, two, lines[2], all_three), b.add(target, v.word(LANES * part)))
        return context.get_dummy_value()

    return types.void(*([types.int64] * 3)), generate


@inner
def _weave(lines: int, line: int, to: int, pitch: int, channels: int, done: int, width: int, size: int) -> None:
    """``to[w * pitch + c] = lines[c, w]`` from `done` on, one by one."""
    for c in range(channels):
        if size == 1:
            narrow, near = v.int8_at(lines + c * line), v.int8_at(to + c)
            for w in range(done, width):
                near[w * pitch] = narrow[w]
        else:
            wide, far = v.int16_at(lines + c * line), v.int16_at(to + 2 * c)
            for w in range(width):
                far[w * pitch] = wide[w]


@row_kernel
def _planes_to_pixels(p: int) -> None:
    """Quantize an image row of a few channels to lines, weave these to pixels; MISSING tells whether there is NaN."""
    source, scales, out = v.word_at(p + 8 * X), v.word_at(p + 8 * SCALES), v.word_at(p + 8 * OUT)
    to_image, to_row, pitch = v.word_at(p + 8 * OUT_IMAGE), v.word_at(p + 8 * OUT_ROW), v.word_at(p + 8 * PITCH)
    batch, planes, height = v.word_at(p + 8 * BATCH), v.word_at(p + 8 * PLANES), v.word_at(p + 8 * HEIGHT)
    width, size, rounding = v.word_at(p + 8 * WIDTH), v.word_at(p + 8 * BYTES), v.word_at(p + 8 * ROUNDING)
    line, missing = (width + BLOCK) * size, 0
    room = np.empty(LANES * line, np.int8)
    lines = room.ctypes.data
    for n in range(batch):
        for first in range(0, pitch, LANES):
            woven, real = min(LANES, pitch - first), min(LANES, planes - first)
            if real < woven:
                v.clear(lines, LANES * line)  # channels that only fill the pitch
            for h in range(height):
                for c in range(real):
                    here = source + ((n * planes + first + c) * height + h) * width * 4
                    missing |= _quantized(here, scales + 12 * (first + c), lines + c * line, width, size, rounding)
                to = out + n * to_image + h * to_row + first * size
                done = 0
                if size == 1 and woven == 3:
                    while done + LANES <= width:
                        _woven(lines + done, line, to + 3 * done)
                        done += LANES
                elif size == 1 and woven == LANES:
                    while done + LANES <= width:
                        block(lines + done, line, to + done * pitch, pitch)
                        done += LANES
                _weave(lines, line, to, pitch, woven, done, width, size)
    v.int64_at(p + 8 * MISSING)[0] = missing


class _Entry(NamedTuple):
    """Where codes go, and a row of parameters that lacks the addresses of x and of these; `scales` is in it, too."""

    layout: Layout
    row: np.ndarray
    scales: np.ndarray


@lru_cache(256)
def _entry(shape: tuple[int, ...], scale: bytes, dtype: str, rounding: Rounding, margin: int) -> _Entry:
    checks.rounding("quantize", rounding)
    batch, channels, height, width = shape
    scales = np.empty((channels, 3), np.float32)
    scales[:, SCALE] = checks.scale("quantize", np.frombuffer(scale, np.float32), shape)
    scales[:, LOW], scales[:, HIGH] = QMIN[dtype], QMAX[dtype]
    layout = surface_layout(shape, NUMPY[dtype], margin, pixel_pitch(channels))
    assert layout.whole is not None
    assert layout.strides is not None
    row = np.array((
        0, scales.ctypes.data, 0, layout.strides[0], layout.strides[2], batch, channels, height, width,
        layout.dtype.itemsize, ROUNDING_CODES[rounding], layout.whole[3], 0,
    ))  # fmt: skip
    return _Entry(layout, row, scales)


def quantized_pixels(
    x: np.ndarray, scale: Any, dtype: str, rounding: Rounding, margin: int
) -> tuple[np.ndarray, int] | None:
    """Return the codes of the planes `x` on a surface, and other than 0 if there is NaN; None where not for here.

    Pixels of up to four channels lie without gaps. `scale` is one or (C,).
    """
    if x.ndim != 4 or x.dtype != np.float32 or not x.size or not x.flags.c_contiguous or vectors() == PORTABLE:
        return None
    entry = _entry(x.shape, np.asarray(scale, np.float32).tobytes(), dtype, rounding, margin)
    value = new_value(entry.layout)
    clear_around(value)
    call = Call(_planes_to_pixels, entry.row, ((X, 0, 0), (OUT, RESULT, 0)))
    missing = int(perform(call, (x.ctypes.data,), value.origin)[MISSING])
    note((x,), (value.array,), (call,), entry, lost=MISSING)
    return value.array, missing
