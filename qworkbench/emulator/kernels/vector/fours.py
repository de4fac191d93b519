"""Depthwise windows of any size, stride and dilation, int8, by dots of bytes: four taps of a channel in a 32-bit word.

Each output pixel is computed alone: four pixels of the window are loaded and interleaved for one dot of each channel.
What is 3 x 3 shares rows between outputs instead (:mod:`.columns`). Knows addresses, distances and counts only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qworkbench.emulator.kernels.compiled import row_kernel
from qworkbench.emulator.kernels.surface import on_a_line
from qworkbench.emulator.kernels.vector import depthwise as at
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector import machine
from qworkbench.emulator.kernels.vector.columns import interleaved
from qworkbench.emulator.kernels.vector.depthwise import bands_of, in_dots
from qworkbench.emulator.kernels.vector.ir import carray, cgutils, intrinsic, types

LANES, VECTOR, TAPS = 16, 64, 4
GROUP = 16  # channels whose quarters interleaving leaves apart


def _four(b: Any, x: Any, offsets: list[Any], sign: Any) -> list[Any]:
    """Return four pixels of a window as words of four taps, a vector per quarter of the channels."""
    kind, halves = v.vector(v.i32, LANES), (True, False)
    one, two, three, four = (b.xor(v.load(b, b.add(x, offset), kind), sign) for offset in offsets)
    left, right = ([interleaved(b, *pair, half, 8) for half in halves] for pair in ((one, two), (three, four)))
    pairs = zip(left, right, strict=True)
    return [b.bitcast(interleaved(b, near, far, half, 16), kind) for near, far in pairs for half in halves]


@intrinsic
def _windows(
    typing_context: Any, x: Any, other: Any, taps: Any, fours: Any, weights: Any, low: Any, high: Any, sign: Any,
    out: Any, beside: Any, mask: Any,
) -> Any:  # fmt: skip
    """Write 64 channels of two pixels: ``clamp(round(float32(bias + sum of x[tap] * w) * scale), low, high)``.

    The windows begin at `x` and at `other`, the pixels are at `out` and `beside`; `weights` are a block of
    :func:`in_blocks`.
    """

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        x, other, taps, fours, weights, low, high, sign, out, beside, mask = args
        words, real = v.vector(v.i32, LANES), v.vector(v.f32, LANES)

        def line(start: Any, j: int, kind: Any) -> Any:
            return v.load(b, b.add(start, v.word(VECTOR * j)), kind, VECTOR)

        sign = v.load(b, sign, words, VECTOR)
        sums = [[cgutils.alloca_once_value(b, line(weights, j, words)) for j in range(4)] for _ in range(2)]
        with cgutils.for_range(b, fours, intp=v.i64) as turn:
            first = b.add(taps, b.shl(turn.index, v.word(5)))  # 4 taps of 8 bytes
            offsets = [v.load(b, b.add(first, v.word(8 * i)), v.i64, 8) for i in range(TAPS)]
            here = b.add(weights, b.shl(b.add(turn.index, v.word(2)), v.word(8)))  # behind bias and scale
            weight = [line(here, j, words) for j in range(4)]
            for begin, rooms in zip((x, other), sums, strict=True):
                for j, pixel in enumerate(_four(b, begin, offsets, sign)):
                    b.store(machine.dotted(b, "busd", b.load(rooms[j]), pixel, weight[j]), rooms[j])
        limits = [v.splat(b, b.trunc(limit, v.i8), VECTOR) for limit in (low, high)]
        scale = [line(b.add(weights, v.word(4 * VECTOR)), j, real) for j in range(4)]
        for rooms, to in zip(sums, (out, beside), strict=True):
            totals = (b.sitofp(b.load(room), real) for room in rooms)
            rounded = [machine.nearest(b, b.fmul(total, factor)) for total, factor in zip(totals, scale, strict=True)]
            v.masked_store(b, v.clamped(b, machine.packed_by_quads(b, rounded), *limits), to, mask)
        return context.get_dummy_value()

    return types.void(*([types.int64] * 11)), generate


@row_kernel
def fours_avx512(row: int) -> None:
    """Compute lines of output until none is left, 64 channels after the other, two pixels at once."""
    p = carray(v.int64_at(row), at.WORDS)
    pitch, fours = p[at.CHANNELS], p[at.TAP_COUNT] // TAPS
    block, step, last = (fours + 2) * 4 * VECTOR, p[at.STRIDE_W] * p[at.X_PIXEL], p[at.WIDTH] - 1
    taps, low, high, sign = p[at.TAPS], p[at.LOW], p[at.HIGH], p[at.SIGN]
    for x, out, _ in bands_of(row):  # of one row each
        for c in range(0, pitch, VECTOR):
            rest, weights = pitch - c, p[at.WEIGHTS] + c // VECTOR * block
            mask = (np.int64(1) << rest) - 1 if rest < VECTOR else np.int64(-1)
            for w in range(0, last + 1, 2):
                beside = min(w + 1, last)
                _windows(
                    x + c + w * step, x + c + beside * step, taps, fours, weights, low, high, sign,
                    out + c + w * p[at.OUT_PIXEL], out + c + beside * p[at.OUT_PIXEL], mask,
                )  # fmt: skip


def in_blocks(w: np.ndarray, start: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return bias, scale and weights as a block of lines of 64 bytes per 64 channels.

    First the bias, then the scale, then the weights of four taps after the other: each four lines, of the channels
    4 j .. 4 j + 3 of every group of 16.

    Parameters
    ----------
    w : numpy.ndarray
        int8 (channels, taps).
    start, scale : numpy.ndarray
        int32 and float32, for whole groups.
    """
    dots = in_dots(w, TAPS)
    (count, fours, _), blocks = dots.shape, -(-start.size // VECTOR)
    room = np.zeros((blocks * VECTOR, fours + 2, TAPS), np.int8)
    room[:count, 2:] = dots
    for place, values in enumerate((start, scale)):
        room[: start.size, place] = values.view(np.int8).reshape(-1, TAPS)
    return on_a_line(room.reshape(blocks, VECTOR // GROUP, 4, 4, fours + 2, TAPS).transpose(0, 4, 2, 1, 3, 5))
