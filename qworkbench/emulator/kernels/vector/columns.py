"""Depthwise 3 x 3 of int8 by dots of bytes: the three columns of a channel are put into one 32-bit word.

Three loads of a row, interleaved, feed the dot instruction with that kernel row. int8 enters as ``code + 128`` where
the dot multiplies unsigned by signed.
"""

from __future__ import annotations

from typing import Any

from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector import machine
from qworkbench.emulator.kernels.vector.arm import FEATURES
from qworkbench.emulator.kernels.vector.descent import Descent
from qworkbench.emulator.kernels.vector.ir import intrinsic, types

AHEAD = 256  # bytes: the columns between asking for a line and reaching it


def interleaved(b: Any, one: Any, other: Any, low: bool, bits: int) -> Any:
    """Return the low or high elements of each 128-bit lane of two vectors of as many bits, alternating."""
    size = one.type.count * one.type.element.width
    count, per_lane = size // bits, 128 // bits
    kind = v.vector(v.i8 if bits == 8 else v.i16, count)
    half = per_lane // 2
    order = [
        index
        for lane in range(size // 128)
        for i in range(half)
        for index in (lane * per_lane + i + (0 if low else half), count + lane * per_lane + i + (0 if low else half))
    ]
    return v.shuffled(b, b.bitcast(one, kind), b.bitcast(other, kind), order)


class Column(Descent):
    """Writes the walk of one block of ``4 * lanes`` channels down `rows` output rows."""

    def __init__(self, b: Any, stride: int, lanes: int, args: Any) -> None:
        x, x_row, self.x_pixel, rows, weights, self.line, bias, self.scale, out, out_row, low, high, self.mask, sign = (
            args
        )
        super().__init__(b, stride, x, x_row, out, out_row, rows)
        self.lanes, self.ahead = lanes, b.add(b.shl(self.x_pixel, v.word(1)), v.word(AHEAD))
        self.words, self.dot = v.vector(v.i32, lanes), "sdot" if lanes == 4 else "busd"
        self.sign = v.load(b, sign, self.words, 64) if self.dot == "busd" else None
        self.limits = [v.splat(b, b.trunc(limit, v.i8), 4 * lanes) for limit in (low, high)]
        # a line of one quarter (4 channels of each group of 16) follows another at a fixed distance
        self.weight = [[self._quarter(weights, 4 * r + j, self.words) for j in range(4)] for r in range(3)]
        self.start = [self._quarter(bias, j, self.words) for j in range(4)]

    def _quarter(self, lines: Any, j: int, kind: Any) -> Any:
        return v.load(self.b, self.b.add(lines, self.b.mul(self.line, v.word(j))), kind)

    def fetch(self, address: Any) -> None:
        """Ask for the columns that come next."""
        v.prefetch(self.b, self.b.add(address, self.ahead), near=True)

    def load(self, address: Any) -> list[Any]:
        """Load three neighbours as four vectors of (left, middle, right, right) words, shifted where that is so."""
        b = self.b
        loaded = (v.load(b, b.add(address, b.mul(self.x_pixel, v.word(i))), self.words) for i in range(3))
        left, middle, right = (b.xor(part, self.sign) if self.sign is not None else part for part in loaded)
        pairs = [interleaved(b, left, middle, low, 8) for low in (True, False)]
        doubles = [interleaved(b, right, right, low, 8) for low in (True, False)]
        whole = [
            interleaved(b, pair, double, low, 16)
            for pair, double in zip(pairs, doubles, strict=True)
            for low in (True, False)
        ]
        return [b.bitcast(part, self.words) for part in whole]

    def dotted(self, sums: list[Any], row: list[Any], r: int) -> list[Any]:
        """Return the `sums` plus a row of dots."""
        return [machine.dotted(self.b, self.dot, sums[j], row[j], self.weight[r][j]) for j in range(4)]

    def leave(self, sums: list[Any], to: Any) -> None:
        """Store int8 codes, and ask for the line that comes beside them."""
        v.prefetch(self.b, self.b.add(to, v.word(AHEAD)), near=True)
        b, real = self.b, v.vector(v.f32, self.lanes)
        whole = [
            machine.nearest(b, b.fmul(b.sitofp(total, real), self._quarter(self.scale, j, real)))
            for j, total in enumerate(sums)
        ]
        codes = v.clamped(b, machine.packed_by_quads(b, whole), *self.limits)
        if self.lanes == 16:
            v.masked_store(b, codes, to, self.mask)
        else:
            v.store(b, codes, to)


def column_kernel(stride: int, lanes: int) -> Any:
    """Return the intrinsic that walks down `rows` output rows of ``4 * lanes`` channels."""

    @intrinsic
    def kernel(
        typing_context: Any, x: Any, x_row: Any, x_pixel: Any, rows: Any, weights: Any, weight_row: Any, bias: Any,
        scale: Any, out: Any, out_row: Any, low: Any, high: Any, mask: Any, sign: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            def write(inside: Any, given: Any) -> None:
                Column(inside, stride, lanes, given).write()

            if lanes == 4:
                v.apart(b, f"qworkbench.column{stride}", args, write, FEATURES["sdot"])
            else:
                write(b, args)
            return context.get_dummy_value()

        return types.void(*([types.int64] * 14)), generate

    return kernel
