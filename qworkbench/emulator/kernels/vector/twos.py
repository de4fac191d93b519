"""Depthwise windows of any size, stride and dilation in pairs of int16: two taps of a channel in a 32-bit word.

int16 codes on every vector unit of x86, int8 codes where no dot of bytes is (:mod:`.fours`). Each output pixel is
computed alone; what leaves does so as in :mod:`.pairs`. Knows addresses, distances and counts only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qworkbench.emulator.kernels.compiled import row_kernel
from qworkbench.emulator.kernels.vector import depthwise as at
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector import machine
from qworkbench.emulator.kernels.vector.depthwise import bands_of
from qworkbench.emulator.kernels.vector.ir import carray, cgutils, intrinsic, types
from qworkbench.emulator.kernels.vector.pairs import Leaves

TAPS = 2  # of a dot


class _Window(Leaves):
    """Writes ``2 * lanes`` channels of a pixel."""

    def __init__(self, b: Any, lanes: int, bits: int, args: Any) -> None:
        self.x, self.taps, self.twos, self.weights, line, self.bias, scale, self.out, low, high, mask, mode = args
        super().__init__(b, lanes, line, scale, low, high, mask, mode)
        self.bits, self.dot = bits, "wssd" if lanes == 16 else "madd"

    def write(self) -> None:
        """Write the body."""
        b = self.b
        sums = [
            cgutils.alloca_once_value(b, v.load(b, b.add(self.bias, self.half(i, 4)), self.words)) for i in range(2)
        ]
        with cgutils.for_range(b, self.twos, intp=v.i64) as turn:
            first = b.add(self.taps, b.shl(turn.index, v.word(4)))  # two taps of 8 bytes
            one, other = (self._codes(b.add(first, v.word(8 * i))) for i in range(TAPS))
            here = b.add(self.weights, b.mul(turn.index, b.shl(self.line, v.word(1))))
            for i, room in enumerate(sums):
                words = b.bitcast(v.shuffled(b, one, other, self.interleaving(i)), self.words)
                weight = v.load(b, b.add(here, self.half(i, 4)), self.words)
                b.store(machine.dotted(b, self.dot, b.load(room), words, weight), room)
        self.leave([b.load(room) for room in sums], self.out)

    def _codes(self, tap: Any) -> Any:
        """Load the pixel of a tap as int16."""
        b = self.b
        place = b.add(self.x, v.load(b, tap, v.i64, 8))
        codes = v.load(b, place, v.vector(v.i8 if self.bits == 8 else v.i16, 2 * self.lanes))
        return b.sext(codes, self.pairs) if self.bits == 8 else codes


def _window(lanes: int, bits: int) -> Any:
    @intrinsic
    def window(
        typing_context: Any, x: Any, taps: Any, twos: Any, weights: Any, line: Any, bias: Any, scale: Any, out: Any,
        low: Any, high: Any, mask: Any, mode: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            _Window(b, lanes, bits, args).write()
            return context.get_dummy_value()

        return types.void(*([types.int64] * 12)), generate

    return window


_words512, _words256, _bytes256 = _window(16, 16), _window(8, 16), _window(8, 8)


@row_kernel
def twos_avx512(row: int) -> None:
    """Compute lines of output of int16 until none is left, 32 channels after the other."""
    p = carray(v.int64_at(row), at.WORDS)
    pitch, twos, mode = p[at.CHANNELS], p[at.TAP_COUNT] // TAPS, p[at.MODE]
    line, step, size = (pitch // 16 + 1) * 32, p[at.STRIDE_W] * p[at.X_PIXEL], np.int64(1) << mode
    wide = 2 if mode == at.INT16 else 1
    for x, out, _ in bands_of(row):  # of one row each
        for c in range(0, pitch, 32):
            rest, g = pitch - c, c * 2
            mask = (np.int64(1) << rest) - 1 if rest < 32 else np.int64(-1)
            for w in range(p[at.WIDTH]):
                _words512(
                    x + 2 * c + w * step, p[at.TAPS], twos, p[at.WEIGHTS] + g, line, p[at.BIAS] + g,
                    p[at.SCALE] + wide * g, out + c * size + w * p[at.OUT_PIXEL], p[at.LOW], p[at.HIGH], mask, mode,
                )  # fmt: skip


@row_kernel
def twos_avx2(row: int) -> None:
    """Compute lines of output of int8 or int16 until none is left, 16 channels after the other."""
    p = carray(v.int64_at(row), at.WORDS)
    pitch, twos, mode = p[at.CHANNELS], p[at.TAP_COUNT] // TAPS, p[at.MODE]
    line, step, size, item = pitch * 2, p[at.STRIDE_W] * p[at.X_PIXEL], np.int64(1) << mode, p[at.BYTES]
    wide = 2 if mode == at.INT16 else 1
    for x, out, _ in bands_of(row):  # of one row each
        for c in range(0, pitch, 16):
            weights, bias, scale = p[at.WEIGHTS] + 2 * c, p[at.BIAS] + 2 * c, p[at.SCALE] + 2 * wide * c
            for w in range(p[at.WIDTH]):
                source, target = x + item * c + w * step, out + c * size + w * p[at.OUT_PIXEL]
                if item == 1:
                    _bytes256(
                        source, p[at.TAPS], twos, weights, line, bias, scale, target, p[at.LOW], p[at.HIGH], -1, mode
                    )
                else:
                    _words256(
                        source, p[at.TAPS], twos, weights, line, bias, scale, target, p[at.LOW], p[at.HIGH], -1, mode
                    )
