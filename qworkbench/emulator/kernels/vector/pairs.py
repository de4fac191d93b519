"""Depthwise 3 x 3 in pairs of int16: int16 codes on every vector unit, int8 codes where no dot of bytes is.

As in :mod:`.depthwise` a block of channels walks down a column. The left and middle neighbour of a channel lie in one
32-bit word, the right one and zero in another; each kernel row is two dots. Interleaving leaves the channels of a
128-bit lane as a low and a high half, which packing to int16 puts back in order. :mod:`.twos` leaves its sums so, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qworkbench.emulator.kernels.vector import depthwise as at
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector import machine
from qworkbench.emulator.kernels.vector.descent import Descent
from qworkbench.emulator.kernels.vector.ir import intrinsic, types


class Leaves:
    """Writes how the sums of ``2 * lanes`` channels leave, which are two halves as interleaving leaves them.

    Scales, as the bias, lie in lines of a half each, `line` bytes apart where a number takes four.
    """

    def __init__(self, b: Any, lanes: int, line: Any, scale: Any, low: Any, high: Any, mask: Any, mode: Any) -> None:
        self.b, self.lanes, self.line, self.scale = b, lanes, line, scale
        self.low, self.high, self.mask, self.mode = low, high, mask, mode
        self.words, self.pairs = v.vector(v.i32, lanes), v.vector(v.i16, 2 * lanes)

    def half(self, i: int, size: int) -> Any:
        """Return where the numbers of half `i` of the sums begin, of `size` bytes each."""
        return self.b.mul(self.line, v.word(i * size // 4))

    def interleaving(self, half: int) -> list[int]:
        """Return the order that puts codes of two vectors beside each other, for the low or high half of each lane."""
        count = 2 * self.lanes
        return [
            index + offset
            for lane in range(count // 8)
            for index in range(8 * lane + 4 * half, 8 * lane + 4 * half + 4)
            for offset in (0, count)
        ]

    def leave(self, sums: list[Any], to: Any) -> None:
        """Store a row of the block as int8 or int16 codes, or its sums."""
        for mode in (at.INT8, at.INT16, at.INT32):
            with self.b.if_then(self.leaves_as(mode)):
                self.leave_as(mode, sums, to)

    def leaves_as(self, mode: int) -> Any:
        """Tell whether that is what leaves."""
        return self.b.icmp_signed("==", self.mode, v.word(mode))

    def leave_as(self, mode: int, sums: list[Any], to: Any) -> None:
        """Store a row of the block in one of the ways."""
        b, lanes = self.b, self.lanes
        if mode == at.INT8:
            whole = self._scaled(sums, v.f32, machine.nearest)
            self._store(b.trunc(self._clamped(whole), v.vector(v.i8, 2 * lanes)), to, self.mask)
        elif mode == at.INT16:
            whole = self._scaled(sums, v.f64, machine.nearest_of_double)
            self._store(self._clamped(whole), to, self.mask)
        else:
            for n, part in enumerate(self.in_order(sums)):
                self._store(part, b.add(to, v.word(4 * lanes * n)), b.lshr(self.mask, v.word(lanes * n)))

    def _scaled(self, sums: list[Any], element: Any, rounded: Callable[[Any, Any], Any]) -> list[Any]:
        b, real, size = self.b, v.vector(element, self.lanes), 4 if element is v.f32 else 8
        factors = [v.load(b, b.add(self.scale, self.half(half, size)), real) for half in range(2)]
        return [rounded(b, b.fmul(b.sitofp(total, real), one)) for total, one in zip(sums, factors, strict=True)]

    def in_order(self, sums: list[Any]) -> list[Any]:
        """Return the sums as channels follow each other."""
        lanes = self.lanes
        order = [4 * lane + i + half * lanes for lane in range(lanes // 4) for half in range(2) for i in range(4)]
        first, other = sums
        return [v.shuffled(self.b, first, other, order[n * lanes : (n + 1) * lanes]) for n in range(2)]

    def _clamped(self, whole: list[Any]) -> Any:
        b, lanes = self.b, self.lanes
        limits = (v.splat(b, b.trunc(limit, v.i16), 2 * lanes) for limit in (self.low, self.high))
        return v.clamped(b, machine.packed_pair(b, whole), *limits)

    def _store(self, value: Any, address: Any, mask: Any) -> None:
        if self.lanes == 16:
            v.masked_store(self.b, value, address, mask)
        else:
            v.store(self.b, value, address)


class Walk(Leaves, Descent):
    """Writes the walk of one block of ``2 * lanes`` channels down `rows` output rows."""

    parts = 4  # vectors of weights of a kernel row

    def __init__(self, b: Any, stride: int, lanes: int, bits: int, args: Any) -> None:
        x, x_row, self.x_pixel, rows, weights, line, bias, scale, out, out_row, low, high, mask, mode = args
        Descent.__init__(self, b, stride, x, x_row, out, out_row, rows)
        Leaves.__init__(self, b, lanes, line, scale, low, high, mask, mode)
        self.bits, self.dot = bits, "wssd" if lanes == 16 else "madd"
        self.weight = [[self._weight(weights, self.parts * r + part) for part in range(self.parts)] for r in range(3)]
        self.start = [v.load(b, b.add(bias, self.half(i, 4)), self.words) for i in range(2)]

    def _weight(self, weights: Any, part: int) -> Any:
        return v.load(self.b, self.b.add(weights, self.b.mul(self.line, v.word(part))), self.words)

    def neighbours(self, address: Any) -> list[Any]:
        """Load three neighbours as int16."""
        b, codes = self.b, v.vector(v.i8 if self.bits == 8 else v.i16, 2 * self.lanes)
        loaded = (v.load(b, b.add(address, b.mul(self.x_pixel, v.word(i))), codes) for i in range(3))
        return [b.sext(row, self.pairs) if self.bits == 8 else row for row in loaded]

    def load(self, address: Any) -> list[Any]:
        """Return words of (left, middle) and of (right, 0), each the low and the high half."""
        b, count = self.b, 2 * self.lanes
        left, middle, right = self.neighbours(address)
        zero = v.constant(self.pairs, [0] * count)
        return [
            b.bitcast(v.shuffled(b, one, other, self.interleaving(half)), self.words)
            for one, other in ((left, middle), (right, zero))
            for half in range(2)
        ]

    def dotted(self, sums: list[Any], row: list[Any], r: int) -> list[Any]:
        """Return the `sums` plus two dots for each half."""

        def dotted(acc: Any, part: int) -> Any:
            return machine.dotted(self.b, self.dot, acc, row[part], self.weight[r][part])

        return [dotted(dotted(total, half), 2 + half) for half, total in enumerate(sums)]


def pair_kernel(stride: int, lanes: int, bits: int, walk: type[Walk] = Walk) -> Any:
    """Return the intrinsic that walks a block of ``2 * lanes`` channels of `bits` each down a column."""

    @intrinsic
    def down(
        typing_context: Any, x: Any, x_row: Any, x_pixel: Any, rows: Any, weights: Any, line: Any, bias: Any,
        scale: Any, out: Any, out_row: Any, low: Any, high: Any, mask: Any, mode: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            walk(b, stride, lanes, bits, args).write()
            return context.get_dummy_value()

        return types.void(*([types.int64] * 14)), generate

    return down
