"""The sums that distances are made of, in one pass: 16 partial sums side by side, held in registers, in float64.

Products of two float32 are exact in float64, so only additions round, and their order is the same on every processor.
Quotients are formed only in blocks that hold one above the largest so far, which ``|d| - largest * |a|`` tells by its
sign: rounded once, that is exact. Knows runs of memory only; which run lies beside which is the caller's business.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from llvmlite import ir

from qworkbench.emulator.kernels.compiled import kernel
from qworkbench.emulator.kernels.isa import features
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector import pair_row as place
from qworkbench.emulator.kernels.vector.ir import cgutils, intrinsic, types

LANES = 16
BLOCK = 16  # vectors between two looks at the quotients
AHEAD = 4096  # numbers that memory is asked for early

_SINGLE, _REAL = v.vector(v.f32, LANES), v.vector(v.f64, LANES)


class _Pass:
    """Writes one pass over the runs of a row."""

    def __init__(self, b: Any, row: Any, element: Any) -> None:
        self.b, self.row, self.element = b, row, element
        self.real = isinstance(element, ir.FloatType)
        self.size = 4 if self.real else element.width // 8
        self.factor = v.splat(b, b.fptrunc(v.load(b, self._at(place.SCALE), v.f64, 8), v.f32), LANES)
        self.zero = v.constant(_REAL, [0.0] * LANES)
        self.sums = [cgutils.alloca_once_value(b, self.zero) for _ in range(5)]
        self.top, self.relative, self.excess = (cgutils.alloca_once_value(b, self.zero) for _ in range(3))

    def _at(self, word: int) -> Any:
        return self.b.add(self.row, v.word(8 * word))

    def _word(self, word: int) -> Any:
        return v.load(self.b, self._at(word), v.i64, 8)

    def write(self) -> None:
        b = self.b
        images, lines, runs, count = (self._word(place.SPAN + i) for i in range(4))
        step, at = ([self._word(first + i) for i in range(3)] for first in (place.STEP, place.AT))
        start = (self._word(place.REFERENCE), self._word(place.OTHER))

        def moved(begin: tuple[Any, Any], axis: int, index: Any) -> tuple[Any, Any]:
            return b.add(begin[0], b.mul(index, step[axis])), b.add(begin[1], b.mul(index, at[axis]))

        with cgutils.for_range(b, images, intp=v.i64) as image:
            there = moved(start, 0, image.index)
            with cgutils.for_range(b, lines, intp=v.i64) as line:
                here = moved(there, 1, line.index)
                with cgutils.for_range(b, runs, intp=v.i64) as run:
                    self._run(*moved(here, 2, run.index), count)
        for i, room in enumerate(self.sums):
            v.store(b, self._total(b.load(room), b.fadd), self._at(place.SUMS + i), 8)
        for i, room in enumerate((self.top, self.relative)):
            v.store(b, self._total(b.load(room), self._larger), self._at(place.SUMS + 5 + i), 8)

    def _run(self, reference: Any, other: Any, count: Any) -> None:
        b = self.b
        vectors, rest = b.lshr(count, v.word(4)), b.and_(count, v.word(LANES - 1))

        def pair(index: Any) -> tuple[Any, Any]:
            here, kind = b.add(reference, b.mul(index, v.word(4 * LANES))), v.vector(self.element, LANES)
            there = b.add(other, b.mul(index, v.word(LANES * self.size)))
            for address, size in ((here, 4), (there, self.size)):
                v.prefetch(b, b.add(address, v.word(AHEAD * size)), near=True)
            return v.load(b, here, _SINGLE, 4), v.load(b, there, kind, self.size)

        blocks = b.lshr(b.add(vectors, v.word(BLOCK - 1)), v.word(BLOCK.bit_length() - 1))
        with cgutils.for_range(b, blocks, intp=v.i64) as block:
            before = b.mul(block.index, v.word(BLOCK))
            left = b.sub(vectors, before)
            length = b.select(b.icmp_signed("<", left, v.word(BLOCK)), left, v.word(BLOCK))
            with b.if_else(self._settled()) as (settled, open_):
                with settled, cgutils.for_range(b, length, intp=v.i64) as vector:
                    self._add(*pair(b.add(before, vector.index)))
                with open_:
                    b.store(self.zero, self.excess)
                    with cgutils.for_range(b, length, intp=v.i64) as vector:
                        self._watch(*self._add(*pair(b.add(before, vector.index))))
                    seen = self._any(b.fcmp_ordered(">", b.load(self.excess), self.zero))
                    with b.if_then(seen, likely=False), cgutils.for_range(b, length, intp=v.i64) as vector:
                        x, _, distance = self._doubled(*pair(b.add(before, vector.index)))
                        self._relate(x, distance)
        with b.if_then(b.icmp_signed("!=", rest, v.word(0))):
            first = b.add(reference, b.mul(vectors, v.word(4 * LANES)))
            self._rest(first, b.add(other, b.mul(vectors, v.word(LANES * self.size))), rest)

    def _rest(self, reference: Any, other: Any, count: Any) -> None:
        """Take in fewer pairs than there are lanes; zeros fill the other lanes."""
        b = self.b
        mask = b.trunc(b.sub(b.shl(v.word(1), count), v.word(1)), v.i16)
        bits = b.bitcast(mask, v.vector(v.i1, LANES))

        def masked(address: Any, element: Any, align: int) -> Any:
            kind = v.vector(element, LANES)
            name = f"masked.load.v{LANES}{'f32' if element is v.f32 else f'i{element.width}'}.p0"
            pointer = b.inttoptr(address, kind.as_pointer())
            return v.call(b, name, kind, [pointer, v.constant(v.i32, align), bits, v.constant(kind, None)])

        pair = masked(reference, v.f32, 4), masked(other, self.element, self.size)
        self._relate(*self._add(*pair))

    def _doubled(self, first: Any, second: Any) -> tuple[Any, Any, Any]:
        """Return both operands and their distance in float64."""
        b = self.b
        x, y = b.fpext(first, _REAL), b.fpext(self._number(second), _REAL)
        return x, y, self._size(b.fsub(x, y))

    def _number(self, second: Any) -> Any:
        """Return in float32 what the other operand stands for."""
        return self.b.fmul(second if self.real else self.b.sitofp(second, _SINGLE), self.factor)

    def _add(self, first: Any, second: Any) -> tuple[Any, Any]:
        """Take a pair in; return the reference and the distance from it."""
        b = self.b
        x, y, distance = self._doubled(first, second)
        for room, (p, q) in zip(self.sums, ((x, y), (x, x), (y, y)), strict=False):
            b.store(self._exact(p, q, b.load(room)), room)
        b.store(b.fadd(b.load(self.sums[3]), distance), self.sums[3])
        b.store(self._fused(distance, distance, b.load(self.sums[4])), self.sums[4])
        b.store(self._larger(distance, b.load(self.top)), self.top)
        return x, distance

    def _watch(self, x: Any, distance: Any) -> None:
        """Keep by how much a distance exceeds what it may be without a larger quotient."""
        self.b.store(self._larger(self._beyond(x, distance), self.b.load(self.excess)), self.excess)

    def _beyond(self, x: Any, distance: Any) -> Any:
        """Return something above zero where the quotient is the largest so far."""
        return self._fused(self.b.fneg(self.b.load(self.relative)), self._size(x), distance)

    def _settled(self) -> Any:
        """Tell whether the largest quotient is infinite already."""
        b = self.b
        largest = b.extract_element(b.load(self.relative), v.constant(v.i32, 0))
        return b.fcmp_ordered("==", largest, v.constant(v.f64, math.inf))

    def _relate(self, x: Any, distance: Any) -> None:
        """Form the quotients, if one of them is the largest."""
        b = self.b
        with b.if_then(self._any(b.fcmp_ordered(">", self._beyond(x, distance), self.zero)), likely=False):
            ratio = b.fdiv(distance, self._size(x))  # 0 / 0 is NaN, which no comparison takes
            largest = self._total(self._larger(ratio, b.load(self.relative)), self._larger)
            b.store(v.splat(b, largest, LANES), self.relative)

    def _any(self, mask: Any) -> Any:
        return self.b.icmp_unsigned("!=", self.b.bitcast(mask, v.i16), v.constant(v.i16, 0))

    def _size(self, value: Any) -> Any:
        return v.call(self.b, f"fabs.v{LANES}f64", _REAL, [value])

    def _larger(self, value: Any, known: Any) -> Any:
        return self.b.select(self.b.fcmp_ordered(">", value, known), value, known)

    def _exact(self, p: Any, q: Any, total: Any) -> Any:
        """Return ``p * q + total``; the product of two float32 is exact, so that it rounds once either way."""
        return self._fused(p, q, total) if features() & {"fma", "neon"} else self.b.fadd(self.b.fmul(p, q), total)

    def _fused(self, p: Any, q: Any, total: Any) -> Any:
        """Return ``p * q + total`` rounded once, on every processor."""
        return v.call(self.b, f"fma.v{LANES}f64", _REAL, [p, q, total])

    def _total(self, lanes: Any, join: Callable[[Any, Any], Any]) -> Any:
        """Return one number of all lanes, joined two by two in a fixed order."""
        b = self.b
        value = join(*(v.shuffled(b, lanes, lanes, range(half, half + 8)) for half in (0, 8)))
        for count in (8, 4, 2):
            value = join(*(v.shuffled(b, value, value, range(odd, count, 2)) for odd in (0, 1)))
        return b.extract_element(value, v.constant(v.i32, 0))


def _pass(element: Any) -> Any:
    """Return the intrinsic that reads and fills the row at an address; the second numbers are `element`."""

    @intrinsic
    def run(typing_context: Any, row: Any) -> Any:
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            _Pass(b, args[0], element).write()
            return context.get_dummy_value()

        return types.void(types.int64), generate

    return run


_pass8, _pass16, _pass_real = _pass(v.i8), _pass(v.i16), _pass(v.f32)


@kernel("void(int64, int64, int64)")
def fill_sums(rows: int, count: int, counter: int) -> None:
    """Fill the sums of `count` rows, taken one by one from the int64 at `counter` by whoever comes."""
    while True:
        i = v.taken(counter)
        if i >= count:
            break
        row = rows + 8 * place.WORDS * i
        kind = v.word_at(row + 8 * place.KIND)
        if kind == place.INT8:
            _pass8(row)
        elif kind == place.INT16:
            _pass16(row)
        else:
            _pass_real(row)
