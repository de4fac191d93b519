"""3 x 3 convolutions of codes by the parts of :mod:`.winograd_parts`: blocks of windows that stay in the cache.

Of each block, all numbers are made first; then, panel by panel of output channels, the products of one number after the
other, and the results. Several threads may share one row of parameters: each takes the next block, or part of its
panels. Weights and tables come from :mod:`.winograd_layers`.
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
from qworkbench.emulator.kernels.vector.tile import Tile
from qworkbench.emulator.kernels.vector.winograd_parts import (
    ACROSS,
    BATCH,
    BLOCKS,
    COLUMN_OFFSETS,
    DOWN,
    HEIGHT,
    INPUTS,
    OUT,
    OUT_IMAGE,
    OUT_PIXEL,
    OUT_ROW,
    PITCH,
    POINTS,
    ROOM,
    ROW_OFFSETS,
    SIDE,
    SUM_PITCH,
    WIDTH,
    X_IMAGE,
    Way,
    Write,
    products_part,
    results_part,
    tail_part,
    window_part,
)


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


def _sweep(way: Way) -> Write:
    """Write ``(p, memory)``: blocks of windows, and of each a part of the panels, until none is left."""
    tile, tail = way.tile, way.tail

    def write(b: Any, args: Any) -> None:
        p, memory = args

        def parameter(slot: int) -> Any:
            return v.load(b, b.add(p, v.word(8 * slot)), v.i64, 8)

        def call(part: Callable[[Way], Write], *arguments: Any) -> None:
            _called(b, f"qworkbench.winograd{part.__name__}.{way.name}", arguments, part(way))

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
        pitch, sum_pitch, step = parameter(PITCH), parameter(SUM_PITCH), way.step
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
                    to = b.add(entered, b.mul(turn.index, b.mul(inputs, v.word(2 * way.halves))))
                    call(window_part, x, rows, columns, to, pitch, b.sdiv(inputs, v.word(2 * tile.lanes)))
                halves = b.mul(count, v.word(way.halves))
                begin, stop = (share(panels, index, parts) for index in (part, b.add(part, v.word(1))))
                with cgutils.for_range(b, b.sub(stop, begin), intp=v.i64) as turn:
                    panel = b.add(begin, turn.index)
                    weights = b.add(parameter(at.WEIGHTS), b.mul(panel, parameter(at.PANEL_BYTES)))
                    channel = b.mul(panel, v.word(tile.channels))
                    full = b.icmp_signed("<", panel, parameter(at.WIDE))
                    width = b.select(full, v.word(step), v.word(4 * tail.channels)) if tail else v.word(step)
                    with cgutils.for_range(b, v.word(POINTS), intp=v.i64) as point:
                        here = b.add(weights, b.mul(point.index, b.mul(groups, width)))
                        numbers = b.add(entered, b.mul(point.index, pitch))
                        to = b.add(sums, b.mul(point.index, sum_pitch))
                        arguments = (numbers, b.shl(inputs, v.word(1)), halves, here, groups, to)
                        if tail is None:
                            call(products_part, *arguments)
                        else:
                            with b.if_else(full) as (whole, last):
                                with whole:
                                    call(products_part, *arguments)
                                with last:
                                    call(tail_part, *arguments)
                    with cgutils.for_range(b, count, intp=v.i64) as window:
                        n, i, j = placed(b.add(first, window.index))
                        place = b.add(b.mul(n, parameter(OUT_IMAGE)), b.mul(b.shl(i, v.word(2)), parameter(OUT_ROW)))
                        place = b.add(place, b.mul(b.shl(j, v.word(2)), parameter(OUT_PIXEL)))
                        here = b.add(sums, b.mul(window.index, v.word(step * way.halves)))
                        left = b.sub(parameter(at.CHANNELS), channel)
                        call(
                            results_part,
                            p,
                            channel,
                            left,
                            here,
                            sum_pitch,
                            room,
                            place,
                            rest(HEIGHT, i),
                            rest(WIDTH, j),
                        )

    return write


def _kernel(way: Way) -> Any:
    """Return the intrinsic ``(p, memory)`` that computes a convolution with ``p[ROOM]`` bytes of memory."""

    @intrinsic
    def kernel(typing_context: Any, p: Any, memory: Any) -> Any:
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            _called(b, f"qworkbench.winograd.{way.name}", args, _sweep(way))
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), generate

    return kernel


_wide512, _narrow256, _wide256 = (
    _kernel(Way(tile, halves))
    for tile, halves in ((Tile("wssd", 16, 4, 4), 2), (Tile("madd", 8, 6, 2), 1), (Tile("madd", 8, 6, 2), 2))
)
_narrow512 = _kernel(Way(Tile("wssd", 16, 4, 4), 1, Tile("wssd", 16, 8, 2)))


@row_kernel
def winograd_avx512(row: int) -> None:
    """Compute int8 by int8 in panels of 64 channels, and one of 32 behind them."""
    memory = np.empty(v.word_at(row + 8 * ROOM), np.uint8)
    _narrow512(row, memory.ctypes.data)
    memory[0] = 0  # in use until here


@row_kernel
def winograd_avx2(row: int) -> None:
    """Compute int8 by int8 in panels of 16 channels."""
    memory = np.empty(v.word_at(row + 8 * ROOM), np.uint8)
    _narrow256(row, memory.ctypes.data)
    memory[0] = 0  # in use until here


@row_kernel
def winograd_wide_avx512(row: int) -> None:
    """Compute int16 by int8 in panels of 64 channels."""
    memory = np.empty(v.word_at(row + 8 * ROOM), np.uint8)
    _wide512(row, memory.ctypes.data)
    memory[0] = 0  # in use until here


@row_kernel
def winograd_wide_avx2(row: int) -> None:
    """Compute int16 by int8 in panels of 16 channels."""
    memory = np.empty(v.word_at(row + 8 * ROOM), np.uint8)
    _wide256(row, memory.ctypes.data)
    memory[0] = 0  # in use until here
