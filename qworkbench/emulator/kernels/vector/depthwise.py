"""Depthwise convolution: every channel alone, so vectors run along memory and columns are dotted in registers.

3 x 3 with stride 1 or 2 walks down columns (:mod:`.columns`), in blocks of 64 channels. Other windows are dotted four
or two taps at a time (:mod:`.fours`, :mod:`.twos`); what is left adds one tap after the other to a row of sums.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qworkbench.emulator.kernels.compiled import inner, row_kernel
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.columns import column_kernel
from qworkbench.emulator.kernels.vector.ir import carray

(X, X_IMAGE, X_ROW, X_PIXEL, OUT, OUT_IMAGE, OUT_ROW, OUT_PIXEL, BATCH, HEIGHT, WIDTH, STRIDE_H, STRIDE_W,
 TAPS, TAP_COUNT, WEIGHTS, BIAS, SCALE, LOW, HIGH, CHANNELS, BYTES, COUNTER, CHUNKS, MODE,
 SIGN, WORDS) = range(27)  # fmt: skip
INT8, INT16, INT32 = range(3)  # MODE: what leaves
VECTOR = 64

_down1, _down2 = column_kernel(1, 16), column_kernel(2, 16)


def in_dots(w: np.ndarray, taps: int) -> np.ndarray:
    """Return weights (..., length) as (..., dots, `taps`), zero behind the last."""
    room = np.zeros((*w.shape[:-1], -(-w.shape[-1] // taps) * taps), w.dtype)
    room[..., : w.shape[-1]] = w
    return room.reshape(*w.shape[:-1], -1, taps)


@inner
def bands_of(row: int) -> Iterator[tuple[int, int, int]]:
    """Yield where a band of rows begins in the input and in the output, and its rows, for every chunk not yet taken."""
    p = carray(v.int64_at(row), WORDS)
    parts = p[CHUNKS] // p[BATCH]
    while True:
        chunk = v.taken(row + 8 * COUNTER)
        if chunk >= p[CHUNKS]:
            break
        image, part = chunk // parts, chunk % parts
        first, last = part * p[HEIGHT] // parts, (part + 1) * p[HEIGHT] // parts
        x = p[X] + image * p[X_IMAGE] + first * p[STRIDE_H] * p[X_ROW]
        yield x, p[OUT] + image * p[OUT_IMAGE] + first * p[OUT_ROW], last - first


@row_kernel
def columns_avx512(row: int) -> None:
    """Compute 3 x 3 windows, stride 1 or 2 in both directions: chunks of rows until none is left."""
    p = carray(v.int64_at(row), WORDS)
    pitch, low, high, sign = p[CHANNELS], p[LOW], p[HIGH], p[SIGN]
    groups = pitch // 16
    weight_row = (groups + 3) * 16
    for x, out, rows in bands_of(row):
        if p[STRIDE_W] == 1:
            total = p[WIDTH] * pitch
            for begin in range(0, total, VECTOR):
                j = max(min(begin, total - VECTOR), 0)  # the last block overlaps the one before it
                g = (j // 16) % groups * 16
                rest = total - j
                mask = (np.int64(1) << rest) - 1 if rest < VECTOR else np.int64(-1)
                _down1(
                    x + j, p[X_ROW], p[X_PIXEL], rows, p[WEIGHTS] + g, weight_row, p[BIAS] + g,
                    p[SCALE] + g, out + j, p[OUT_ROW], low, high, mask, sign,
                )  # fmt: skip
        else:
            for w in range(p[WIDTH]):
                for c in range(0, pitch, VECTOR):
                    rest = pitch - c
                    mask = (np.int64(1) << rest) - 1 if rest < VECTOR else np.int64(-1)
                    _down2(
                        x + 2 * w * pitch + c, p[X_ROW], p[X_PIXEL], rows, p[WEIGHTS] + c, weight_row,
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
    for x, out, _ in bands_of(row):  # of one row each
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
