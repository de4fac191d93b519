"""Winograd's F(4x4, 3x3) on codes, in integers and exact: a quarter of the products of a 3 x 3 convolution.

Windows of 6 x 6 int8 codes become 36 numbers of int16, the weights 36 others; their products are summed over the
channels modulo 2**32 and turned into 576 times 4 x 4 sums. Division by 9 is a product modulo 2**32, division by 64 a
shift: so a true sum below 2**25 comes out exactly, whatever wrapped on the way. Source of the transforms: Lavin and
Gray, Fast Algorithms for Convolutional Neural Networks (2016), here scaled to integers. What becomes of the sums is
said in :mod:`.leaving`; weights and tables come from :mod:`.winograd_layers`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from qworkbench.emulator.kernels.compiled import row_kernel
from qworkbench.emulator.kernels.memory import LINE
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector import parameters as at
from qworkbench.emulator.kernels.vector.ir import cgutils, intrinsic, types
from qworkbench.emulator.kernels.vector.leaving import Leaving
from qworkbench.emulator.kernels.vector.tile import Tile, dot

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


def _called(b: Any, name: str, args: Any, write: Write) -> None:
    """Call the function `name` of int64, which ``write(builder, arguments)`` writes once into a module."""
    found = b.module.globals.get(name)
    if found is None:
        found = ir.Function(b.module, ir.FunctionType(ir.VoidType(), [v.i64] * len(args)), name)
        found.linkage = "internal"
        found.attributes.add("noinline")
        inside = ir.IRBuilder(found.append_basic_block("entry"))
        write(inside, found.args)
        inside.ret_void()
    b.call(found, args)


def _window(tile: Tile) -> Write:
    """Write ``(x, rows, columns, to, pitch, vectors)``: the 36 numbers of every channel of one window."""

    def write(b: Any, args: Any) -> None:
        x, rows, columns, to, pitch, vectors = args
        lanes = tile.lanes
        narrow, wide = v.vector(v.i8, 2 * lanes), v.vector(v.i16, 2 * lanes)
        lines = [v.load(b, b.add(rows, v.word(8 * p)), v.i64, 8) for p in range(SIDE)]
        places = [b.add(x, v.load(b, b.add(columns, v.word(8 * q)), v.i64, 8)) for q in range(SIDE)]
        with cgutils.for_range(b, vectors, intp=v.i64) as turn:
            first = b.mul(turn.index, v.word(2 * lanes))
            made = []
            for place in places:
                here = b.add(place, first)
                made.append(_entering(b, [b.sext(v.load(b, b.add(here, line), narrow), wide) for line in lines]))
            there = b.add(to, b.shl(first, v.word(1)))
            for p in range(SIDE):
                for one in _entering(b, [column[p] for column in made]):
                    v.store(b, one, there, 4 * lanes)
                    there = b.add(there, pitch)

    return write


def _products(tile: Tile) -> Write:
    """Write ``(numbers, pitch, count, weights, groups, to)``: the sums of one of the 36 numbers of `count` windows.

    Up to the end of the last tile. The weights of the next number are fetched meanwhile.
    """

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
                        b.store(dot(b, tile, b.load(room), word, panel[n]), room)
            there = b.add(to, b.mul(first, v.word(step)))
            for m, line in enumerate(sums):
                for n, room in enumerate(line):
                    v.store(b, b.load(room), b.add(there, v.word(step * m + width * n)), width)

    return write


def _results(tile: Tile) -> Write:
    """Write ``(p, channel, count, sums, pitch, room, place, rows, columns)``: the results of one window.

    Its first `rows` and `columns` go to `place` and on; `room` holds 16 sums of every channel on the way.
    """

    def write(b: Any, args: Any) -> None:
        p, channel, count, sums, pitch, room, place, rows, columns = args
        kind, width = v.vector(v.i32, tile.lanes), 4 * tile.lanes
        step = width * tile.vectors

        def parameter(slot: int) -> Any:
            return v.load(b, b.add(p, v.word(8 * slot)), v.i64, 8)

        leaving = Leaving(b, tile.lanes, tile.vectors, parameter, channel, count)
        bias = b.add(parameter(at.BIAS), b.shl(channel, v.word(2)))
        line_step, pixel_step = parameter(OUT_ROW), parameter(OUT_PIXEL)
        place = b.add(place, channel)
        ninth, bits = (v.constant(kind, [n] * tile.lanes) for n in (NINTH, SHIFT))
        with cgutils.for_range(b, v.word(tile.vectors), intp=v.i64) as turn:
            first = b.mul(turn.index, v.word(width))
            here, found = b.add(sums, first), []
            for _ in range(SIDE):
                line = []
                for _ in range(SIDE):
                    line.append(v.load(b, here, kind, width))
                    here = b.add(here, pitch)
                found.append(_leaving(b, line))
            start = v.load(b, b.add(bias, first), kind, 4)
            for j in range(OUT):
                for i, one in enumerate(_leaving(b, [line[j] for line in found])):
                    exact = b.add(b.ashr(b.mul(one, ninth), bits), start)
                    v.store(b, exact, b.add(b.add(room, first), v.word(step * (OUT * i + j))), width)
        with cgutils.for_range(b, rows, intp=v.i64) as i, cgutils.for_range(b, columns, intp=v.i64) as j:
            start = b.add(room, b.mul(b.add(b.shl(i.index, v.word(2)), j.index), v.word(step)))
            there = b.add(b.mul(i.index, line_step), b.mul(j.index, pixel_step))
            leaving.int8_from(start, b.add(place, there))

    return write


def _sweep(tile: Tile) -> Write:
    """Write ``(p, memory)``: blocks of windows, and of each a part of the panels, until none is left."""

    def write(b: Any, args: Any) -> None:
        p, memory = args

        def parameter(slot: int) -> Any:
            return v.load(b, b.add(p, v.word(8 * slot)), v.i64, 8)

        def call(part: Callable[[Tile], Write], *arguments: Any) -> None:
            _called(b, f"qworkbench.winograd{part.__name__}.{tile.name}", arguments, part(tile))

        def placed(window: Any) -> tuple[Any, Any, Any]:
            line, j = b.sdiv(window, across), b.srem(window, across)
            return b.sdiv(line, down), b.srem(line, down), j

        def share(count: Any, index: Any, parts: Any) -> Any:
            return b.sdiv(b.mul(count, index), parts)

        def rest(slot: int, index: Any) -> Any:
            left = b.sub(parameter(slot), b.shl(index, v.word(2)))
            return b.select(b.icmp_signed("<", left, v.word(OUT)), left, v.word(OUT))

        down, across, inputs = parameter(DOWN), parameter(ACROSS), parameter(INPUTS)
        windows, groups = b.mul(b.mul(parameter(BATCH), down), across), b.lshr(inputs, v.word(1))
        units = b.sdiv(b.add(windows, v.word(tile.pixels - 1)), v.word(tile.pixels))
        pitch, sum_pitch, step = parameter(PITCH), parameter(SUM_PITCH), 4 * tile.channels
        entered = b.and_(b.add(memory, v.word(LINE - 1)), v.word(-LINE))
        sums = b.add(entered, b.mul(pitch, v.word(POINTS)))
        room = b.add(sums, b.mul(sum_pitch, v.word(POINTS)))
        chunks, parts, panels = parameter(at.CHUNKS), parameter(at.PANEL_PARTS), parameter(at.PANELS)
        counter = b.inttoptr(b.add(p, v.word(8 * at.COUNTER)), v.i64.as_pointer())
        with cgutils.for_range(b, chunks, intp=v.i64):
            chunk = b.atomic_rmw("add", counter, v.word(1), "monotonic")
            with b.if_then(b.icmp_signed("<", chunk, chunks)):
                block, part = b.sdiv(chunk, parts), b.srem(chunk, parts)
                first, end = (
                    b.mul(share(units, index, parameter(BLOCKS)), v.word(tile.pixels))
                    for index in (block, b.add(block, v.word(1)))
                )
                count = b.sub(b.select(b.icmp_signed("<", end, windows), end, windows), first)
                with cgutils.for_range(b, count, intp=v.i64) as turn:
                    n, i, j = placed(b.add(first, turn.index))
                    x = b.add(parameter(at.X), b.mul(n, parameter(X_IMAGE)))
                    rows = b.add(parameter(ROW_OFFSETS), b.mul(i, v.word(8 * SIDE)))
                    columns = b.add(parameter(COLUMN_OFFSETS), b.mul(j, v.word(8 * SIDE)))
                    to = b.add(entered, b.mul(turn.index, b.shl(inputs, v.word(1))))
                    call(_window, x, rows, columns, to, pitch, b.sdiv(inputs, v.word(2 * tile.lanes)))
                begin, stop = (share(panels, index, parts) for index in (part, b.add(part, v.word(1))))
                with cgutils.for_range(b, b.sub(stop, begin), intp=v.i64) as turn:
                    panel = b.add(begin, turn.index)
                    weights = b.add(parameter(at.WEIGHTS), b.mul(panel, parameter(at.PANEL_BYTES)))
                    channel = b.mul(panel, v.word(tile.channels))
                    with cgutils.for_range(b, v.word(POINTS), intp=v.i64) as point:
                        here = b.add(weights, b.mul(point.index, b.mul(groups, v.word(step))))
                        numbers = b.add(entered, b.mul(point.index, pitch))
                        to = b.add(sums, b.mul(point.index, sum_pitch))
                        call(_products, numbers, b.shl(inputs, v.word(1)), count, here, groups, to)
                    with cgutils.for_range(b, count, intp=v.i64) as window:
                        n, i, j = placed(b.add(first, window.index))
                        place = b.add(b.mul(n, parameter(OUT_IMAGE)), b.mul(b.shl(i, v.word(2)), parameter(OUT_ROW)))
                        place = b.add(place, b.mul(b.shl(j, v.word(2)), parameter(OUT_PIXEL)))
                        here = b.add(sums, b.mul(window.index, v.word(step)))
                        left = b.sub(parameter(at.CHANNELS), channel)
                        call(_results, p, channel, left, here, sum_pitch, room, place, rest(HEIGHT, i), rest(WIDTH, j))

    return write


def _kernel(tile: Tile) -> Any:
    """Return the intrinsic ``(p, memory)`` that computes a convolution with ``p[ROOM]`` bytes of memory."""

    @intrinsic
    def kernel(typing_context: Any, p: Any, memory: Any) -> Any:
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            _called(b, f"qworkbench.winograd.{tile.name}", args, _sweep(tile))
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), generate

    return kernel


_pairs512, _pairs256 = (_kernel(tile) for tile in (Tile("wssd", 16, 4, 4), Tile("madd", 8, 6, 2)))


@row_kernel
def winograd_avx512(row: int) -> None:
    """Compute int8 by int8 in panels of 64 channels."""
    memory = np.empty(v.word_at(row + 8 * ROOM), np.uint8)
    _pairs512(row, memory.ctypes.data)
    memory[0] = 0  # in use until here


@row_kernel
def winograd_avx2(row: int) -> None:
    """Compute int8 by int8 in panels of 16 channels."""
    memory = np.empty(v.word_at(row + 8 * ROOM), np.uint8)
    _pairs256(row, memory.ctypes.data)
    memory[0] = 0  # in use until here
