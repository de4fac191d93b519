"""The most that one thread can reach: the dot instruction of the path in use, on registers alone."""

from __future__ import annotations

import time
from typing import Any

import numba
import numpy as np

from qworkbench.emulator.kernels import isa
from qworkbench.emulator.kernels.memory import LINE
from qworkbench.emulator.kernels.vector import amx, machine
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.amx_layers import ROWS
from qworkbench.emulator.kernels.vector.arm import FEATURES
from qworkbench.emulator.kernels.vector.ir import cgutils, intrinsic, types
from qworkbench.emulator.kernels.vector.tile import Tile

SUMS = 24
LOOPS = 200_000
TILE_LOOPS = 12_500  # each multiplies 16 times as much
TILES = {
    "avx512vnni": Tile("busd", 16, SUMS, 1),
    "avxvnni": Tile("busd", 8, 12, 1),
    "avx2": Tile("madd", 8, 12, 1),
    "i8mm": Tile("smmla", 4, SUMS, 1),
    "dotprod": Tile("sdot", 4, SUMS, 1),
}


def _registers(tile: Tile) -> Any:
    @intrinsic
    def kernel(typing_context: Any, count: Any, one: Any, other: Any, out: Any) -> Any:
        def write(b: Any, given: Any) -> None:
            count, one, other, out = given
            left, right = (v.splat(b, b.trunc(word, v.i32), tile.lanes) for word in (one, other))
            sums = [
                cgutils.alloca_once_value(b, v.splat(b, v.constant(v.i32, n), tile.lanes)) for n in range(tile.pixels)
            ]
            rights = [b.add(right, v.splat(b, v.constant(v.i32, n), tile.lanes)) for n in range(tile.pixels)]
            with cgutils.for_range(b, count, intp=v.i64) as loop:
                # a product of loop invariants would be taken out of the loop, a common one computed once
                pixel = v.splat(b, b.add(b.trunc(one, v.i32), b.trunc(loop.index, v.i32)), tile.lanes)
                for n, room in enumerate(sums):
                    operands = (pixel, rights[n]) if tile.dot == "madd" else (left, right)
                    b.store(machine.dotted(b, tile.dot, b.load(room), *operands), room)
            for n, room in enumerate(sums):
                v.store(b, b.load(room), b.add(out, v.word(4 * tile.lanes * n)))

        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            v.apart(b, f"peak.{tile.name}", args, write, FEATURES.get(tile.dot, ""))
            return context.get_dummy_value()

        return types.void(*([types.int64] * 4)), generate

    return kernel


def _tiles() -> Any:
    @intrinsic
    def products(typing_context: Any, count: Any) -> Any:
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            with cgutils.for_range(b, args[0], intp=v.i64):
                for n in range(4):
                    amx.instruction(b, "tdpbssd", *map(amx.number, (n, 4 + n // 2, 6 + n % 2)))
            return context.get_dummy_value()

        return types.void(types.int64), generate

    @numba.njit
    def run(count: int) -> None:
        amx.begin_tiles()
        products(count)
        amx.end_tiles()

    return run


def peak() -> float | None:
    """Return giga-operations a second (a multiply-add is two) of one thread, best of several; None where no dot is."""
    if isa.chosen() == "amx":
        return _best(_tiles(), TILE_LOOPS, 2.0 * 4 * ROWS * ROWS * LINE)
    tile = TILES.get(isa.chosen())
    if tile is None:
        return None
    kernel = _registers(tile)

    @numba.njit
    def run(count: int, one: int, other: int, out: int) -> None:
        kernel(count, one, other, out)

    room = np.empty(tile.pixels * tile.lanes, np.int32)
    per_word = 8 if tile.dot == "smmla" else 4 if tile.narrow else 2
    operations = 2.0 * per_word * tile.lanes * tile.pixels
    return _best(run, LOOPS, operations, 0x01020304, 0x02030405, room.ctypes.data)


def _best(run: Any, loops: int, operations: float, *arguments: int) -> float:
    run(1, *arguments)
    best = float("inf")
    for _ in range(15):
        began = time.thread_time()
        run(loops, *arguments)
        best = min(best, time.thread_time() - began)
    return operations * loops / best / 1e9
