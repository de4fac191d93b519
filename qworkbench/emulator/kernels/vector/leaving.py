"""How the int32 sums of a tile leave it: a residual added, requantized to int8 or int16 codes, or as they are.

* residual: ``sum += round_half_even(float64(code) * ratio[channel])``, codes int8 or int16; for int8 codes as
  ``code * whole + ((code * part + 2**23) >> 24)``, where :mod:`.residual` found that the same;
* int8: ``clamp(round_half_even(float32(sum) * scale[channel]), low, high)``;
* int16: ``clamp(round_half_even(float64(sum) * scale[channel]), low, high)``;

each only where the caller has proved that no product leaves int32. int8, with such a residual or none, leaves from the
registers, everything else pixel by pixel through memory, so that its code is written once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qworkbench.emulator.kernels.memory import LINE
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector import machine
from qworkbench.emulator.kernels.vector import parameters as at
from qworkbench.emulator.kernels.vector.ir import cgutils
from qworkbench.emulator.kernels.vector.residual import BITS

AHEAD = 8192  # bytes: further than memory takes to answer, near enough to stay in the first-level cache


class Leaving:
    """Writes what follows the sums of every tile of a panel of `vectors` times `lanes` channels."""

    def __init__(self, b: Any, lanes: int, vectors: int, p: Any, channel: Any, count: Any) -> None:
        def parameter(slot: int) -> Any:
            return v.load(b, b.add(p, v.word(8 * slot)), v.i64, 8)

        self.b, self.lanes, self.vectors, self.p, self.channel, self.count = b, lanes, vectors, p, channel, count
        self.channels = lanes * vectors
        self.mode, self.ratio, self.scale = (parameter(slot) for slot in (at.MODE, at.RATIO, at.SCALE))
        self.out, self.places, self.codes = (parameter(slot) for slot in (at.OUT, at.PLACES, at.CODES))
        self.code_bytes = parameter(at.CODE_BYTES)
        self.low, self.high = parameter(at.LOW), parameter(at.HIGH)
        self.together = max(LINE // self.channels, 1) if lanes == 16 else 1
        self.limits = [v.splat(b, b.trunc(n, v.i8), self.together * self.channels) for n in (self.low, self.high)]
        full = b.icmp_signed(">=", count, v.word(64))
        self.mask = b.select(full, v.word(-1), b.sub(b.shl(v.word(1), b.and_(count, v.word(63))), v.word(1)))
        self.whole, self.part = parameter(at.WHOLE), parameter(at.PART)
        self.narrow = narrow = b.icmp_signed("==", self.mode, v.word(at.INT8))
        self.enters = b.icmp_signed("!=", self.ratio, v.word(0))
        self.plain = b.and_(narrow, b.not_(self.enters))
        split = b.and_(b.icmp_signed("!=", self.part, v.word(0)), b.icmp_signed("==", self.code_bytes, v.word(1)))
        self.split = b.and_(narrow, split)
        self.kind, self.real = v.vector(v.i32, lanes), v.vector(v.f64, lanes)

    def write_int16(self, sums: list[list[Any]], pixel: Any) -> None:
        """Let the sums of every pixel of a tile of int16 leave: as int16 from the registers, too."""
        b = self.b
        wide = b.and_(b.icmp_signed("==", self.mode, v.word(at.INT16)), b.not_(self.enters))
        with b.if_else(wide) as (from_registers, rest):
            with from_registers:
                places = b.add(self.places, b.shl(pixel, v.word(3)))
                for m, row in enumerate(sums):
                    place = b.add(v.load(b, b.add(places, v.word(8 * m)), v.i64, 8), self.channel)
                    self._as_int16([[b.load(room) for room in row]], [place])
            with rest:
                self.write(sums, pixel)

    def write(self, sums: list[list[Any]], pixel: Any) -> None:
        """Let the sums of every pixel of a tile leave; `pixel` is the number of the first."""
        b = self.b
        places = b.add(self.places, b.shl(pixel, v.word(3)))
        with b.if_else(self.plain) as (plain, other):
            with plain:
                self._from_registers(sums, places, enters=False)
            with other, b.if_else(self.split) as (split, rest):
                with split:
                    self._from_registers(sums, places, enters=True)
                with rest:
                    self._through_memory(sums, places)

    def int8_from(self, start: Any, place: Any) -> None:
        """Let a pixel leave as int8 to `place`, with an int8 residual or none, whose sums are in memory at `start`."""
        b, rooms = self.b, [cgutils.alloca_once(self.b, self.kind) for _ in range(self.vectors)]
        for n, room in enumerate(rooms):
            b.store(v.load(b, b.add(start, v.word(4 * self.lanes * n)), self.kind, 4), room)
        with b.if_then(self.split):
            for value, room in zip(self._entered([b.load(room) for room in rooms], place), rooms, strict=True):
                b.store(value, room)
        self._as_int8([[b.load(room) for room in rooms]], [place])

    def fetch(self, pixel: Any, count: int) -> None:
        """Ask for lines ahead of those that `count` pixels from `pixel` on leave to as int8, and of an int8 residual.

        A narrow panel leaves several pixels to a line, or to lines that a full panel has touched.
        """
        b = self.b
        places = b.add(self.places, b.shl(pixel, v.word(3)))
        with b.if_then(self.narrow):
            self._fetch(self.out, places, range(0, count, max(4 // self.vectors, 1)))
        with b.if_then(self.enters):
            self._fetch(self.codes, places, range(count))

    def _fetch(self, start: Any, places: Any, pixels: Iterable[int]) -> None:
        b = self.b
        start = b.add(start, b.add(self.channel, v.word(AHEAD)))
        for m in pixels:
            v.prefetch(b, b.add(start, v.load(b, b.add(places, v.word(8 * m)), v.i64, 8)), near=True)

    def _from_registers(self, sums: list[list[Any]], places: Any, *, enters: bool) -> None:
        b = self.b
        for first in range(0, len(sums), self.together):
            rows, found = [], []
            for m in range(first, first + self.together):
                place = b.add(v.load(b, b.add(places, v.word(8 * m)), v.i64, 8), self.channel)
                values = [b.load(room) for room in sums[m]]
                rows.append(self._entered(values, place) if enters else values)
                found.append(place)
            self._as_int8(rows, found)

    def _through_memory(self, sums: list[list[Any]], places: Any) -> None:
        b = self.b
        room, step = cgutils.alloca_once(b, self.kind, len(sums) * self.vectors), 4 * self.lanes
        base = b.ptrtoint(room, v.i64)
        for index, value in enumerate(value for row in sums for value in row):
            v.store(b, b.load(value), b.add(base, v.word(step * index)), 4)
        self.one_by_one(base, places, len(sums))

    def one_by_one(self, start: Any, places: Any, pixels: int) -> None:
        """Let pixels leave whose sums follow each other in memory from `start` on, but for those whose place is < 0."""
        given = [self.p, self.channel, self.count, start, places, v.word(pixels)]
        v.apart(self.b, f"qworkbench.leave{32 * self.lanes}x{self.vectors}", given, self._one_by_one)

    def _one_by_one(self, b: Any, given: Any) -> None:
        """Write the function ``(p, channel, count, start, places, pixels)``, the same for tiles of as many vectors."""
        p, channel, count, start, places, pixels = given
        leaving = Leaving(b, self.lanes, self.vectors, p, channel, count)
        with cgutils.for_range(b, pixels, intp=v.i64) as turn:
            place = v.load(b, b.add(places, b.shl(turn.index, v.word(3))), v.i64, 8)
            with b.if_then(b.icmp_signed(">=", place, v.word(0))):
                begin = b.add(start, b.mul(turn.index, v.word(4 * self.lanes * self.vectors)))
                leaving.one(begin, b.add(place, channel))

    def one(self, start: Any, place: Any) -> None:
        """Let one pixel leave whose sums are in memory at `start`."""
        b = self.b
        rooms = [cgutils.alloca_once(b, self.kind) for _ in range(self.vectors)]
        for n, room in enumerate(rooms):
            b.store(v.load(b, b.add(start, v.word(4 * self.lanes * n)), self.kind, 4), room)
        with b.if_then(self.enters), b.if_else(b.icmp_signed("==", self.code_bytes, v.word(1))) as branches:
            for branch, code in zip(branches, (v.i8, v.i16), strict=True):
                with branch:
                    self._enter(rooms, code, place)
        for mode, leave in ((at.INT8, self._as_int8), (at.INT16, self._as_int16), (at.INT32, self._as_int32)):
            with b.if_then(b.icmp_signed("==", self.mode, v.word(mode))):
                leave([[b.load(room) for room in rooms]], [place])

    def _part(self, n: int) -> Any:
        """Return the mask of the lanes of vector `n`."""
        return self.b.lshr(self.mask, v.word(self.lanes * n))

    def _enter(self, rooms: list[Any], code: Any, place: Any) -> None:
        """Add the residual to the sums of a pixel."""
        b, lanes = self.b, self.lanes
        size = code.width // 8
        codes = b.add(self.codes, b.mul(place, v.word(size)))
        ratio = b.add(self.ratio, b.shl(self.channel, v.word(3)))
        for n, room in enumerate(rooms):
            address = b.add(codes, v.word(size * lanes * n))
            found = self._codes(address, v.vector(code, lanes), n)
            factor = v.load(b, b.add(ratio, v.word(8 * lanes * n)), self.real, 8)
            entering = machine.nearest_of_double(b, b.fmul(b.sitofp(found, self.real), factor))
            b.store(b.add(b.load(room), entering), room)

    def _entered(self, values: list[Any], place: Any) -> list[Any]:
        """Return the sums of a pixel with its int8 residual, in integers."""
        b, lanes = self.b, self.lanes
        codes, held = b.add(self.codes, place), v.vector(v.i8, lanes)
        whole, part = (b.add(table, b.shl(self.channel, v.word(2))) for table in (self.whole, self.part))
        half, bits = (v.splat(b, v.constant(v.i32, n), lanes) for n in (1 << BITS - 1, BITS))
        found = []
        for n, value in enumerate(values):
            code = b.sext(self._codes(b.add(codes, v.word(lanes * n)), held, n), self.kind)
            much, little = (v.load(b, b.add(table, v.word(4 * lanes * n)), self.kind, 4) for table in (whole, part))
            rounded = b.ashr(b.add(b.mul(code, little), half), bits)
            found.append(b.add(b.add(value, b.mul(code, much)), rounded))
        return found

    def _codes(self, address: Any, kind: Any, n: int) -> Any:
        if self.lanes != 16:
            return v.load(self.b, address, kind)
        return v.masked_load(self.b, address, kind, self._part(n))

    def _as_int8(self, rows: list[list[Any]], places: list[Any]) -> None:
        """Let pixels leave that fill a vector of bytes together, or one."""
        b, lanes = self.b, self.lanes
        kind = v.vector(v.f32, lanes)
        scale = b.add(self.scale, b.shl(self.channel, v.word(2)))
        factors = [v.load(b, b.add(scale, v.word(4 * lanes * n)), kind, 4) for n in range(self.vectors)]
        whole = [
            machine.nearest(b, b.fmul(b.sitofp(total, kind), factor))
            for row in rows
            for total, factor in zip(row, factors, strict=True)
        ]
        whole += whole[-1:] * (self.together * self.vectors - len(whole))
        codes = v.clamped(b, machine.packed(b, whole), *self.limits)
        for i, place in enumerate(places):
            begin = i * self.channels
            part = codes if self.together == 1 else v.shuffled(b, codes, codes, range(begin, begin + self.channels))
            self._store(part, b.add(self.out, place), self.mask)

    def _as_int16(self, rows: list[list[Any]], places: list[Any]) -> None:
        b, lanes = self.b, self.lanes
        (sums,), (place,) = rows, places
        scale = b.add(self.scale, b.shl(self.channel, v.word(3)))
        limits = [v.splat(b, b.trunc(limit, v.i32), lanes) for limit in (self.low, self.high)]
        out = b.add(self.out, b.shl(place, v.word(1)))
        for n, total in enumerate(sums):
            factor = v.load(b, b.add(scale, v.word(8 * lanes * n)), self.real, 8)
            whole = machine.nearest_of_double(b, b.fmul(b.sitofp(total, self.real), factor))
            codes = b.trunc(v.clamped(b, whole, *limits), v.vector(v.i16, lanes))
            self._store_line(codes, out, 2 * lanes * n, self._part(n))

    def _as_int32(self, rows: list[list[Any]], places: list[Any]) -> None:
        b = self.b
        (sums,), (place,) = rows, places
        out = b.add(self.out, b.shl(place, v.word(2)))
        for n, total in enumerate(sums):
            self._store_line(total, out, 4 * self.lanes * n, self._part(n))

    def _store_line(self, value: Any, out: Any, offset: int, mask: Any) -> None:
        """Store a part of a pixel that takes more than a line, and ask for each line once, ahead."""
        there = self.b.add(out, v.word(offset))
        if offset % LINE == 0:
            v.prefetch(self.b, self.b.add(there, v.word(AHEAD)), near=True)
        self._store(value, there, mask)

    def _store(self, value: Any, address: Any, mask: Any) -> None:
        if self.lanes == 16:
            v.masked_store(self.b, value, address, mask)
        else:
            v.store(self.b, value, address)
