"""Depthwise 3 x 3 in pairs of int16: int16 codes on every vector unit, int8 codes where no dot of bytes is.

As in :mod:`.depthwise` a block of channels walks down a column. The left and middle neighbour of a channel lie in one
32-bit word, the right one and zero in another; each kernel row is two dots. Interleaving leaves the channels of a
128-bit lane as a low and a high half, which packing to int16 puts back in order.
"""

from __future__ import annotations

from typing import Any

from qworkbench.emulator.kernels.vector import depthwise as at
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import cgutils, intrinsic, types
from qworkbench.emulator.kernels.vector.tile import Tile, dot


class _Walk:
    """Writes the walk of one block of ``2 * lanes`` channels down `rows` output rows."""

    def __init__(self, b: Any, stride: int, lanes: int, bits: int, args: Any) -> None:
        self.b, self.stride, self.lanes, self.bits = b, stride, lanes, bits
        (self.x, self.x_row, self.x_pixel, self.rows, weights, line, bias, self.scale, self.out, self.out_row,
         self.low, self.high, self.mask, self.mode) = args  # fmt: skip
        self.tile = Tile("wssd" if lanes == 16 else "madd", lanes, 1, 1)
        self.words, self.pairs = v.vector(v.i32, lanes), v.vector(v.i16, 2 * lanes)
        self.line = line
        self.weight = [
            [v.load(b, b.add(weights, b.mul(line, v.word(4 * r + part))), self.words) for part in range(4)]
            for r in range(3)
        ]
        self.start = [v.load(b, b.add(bias, b.mul(line, v.word(half))), self.words) for half in range(2)]

    def write(self) -> None:
        b = self.b
        here, to = (cgutils.alloca_once_value(b, address) for address in (self.x, self.out))
        upper, lower = ([cgutils.alloca_once(b, self.words) for _ in range(2)] for _ in range(2))
        first = self._row(self.x)
        self._put(self._dotted(self.start, first, 0), upper)
        b.store(b.add(self.x, self.x_row), here)
        if self.stride == 1:
            second = self._row(b.load(here))
            self._put(self._dotted(self._get(upper), second, 1), upper)
            self._put(self._dotted(self.start, second, 0), lower)
            b.store(b.add(b.load(here), self.x_row), here)
        with cgutils.for_range(b, self.rows, intp=v.i64):
            row = self._row(b.load(here))
            if self.stride == 1:
                self._leave(self._dotted(self._get(upper), row, 2), b.load(to))
                self._put(self._dotted(self._get(lower), row, 1), upper)
                self._put(self._dotted(self.start, row, 0), lower)
            else:
                middle = self._dotted(self._get(upper), row, 1)
                b.store(b.add(b.load(here), self.x_row), here)
                row = self._row(b.load(here))
                self._leave(self._dotted(middle, row, 2), b.load(to))
                self._put(self._dotted(self.start, row, 0), upper)
            b.store(b.add(b.load(here), self.x_row), here)
            b.store(b.add(b.load(to), self.out_row), to)

    def _put(self, values: list[Any], rooms: list[Any]) -> None:
        for value, room in zip(values, rooms, strict=True):
            self.b.store(value, room)

    def _get(self, rooms: list[Any]) -> list[Any]:
        return [self.b.load(room) for room in rooms]

    def _row(self, address: Any) -> list[Any]:
        """Load three neighbours as words of (left, middle) and of (right, 0), each the low and the high half."""
        b, count = self.b, 2 * self.lanes
        loaded = []
        for i in range(3):
            place = b.add(address, b.mul(self.x_pixel, v.word(i)))
            codes = v.load(b, place, v.vector(v.i8 if self.bits == 8 else v.i16, count))
            loaded.append(b.sext(codes, self.pairs) if self.bits == 8 else codes)
        left, middle, right = loaded
        zero = v.constant(self.pairs, [0] * count)
        return [
            b.bitcast(v.shuffled(b, one, other, self._half(half)), self.words)
            for one, other in ((left, middle), (right, zero))
            for half in range(2)
        ]

    def _half(self, half: int) -> list[int]:
        count = 2 * self.lanes
        return [
            index + offset
            for lane in range(count // 8)
            for index in range(8 * lane + 4 * half, 8 * lane + 4 * half + 4)
            for offset in (0, count)
        ]

    def _dotted(self, sums: list[Any], row: list[Any], r: int) -> list[Any]:
        b = self.b
        return [
            dot(b, self.tile, dot(b, self.tile, sums[half], row[half], self.weight[r][half]), row[2 + half],
                self.weight[r][2 + half])
            for half in range(2)
        ]  # fmt: skip

    def _leave(self, sums: list[Any], to: Any) -> None:
        """Store a row of the block as int8 or int16 codes, or its sums."""
        b, lanes = self.b, self.lanes
        with b.if_then(b.icmp_signed("==", self.mode, v.word(at.INT8))):
            real = v.vector(v.f32, lanes)
            whole = []
            for half, total in enumerate(sums):
                factor = v.load(b, b.add(self.scale, b.mul(self.line, v.word(half))), real)
                whole.append(v.nearest(b, b.fmul(b.sitofp(total, real), factor)))
            self._store(b.trunc(self._clamped(whole), v.vector(v.i8, 2 * lanes)), to, self.mask)
        with b.if_then(b.icmp_signed("==", self.mode, v.word(at.INT16))):
            real = v.vector(v.f64, lanes)
            whole = []
            for half, total in enumerate(sums):
                factor = v.load(b, b.add(self.scale, b.mul(self.line, v.word(2 * half))), real)
                whole.append(v.nearest_of_double(b, b.fmul(b.sitofp(total, real), factor)))
            self._store(self._clamped(whole), to, self.mask)
        with b.if_then(b.icmp_signed("==", self.mode, v.word(at.INT32))):
            order = [4 * lane + i + half * lanes for lane in range(lanes // 4) for half in range(2) for i in range(4)]
            for n in range(2):
                part = v.shuffled(b, sums[0], sums[1], order[n * lanes : (n + 1) * lanes])
                mask = b.lshr(self.mask, v.word(lanes * n))
                self._store(part, b.add(to, v.word(4 * lanes * n)), mask)

    def _clamped(self, whole: list[Any]) -> Any:
        b, lanes = self.b, self.lanes
        name = "x86.avx512.packssdw.512" if lanes == 16 else "x86.avx2.packssdw"
        limits = (v.splat(b, b.trunc(limit, v.i16), 2 * lanes) for limit in (self.low, self.high))
        return v.clamped(b, v.call(b, name, self.pairs, whole), *limits)

    def _store(self, value: Any, address: Any, mask: Any) -> None:
        if self.lanes == 16:
            v.masked_store(self.b, value, address, mask)
        else:
            v.store(self.b, value, address)


def pair_kernel(stride: int, lanes: int, bits: int) -> Any:
    """Return the intrinsic that walks a block of ``2 * lanes`` channels of `bits` each down a column."""

    @intrinsic
    def walk(
        typing_context: Any, x: Any, x_row: Any, x_pixel: Any, rows: Any, weights: Any, line: Any, bias: Any,
        scale: Any, out: Any, out_row: Any, low: Any, high: Any, mask: Any, mode: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            _Walk(b, stride, lanes, bits, args).write()
            return context.get_dummy_value()

        return types.void(*([types.int64] * 14)), generate

    return walk
