"""Winograd's F(4x4, 3x3) on codes, in integers and exact: the parts of a convolution, one window or number at a time.

Windows of 6 x 6 codes become 36 numbers of int16, the weights 36 others; their products are summed over the channels
modulo 2**32 and turned into 576 times 4 x 4 sums. Division by 9 is a product modulo 2**32, division by 64 a shift: so a
true sum below 2**25 comes out exactly, whatever wrapped on the way. A code of int16 enters as two, ``high * 256 + low +
128``, and their sums are put together again. What becomes of the sums is said in :mod:`.leaving`.

Source of the transforms: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks (2016), here scaled to
integers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qworkbench.emulator.kernels.memory import LINE
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector import machine
from qworkbench.emulator.kernels.vector import parameters as at
from qworkbench.emulator.kernels.vector.ir import cgutils
from qworkbench.emulator.kernels.vector.leaving import Leaving
from qworkbench.emulator.kernels.vector.tile import Tile

SIDE, OUT = 6, 4
POINTS, RESULTS = SIDE * SIDE, OUT * OUT
SHIFT, NINTH = 6, 954437177  # 576 = 9 * 2**SHIFT; 9 * NINTH == 1 modulo 2**32
(ROW_OFFSETS, COLUMN_OFFSETS, X_IMAGE, BATCH, DOWN, ACROSS, HEIGHT, WIDTH, OUT_IMAGE, OUT_ROW, OUT_PIXEL, BLOCKS,
 INPUTS, PITCH, SUM_PITCH, ROOM, WORDS) = range(at.WORDS, at.WORDS + 17)  # fmt: skip
Write = Callable[[Any, Any], None]


def _times(b: Any, value: Any, bits: int) -> Any:
    return b.shl(value, v.constant(value.type, [bits] * value.type.count))


def _entering(b: Any, d: list[Any]) -> list[Any]:
    """Return the input transform of six vectors of int16."""
    even, odd = b.sub(d[4], d[2]), b.sub(d[3], d[1])
    fourth, third = b.sub(d[4], _times(b, d[2], 2)), b.sub(d[3], _times(b, d[1], 2))
    double = _times(b, odd, 1)
    return [
        b.add(_times(b, b.sub(d[0], d[2]), 2), even),
        b.add(fourth, third),
        b.sub(fourth, third),
        b.add(even, double),
        b.sub(even, double),
        b.sub(b.sub(d[5], d[3]), _times(b, odd, 2)),
    ]


def _leaving(b: Any, m: list[Any]) -> list[Any]:
    """Return the output transform of six vectors of int32: four."""
    s, u, g, h = b.add(m[1], m[2]), b.sub(m[1], m[2]), b.add(m[3], m[4]), b.sub(m[3], m[4])
    return [
        b.add(b.add(m[0], s), g),
        b.add(u, _times(b, h, 1)),
        b.add(s, _times(b, g, 2)),
        b.add(b.add(u, _times(b, h, 3)), _times(b, m[5], 1)),
    ]


@dataclass(frozen=True)
class Way:
    """A tile, of how many int8 a code is made up (as many as it has bytes), and a narrower tile for the last panel.

    Both have sums at the distance of the wider one; what lies behind those of the narrower one is never written out.
    """

    tile: Tile
    halves: int
    tail: Tile | None = None

    @property
    def name(self) -> str:
        """Name of its functions in a module."""
        return f"{self.tile.name}.{self.halves}"

    @property
    def step(self) -> int:
        """Bytes of the sums of one window."""
        return 4 * self.tile.channels


def _halves(b: Any, codes: Any, many: int) -> list[Any]:
    """Return int16 vectors of the int8 that codes are made up of."""
    if many == 1:
        return [codes]
    kind, lanes = codes.type, codes.type.count
    high = b.ashr(codes, v.constant(kind, [8] * lanes))
    low = b.sub(b.and_(codes, v.constant(kind, [255] * lanes)), v.constant(kind, [128] * lanes))
    return [high, low]


def window_part(way: Way) -> Write:
    """Write ``(x, rows, columns, to, pitch, vectors)``: the 36 numbers of every channel of one window."""
    lanes = way.tile.lanes

    def write(b: Any, args: Any) -> None:
        x, rows, columns, to, pitch, vectors = args
        held, wide = v.vector((v.i8, v.i16)[way.halves - 1], 2 * lanes), v.vector(v.i16, 2 * lanes)
        behind = b.mul(vectors, v.word(4 * lanes))
        lines = [v.load(b, b.add(rows, v.word(8 * p)), v.i64, 8) for p in range(SIDE)]
        places = [b.add(x, v.load(b, b.add(columns, v.word(8 * q)), v.i64, 8)) for q in range(SIDE)]
        with cgutils.for_range(b, vectors, intp=v.i64) as turn:
            first = b.mul(turn.index, v.word(2 * lanes))
            made: list[list[Any]] = [[] for _ in range(way.halves)]
            for place in places:
                here = b.add(place, b.mul(first, v.word(way.halves)))
                codes = [b.sext(v.load(b, b.add(here, line), held), wide) for line in lines]
                columns = zip(*(_halves(b, one, way.halves) for one in codes), strict=True)
                for half, column in zip(made, columns, strict=True):
                    half.append(_entering(b, list(column)))
            for n, half in enumerate(made):
                there = b.add(b.add(to, b.mul(behind, v.word(n))), b.shl(first, v.word(1)))
                for p in range(SIDE):
                    for one in _entering(b, [column[p] for column in half]):
                        v.store(b, one, there, 4 * lanes)
                        there = b.add(there, pitch)

    return write


def tail_part(way: Way) -> Write:
    """Write :func:`products_part` for the last panel."""
    assert way.tail is not None
    return _products(way.tail, way.step)


def products_part(way: Way) -> Write:
    """Write ``(numbers, pitch, count, weights, groups, to)``: the sums of one of the 36 numbers of `count` windows.

    Up to the end of the last tile. The weights of the next number are fetched meanwhile.
    """
    return _products(way.tile, way.step)


def _products(tile: Tile, row_step: int) -> Write:
    def write(b: Any, args: Any) -> None:
        numbers, pitch, count, weights, groups, to = args
        kind, width = v.vector(v.i32, tile.lanes), 4 * tile.lanes
        sums = [[cgutils.alloca_once(b, kind) for _ in range(tile.vectors)] for _ in range(tile.pixels)]
        step = width * tile.vectors
        ahead = cgutils.alloca_once_value(b, b.add(weights, b.mul(groups, v.word(step))))
        whole = b.sdiv(b.add(count, v.word(tile.pixels - 1)), v.word(tile.pixels))
        with cgutils.for_range(b, whole, intp=v.i64) as turn:
            first = b.mul(turn.index, v.word(tile.pixels))
            row = b.add(numbers, b.mul(first, pitch))
            for line in sums:
                for room in line:
                    b.store(v.constant(kind, [0] * tile.lanes), room)
            with cgutils.for_range(b, groups, intp=v.i64) as group:
                weight = b.add(weights, b.mul(group.index, v.word(step)))
                panel = [v.load(b, b.add(weight, v.word(width * n)), kind, width) for n in range(tile.vectors)]
                v.prefetch(b, b.load(ahead), near=True)
                b.store(b.add(b.load(ahead), v.word(LINE)), ahead)
                here = b.add(row, b.shl(group.index, v.word(2)))
                for m, line in enumerate(sums):
                    word = v.splat(b, v.load(b, b.add(here, b.mul(pitch, v.word(m))), v.i32, 4), tile.lanes)
                    for n, room in enumerate(line):
                        b.store(machine.dotted(b, tile.dot, b.load(room), word, panel[n]), room)
            there = b.add(to, b.mul(first, v.word(row_step)))
            for m, line in enumerate(sums):
                for n, room in enumerate(line):
                    v.store(b, b.load(room), b.add(there, v.word(row_step * m + width * n)), width)

    return write


def _exact(b: Any, sums: Any, pitch: Any, kind: Any) -> list[Any]:
    """Return 4 x 4 vectors of sums, from 36 vectors of sums of products at the distance `pitch`."""
    found = []
    for p in range(SIDE):
        places = (b.add(sums, b.mul(pitch, v.word(SIDE * p + q))) for q in range(SIDE))
        found.append(_leaving(b, [v.load(b, here, kind, 4 * kind.count) for here in places]))
    ninth, bits = (v.constant(kind, [n] * kind.count) for n in (NINTH, SHIFT))
    columns = [_leaving(b, [line[j] for line in found]) for j in range(OUT)]
    return [b.ashr(b.mul(columns[j][i], ninth), bits) for i in range(OUT) for j in range(OUT)]


def _joined(b: Any, high: Any, low: Any, margin: Any) -> tuple[Any, Any]:
    """Return ``256 * high + low`` modulo 2**32, and which are not in int32 or nearer to its ends than `margin` 256s."""
    kind, lanes = low.type, low.type.count
    byte = v.constant(kind, [8] * lanes)
    middle, ends = (
        v.splat(b, b.trunc(b.sub(v.word(1 << bits), b.mul(margin, v.word(n))), v.i32), lanes)
        for bits, n in ((23, 1), (24, 2))
    )
    top = b.add(high, b.ashr(low, byte))
    return b.add(b.shl(high, byte), low), b.icmp_unsigned(">=", b.add(top, middle), ends)


def results_part(way: Way) -> Write:
    """Write ``(p, channel, count, sums, pitch, room, place, rows, columns)``: the results of one window.

    Its first `rows` and `columns` go to `place` and on; `room` holds 16 sums of every channel on the way.
    """
    tile = way.tile

    def write(b: Any, args: Any) -> None:
        p, channel, count, sums, pitch, room, place, rows, columns = args
        kind, width = v.vector(v.i32, tile.lanes), 4 * tile.lanes
        step = width * tile.vectors

        def parameter(slot: int) -> Any:
            return v.load(b, b.add(p, v.word(8 * slot)), v.i64, 8)

        leaving = Leaving(b, tile.lanes, tile.vectors, p, channel, count)
        bias = b.add(parameter(at.BIAS), b.shl(channel, v.word(2)))
        line_step, pixel_step = parameter(OUT_ROW), parameter(OUT_PIXEL)
        place = b.add(place, channel)
        left = cgutils.alloca_once_value(b, v.constant(kind, [0] * tile.lanes))
        margin = b.lshr(b.add(parameter(at.MARGIN), v.word(255)), v.word(8))
        inside = [
            [v.splat(b, b.sext(b.icmp_signed(">", n, v.word(k)), v.i32), tile.lanes) for k in range(OUT)]
            for n in (rows, columns)
        ]
        with cgutils.for_range(b, v.word(tile.vectors), intp=v.i64) as turn:
            first = b.mul(turn.index, v.word(width))
            start, there = v.load(b, b.add(bias, first), kind, 4), b.add(room, first)
            rooms = [b.add(there, v.word(step * n)) for n in range(RESULTS)]
            if way.halves > 1:
                for high, here in zip(_exact(b, b.add(sums, first), pitch, kind), rooms, strict=True):
                    v.store(b, high, here, width)
                sums = b.add(sums, v.word(step))
            for n, (one, here) in enumerate(zip(_exact(b, b.add(sums, first), pitch, kind), rooms, strict=True)):
                whole = b.add(one, start)
                if way.halves > 1:
                    whole, lost = _joined(b, v.load(b, here, kind, width), whole, margin)
                    lost = b.and_(b.sext(lost, kind), b.and_(inside[0][n // OUT], inside[1][n % OUT]))
                    b.store(b.sub(b.load(left), lost), left)
                v.store(b, whole, here, width)
        if way.halves > 1:
            many = v.call(b, f"vector.reduce.add.v{tile.lanes}i32", v.i32, [b.load(left)])
            with b.if_then(b.icmp_signed("!=", many, v.constant(v.i32, 0))):
                counter = b.inttoptr(b.add(p, v.word(8 * at.OVERFLOW)), v.i64.as_pointer())
                b.atomic_rmw("add", counter, b.zext(many, v.i64), "monotonic")
        with cgutils.for_range(b, rows, intp=v.i64) as i, cgutils.for_range(b, columns, intp=v.i64) as j:
            start = b.add(room, b.mul(b.add(b.shl(i.index, v.word(2)), j.index), v.word(step)))
            there = b.add(b.mul(i.index, line_step), b.mul(j.index, pixel_step))
            (leaving.int8_from if way.halves == 1 else leaving.one)(start, b.add(place, there))

    return write
