"""Depthwise convolution: every channel alone, so vectors run along memory and columns are dotted in registers.

3 x 3 with stride 1 or 2 walks down a column of 64 bytes: three loads of a row, interleaved so that the three columns of
one channel lie in one 32-bit word, feed the dot instruction with that kernel row; each row of input is loaded once.
Everything else adds one tap after the other to a row of sums. int8 enters as ``code + 128`` where the dot needs it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qworkbench.emulator.kernels.compiled import row_kernel
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import carray, cgutils, intrinsic, types

(X, X_IMAGE, X_ROW, X_PIXEL, OUT, OUT_IMAGE, OUT_ROW, OUT_PIXEL, BATCH, HEIGHT, WIDTH, STRIDE_H, STRIDE_W,
 TAPS, TAP_COUNT, WEIGHTS, BIAS, SCALE, LOW, HIGH, CHANNELS, BYTES, COUNTER, CHUNKS, MODE,
 SIGN, WORDS) = range(27)  # fmt: skip
INT8, INT16, INT32 = range(3)  # MODE: what leaves
VECTOR = 64
AHEAD = 4 * VECTOR  # bytes: the columns between asking for a line and reaching it


def _interleaved(b: Any, one: Any, other: Any, low: bool, bits: int) -> Any:
    """Return the low or high elements of each 128-bit lane of two vectors, alternating."""
    count, per_lane = 512 // bits, 128 // bits
    kind = v.vector(v.i8 if bits == 8 else v.i16, count)
    half = per_lane // 2
    order = [
        index
        for lane in range(4)
        for i in range(half)
        for index in (lane * per_lane + i + (0 if low else half), count + lane * per_lane + i + (0 if low else half))
    ]
    return v.shuffled(b, b.bitcast(one, kind), b.bitcast(other, kind), order)


def _row(b: Any, at: Any, pixel: Any, sign: Any) -> list[Any]:
    """Load 64 channels of three neighbours as four vectors of (left, middle, right, right) words, shifted by 128."""
    kind = v.vector(v.i8, VECTOR)
    words = v.vector(v.i32, 16)
    loaded = (v.load(b, b.add(at, b.mul(pixel, v.word(i))), words) for i in range(3))
    left, middle, right = (b.bitcast(b.xor(part, sign), kind) for part in loaded)
    pairs = [_interleaved(b, left, middle, low, 8) for low in (True, False)]
    doubles = [_interleaved(b, right, right, low, 8) for low in (True, False)]
    whole = [
        _interleaved(b, pair, double, low, 16)
        for pair, double in zip(pairs, doubles, strict=True)
        for low in (True, False)
    ]
    return [b.bitcast(part, words) for part in whole]


def column_kernel(stride: int) -> Any:
    """Return the intrinsic that walks down `rows` output rows of 64 channels."""

    @intrinsic
    def kernel(
        typing_context: Any, x: Any, x_row: Any, x_pixel: Any, rows: Any, weights: Any, weight_row: Any, bias: Any,
        scale: Any, out: Any, out_row: Any, low: Any, high: Any, mask: Any, sign: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            x, x_row, x_pixel, rows, weights, weight_row, bias, scale, out, out_row, low, high, mask, sign = args
            words, real = v.vector(v.i32, 16), v.vector(v.f32, 16)
            sign = v.load(b, sign, words, 64)
            # a line of one quarter (4 channels of each of 4 groups) follows another at the distance weight_row
            quarter = [b.mul(weight_row, v.word(j)) for j in range(12)]
            weight = [[v.load(b, b.add(weights, quarter[4 * r + j]), words) for j in range(4)] for r in range(3)]
            start = [v.load(b, b.add(bias, quarter[j]), words) for j in range(4)]

            def dotted(sums: list[Any], row: list[Any], r: int) -> list[Any]:
                return [v.call(b, "x86.avx512.vpdpbusd.512", words, [sums[j], row[j], weight[r][j]]) for j in range(4)]

            def leave(sums: list[Any], at: Any) -> None:
                whole = []
                for j, total in enumerate(sums):
                    factor = v.load(b, b.add(scale, quarter[j]), real)
                    whole.append(v.nearest(b, b.fmul(b.sitofp(total, real), factor)))
                halves = [v.call(b, "x86.avx512.packssdw.512", v.vector(v.i16, 32), whole[i : i + 2]) for i in (0, 2)]
                codes = v.call(b, "x86.avx512.packsswb.512", v.vector(v.i8, VECTOR), halves)
                codes = v.clamped(b, codes, *(v.splat(b, b.trunc(limit, v.i8), VECTOR) for limit in (low, high)))
                v.masked_store(b, codes, at, mask)

            def rooms() -> list[Any]:
                return [cgutils.alloca_once(b, words) for _ in range(4)]

            def put(values: list[Any], into: list[Any]) -> None:
                for value, room in zip(values, into, strict=True):
                    b.store(value, room)

            def get(room: list[Any]) -> list[Any]:
                return [b.load(r) for r in room]

            here, to = cgutils.alloca_once_value(b, x), cgutils.alloca_once_value(b, out)
            upper, lower = rooms(), rooms()
            first = _row(b, x, x_pixel, sign)
            if stride == 1:
                second = _row(b, b.add(x, x_row), x_pixel, sign)
                put(dotted(dotted(start, first, 0), second, 1), upper)
                put(dotted(start, second, 0), lower)
                b.store(b.add(x, b.mul(x_row, v.word(2))), here)
            else:
                put(dotted(start, first, 0), upper)
                b.store(b.add(x, x_row), here)
            beside = b.add(b.shl(x_pixel, v.word(1)), v.word(AHEAD))
            with cgutils.for_range(b, rows, intp=v.i64):
                at = b.load(here)
                v.prefetch(b, b.add(at, beside), near=True)
                v.prefetch(b, b.add(b.load(to), v.word(AHEAD)), near=True)
                row = _row(b, at, x_pixel, sign)
                if stride == 1:
                    leave(dotted(get(upper), row, 2), b.load(to))
                    put(dotted(get(lower), row, 1), upper)
                    put(dotted(start, row, 0), lower)
                else:
                    middle = dotted(get(upper), row, 1)
                    at = b.add(at, x_row)
                    v.prefetch(b, b.add(at, beside), near=True)
                    row = _row(b, at, x_pixel, sign)
                    leave(dotted(middle, row, 2), b.load(to))
                    put(dotted(start, row, 0), upper)
                b.store(b.add(at, x_row), here)
                b.store(b.add(b.load(to), out_row), to)
            return context.get_dummy_value()

        return types.void(*([types.int64] * 14)), generate

    return kernel


_down1, _down2 = column_kernel(1), column_kernel(2)


@row_kernel
def columns_avx512(row: int) -> None:
    """Compute 3 x 3 windows, stride 1 or 2 in both directions: chunks of rows until none is left."""
    p = carray(v.int64_at(row), WORDS)
    pitch, low, high, sign = p[CHANNELS], p[LOW], p[HIGH], p[SIGN]
    groups = pitch // 16
    weight_row = (groups + 3) * 16
    parts = p[CHUNKS] // p[BATCH]
    counter = row + 8 * COUNTER
    while True:
        chunk = v.taken(counter)
        if chunk >= p[CHUNKS]:
            break
        image, part = chunk // parts, chunk % parts
        first, last = part * p[HEIGHT] // parts, (part + 1) * p[HEIGHT] // parts
        x = p[X] + image * p[X_IMAGE] + first * p[STRIDE_H] * p[X_ROW]
        out = p[OUT] + image * p[OUT_IMAGE] + first * p[OUT_ROW]
        if p[STRIDE_W] == 1:
            total = p[WIDTH] * pitch
            for begin in range(0, total, VECTOR):
                j = max(min(begin, total - VECTOR), 0)  # the last block overlaps the one before it
                g = (j // 16) % groups * 16
                rest = total - j
                mask = (np.int64(1) << rest) - 1 if rest < VECTOR else np.int64(-1)
                _down1(
                    x + j, p[X_ROW], p[X_PIXEL], last - first, p[WEIGHTS] + g, weight_row, p[BIAS] + g,
                    p[SCALE] + g, out + j, p[OUT_ROW], low, high, mask, sign,
                )  # fmt: skip
        else:
            for w in range(p[WIDTH]):
                for c in range(0, pitch, VECTOR):
                    rest = pitch - c
                    mask = (np.int64(1) << rest) - 1 if rest < VECTOR else np.int64(-1)
                    _down2(
                        x + 2 * w * pitch + c, p[X_ROW], p[X_PIXEL], last - first, p[WEIGHTS] + c, weight_row,
                        p[BIAS] + c, p[SCALE] + c, out + w * pitch + c, p[OUT_ROW], low, high, mask, sign,
                    )  # fmt: skip


@row_kernel
def taps_any(row: int) -> None:
    """Compute windows of any kind, int8 or int16, one tap after the other over the channels of a pixel."""
    p = carray(v.int64_at(row), WORDS)
    channels = p[CHANNELS]
    sums = np.empty(channels, np.int32)
    bias, taps = carray(v.int32_at(p[BIAS]), channels), carray(v.int64_at(p[TAPS]), p[TAP_COUNT])
    weights = carray(v.int16_at(p[WEIGHTS]), p[TAP_COUNT] * channels)
    counter = row + 8 * COUNTER
    while True:
        line = v.taken(counter)
        if line >= p[CHUNKS]:
            break
        image, h = line // p[HEIGHT], line % p[HEIGHT]
        x = p[X] + image * p[X_IMAGE] + h * p[STRIDE_H] * p[X_ROW]
        out = p[OUT] + image * p[OUT_IMAGE] + h * p[OUT_ROW]
        for w in range(p[WIDTH]):
            at, to = x + w * p[STRIDE_W] * p[X_PIXEL], out + w * p[OUT_PIXEL]
            sums[:] = bias
            for t in range(p[TAP_COUNT]):
                weight = weights[t * channels : (t + 1) * channels]
                if p[BYTES] == 1:
                    narrow = carray(v.int8_at(at + taps[t]), channels)
                    for c in range(channels):
                        sums[c] = np.int32(sums[c] + np.int32(np.int32(narrow[c]) * np.int32(weight[c])))
                else:
                    wide = carray(v.int16_at(at + taps[t]), channels)
                    for c in range(channels):
                        sums[c] = np.int32(sums[c] + np.int32(np.int32(wide[c]) * np.int32(weight[c])))
            if p[MODE] == INT8:
                low, high = np.float32(p[LOW]), np.float32(p[HIGH])
                factor, codes = carray(v.float32_at(p[SCALE]), channels), carray(v.int8_at(to), channels)
                for c in range(channels):
                    y = np.float32(sums[c]) * factor[c]
                    y = low if y < low else y
                    codes[c] = np.int8(np.int32(np.rint(high if y > high else y)))
            elif p[MODE] == INT16:
                lowest, highest = np.float64(p[LOW]), np.float64(p[HIGH])
                factors, wider = carray(v.float64_at(p[SCALE]), channels), carray(v.int16_at(to), channels)
                for c in range(channels):
                    z = np.float64(sums[c]) * factors[c]
                    z = lowest if z < lowest else z
                    wider[c] = np.int16(np.int32(np.rint(highest if z > highest else z)))
            else:
                carray(v.int32_at(to), channels)[:] = sums
