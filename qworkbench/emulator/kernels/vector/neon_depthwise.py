"""Depthwise 3 x 3 on 128-bit vectors: bytes by dots, int16 and everything else by products that widen.

The columns of :mod:`.columns` are 16 channels wide here. Where there is no dot, each tap of a row is multiplied into
two vectors of sums as it lies: nothing is interleaved.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qworkbench.emulator.kernels.compiled import row_kernel
from qworkbench.emulator.kernels.surface import aligned
from qworkbench.emulator.kernels.vector import depthwise as at
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.columns import column_kernel
from qworkbench.emulator.kernels.vector.depthwise import bands_of
from qworkbench.emulator.kernels.vector.ir import carray
from qworkbench.emulator.kernels.vector.pairs import Walk, pair_kernel

LANES = 4


class WideningWalk(Walk):
    """Writes the walk of 8 channels; weights are [kernel row][column][channel]."""

    parts = 3

    def write(self) -> None:
        """Write a loop for each way to leave: a choice inside would cost as much as the products."""
        for self.way in (at.INT8, at.INT16, at.INT32):
            with self.b.if_then(self.leaves_as(self.way)):
                super().write()

    def leave(self, sums: list[Any], to: Any) -> None:
        """Store a row of the block."""
        self.leave_as(self.way, sums, to)

    def half(self, i: int, size: int) -> Any:
        """Return where the numbers of half `i` begin: beside those of the other."""
        return v.word(LANES * i * size)

    def load(self, address: Any) -> list[Any]:
        """Return three neighbours as they lie."""
        return self.neighbours(address)

    def dotted(self, sums: list[Any], row: list[Any], r: int) -> list[Any]:
        """Return the `sums` plus the products of each half of three neighbours."""
        b, found = self.b, []
        for i, total in enumerate(sums):
            for codes, weight in zip(row, self.weight[r], strict=True):
                pair = codes, b.bitcast(weight, self.pairs)
                one, other = (b.sext(v.shuffled(b, p, p, range(LANES * i, LANES * (i + 1))), self.words) for p in pair)
                total = b.add(total, b.mul(one, other))  # noqa: PLW2901
            found.append(total)
        return found

    def in_order(self, sums: list[Any]) -> list[Any]:
        """Return the sums, which are as channels follow each other."""
        return sums


_column1, _column2 = column_kernel(1, LANES), column_kernel(2, LANES)
_byte1, _byte2, _half1, _half2 = (
    pair_kernel(stride, LANES, bits, WideningWalk) for bits in (8, 16) for stride in (1, 2)
)


@row_kernel
def columns_dotprod(row: int) -> None:
    """Compute 3 x 3 windows of int8 to int8, stride 1 or 2 in both directions, 16 channels at once."""
    p = carray(v.int64_at(row), at.WORDS)
    pitch, low, high, sign = p[at.CHANNELS], p[at.LOW], p[at.HIGH], p[at.SIGN]
    line, x_row, pixel, out_row = (pitch // 16 + 3) * 16, p[at.X_ROW], p[at.X_PIXEL], p[at.OUT_ROW]
    stride = p[at.STRIDE_W]
    for x, out, rows in bands_of(row):
        for w in range(p[at.WIDTH]):
            for c in range(0, pitch, 16):
                weights, bias, scale = p[at.WEIGHTS] + c, p[at.BIAS] + c, p[at.SCALE] + c
                source, target = x + stride * w * pitch + c, out + w * pitch + c
                if stride == 1:
                    _column1(
                        source, x_row, pixel, rows, weights, line, bias, scale, target, out_row, low, high, -1, sign
                    )
                else:
                    _column2(
                        source, x_row, pixel, rows, weights, line, bias, scale, target, out_row, low, high, -1, sign
                    )


@row_kernel
def widening_neon(row: int) -> None:
    """Compute 3 x 3 windows of int8 or int16, stride 1 or 2 in both directions, 8 channels at once."""
    p = carray(v.int64_at(row), at.WORDS)
    pitch, low, high, mode, item = p[at.CHANNELS], p[at.LOW], p[at.HIGH], p[at.MODE], p[at.BYTES]
    size, wide, line = np.int64(1) << mode, 2 if mode == at.INT16 else 1, 2 * pitch
    x_row, pixel, out_row = p[at.X_ROW], p[at.X_PIXEL], p[at.OUT_ROW]
    stride = p[at.STRIDE_W]
    for x, out, rows in bands_of(row):
        for w in range(p[at.WIDTH]):
            for c in range(0, pitch, 8):
                weights, bias, scale = p[at.WEIGHTS] + 2 * c, p[at.BIAS] + 4 * c, p[at.SCALE] + 4 * wide * c
                source, to = x + (stride * w * pitch + c) * item, out + (w * pitch + c) * size
                if item == 1 and stride == 1:
                    _byte1(source, x_row, pixel, rows, weights, line, bias, scale, to, out_row, low, high, -1, mode)
                elif item == 1:
                    _byte2(source, x_row, pixel, rows, weights, line, bias, scale, to, out_row, low, high, -1, mode)
                elif stride == 1:
                    _half1(source, x_row, pixel, rows, weights, line, bias, scale, to, out_row, low, high, -1, mode)
                else:
                    _half2(source, x_row, pixel, rows, weights, line, bias, scale, to, out_row, low, high, -1, mode)


def rows_of(w: np.ndarray, pitch: int) -> np.ndarray:
    """Return weights as [kernel row][column][channel]."""
    room = aligned(9 * pitch, np.int16).reshape(9, pitch)
    room[:, : len(w)], room[:, len(w) :] = w.reshape(len(w), 9).T, 0
    return room
