"""Products in the eight tiles of AMX: 32 pixels times 32 channels at once, their sums four tiles of 16 x 16 int32.

A tile of pixels is 16 rows of 64 codes that lie at one distance in memory, wherever they begin; a tile of weights is
16 groups of four codes of 16 channels, as they are packed for vectors, too. One instruction adds all their products,
signed or unsigned bytes, modulo 2**32. Tiles are literal numbers, in which the compiler keeps nothing of its own:

====  ==========================================
0..3  sums: pixels 0..15 and 16..31 times channels
4, 5  pixels
6, 7  weights
====  ==========================================

int8 codes enter as they are. int16 codes enter as two halves, ``code = 256 * high + low``, high signed, low unsigned,
in planes of their own, and their sums are put together when they leave. Which pixels are rows of a tile, and which
products run here, is said in :mod:`.amx_layers`; what becomes of the sums in :mod:`.leaving`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from qworkbench.emulator.kernels.memory import LINE
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector import parameters as at
from qworkbench.emulator.kernels.vector.amx_layers import ROWS
from qworkbench.emulator.kernels.vector.ends import beyond_int32
from qworkbench.emulator.kernels.vector.ir import cgutils, intrinsic, types
from qworkbench.emulator.kernels.vector.leaving import Leaving
from qworkbench.emulator.kernels.vector.tile import Tile

BLOCK = 2 * ROWS  # pixels and channels of a block
PALETTE = bytes([1, *[0] * 15, *[LINE, 0] * 8, *[0] * 16, *[ROWS] * 8, *[0] * 8])  # eight tiles of 16 rows of 64 bytes
WHOLE, HALF = (Tile("tiles", 16, BLOCK, vectors) for vectors in (4, 2))


def instruction(b: Any, name: str, *args: Any) -> None:
    """Write an instruction that has no result but in tiles."""
    v.call(b, f"x86.{name}", ir.VoidType(), args)


def number(tile: int) -> Any:
    """Return a tile as instructions name it."""
    return v.constant(v.i8, tile)


def _move(b: Any, name: str, tile: int, address: Any, step: Any) -> None:
    """Load or store the rows of a tile, which lie `step` bytes apart."""
    instruction(b, name, number(tile), b.inttoptr(address, v.i8.as_pointer()), step)


@intrinsic
def begin_tiles(typing_context: Any) -> Any:
    """Give the tiles their shape; each thread has its own."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        kind = ir.ArrayType(v.i8, len(PALETTE))
        shape = cgutils.add_global_variable(b.module, kind, "qworkbench.palette")
        shape.linkage, shape.global_constant, shape.initializer = "internal", True, kind(bytearray(PALETTE))
        instruction(b, "ldtilecfg", b.bitcast(shape, v.i8.as_pointer()))
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def end_tiles(typing_context: Any) -> Any:
    """Give the tiles back, so that nobody has to save them."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        instruction(b, "tilerelease")
        return context.get_dummy_value()

    return types.void(), generate


class Bytes:
    """Writes the body of one function for :func:`.tile.tile_kernel`: blocks of one panel, of int8 pixels."""

    planes: tuple[tuple[str, bool], ...] = (("tdpbssd", True),)
    """The product of each plane of pixels, and whether its sums begin at the bias; the last is that of the codes."""

    def __init__(self, b: Any, tile: Tile, args: Any) -> None:
        self.b, self.tile = b, tile
        self.p, self.weights, self.channel, self.count, self.first, self.end, self.shift = args
        self.line = 4 * tile.channels  # bytes of sums of a pixel, and of a group of all channels

    def parameter(self, slot: int) -> Any:
        """Load a word of the row."""
        return v.load(self.b, self.b.add(self.p, v.word(8 * slot)), v.i64, 8)

    def write(self) -> None:
        """Write the body."""
        b, tile = self.b, self.tile
        self.x = b.add(self.parameter(at.X), self.shift)
        self.step, self.reaches, self.turns = (self.parameter(slot) for slot in (at.STEP, at.REACHES, at.TURNS))
        self.start = b.add(self.parameter(at.BIAS), b.shl(self.channel, v.word(2)))
        self.leaving = Leaving(b, tile.lanes, tile.vectors, self.p, self.channel, self.count)
        kind = v.vector(v.i32, tile.lanes)
        self.sums = []
        for _ in self.planes:
            room = cgutils.alloca_once(b, kind, BLOCK * tile.vectors)
            room.align = LINE
            self.sums.append(b.ptrtoint(room, v.i64))
        bases = self.parameter(at.PIXELS)
        with cgutils.for_range(b, b.sdiv(b.sub(self.end, self.first), v.word(BLOCK)), intp=v.i64) as turn:
            pixel = b.add(self.first, b.mul(turn.index, v.word(BLOCK)))
            pair = b.add(bases, b.sdiv(b.shl(pixel, v.word(3)), v.word(ROWS)))
            rows = [v.load(b, b.add(pair, v.word(8 * n)), v.i64, 8) for n in range(2)]
            with cgutils.for_range(b, v.word(tile.channels // BLOCK), intp=v.i64) as half:
                self._block(rows, b.mul(half.index, v.word(4 * BLOCK)))
            places = b.add(self.parameter(at.PLACES), b.shl(pixel, v.word(3)))
            self.put_together(places)
            self._leave(places)

    def _block(self, rows: list[Any], across: Any) -> None:
        """Form the sums of a block whose channels begin `across` bytes behind the panel's."""
        b, x, plane = self.b, self.x, self.parameter(at.PLANE)
        for (name, biased), room in zip(self.planes, self.sums, strict=True):
            for tile in range(4):
                if biased:
                    bias = b.add(self.start, b.add(across, v.word(LINE * (tile % 2))))
                    _move(b, "tileloadd64", tile, bias, v.word(0))  # the same line for all rows
                else:
                    instruction(b, "tilezero", number(tile))
            self._multiply(name, [b.add(x, row) for row in rows], b.add(self.weights, across))
            for tile in range(4):
                place = v.word(self.line * ROWS * (tile // 2) + LINE * (tile % 2))
                _move(b, "tilestored64", tile, b.add(b.add(room, across), place), v.word(self.line))
            x = b.add(x, plane)

    def _multiply(self, name: str, rows: list[Any], weights: Any) -> None:
        """Add the products of all steps: 64 codes of 32 pixels, and their weights."""
        b, line = self.b, v.word(self.line)
        here = cgutils.alloca_once_value(b, weights)
        with cgutils.for_range(b, self.turns, intp=v.i64) as turn:
            reach = v.load(b, b.add(self.reaches, b.shl(turn.index, v.word(3))), v.i64, 8)
            weight = b.load(here)
            _move(b, "tileloadd64", 6, weight, line)
            for m, row in enumerate(rows):
                _move(b, "tileloadd64", 4 + m, b.add(row, reach), self.step)
                for n in range(2):
                    if m == 0 and n == 1:
                        _move(b, "tileloadd64", 7, b.add(weight, v.word(LINE)), line)
                    instruction(b, name, *map(number, (2 * m + n, 4 + m, 6 + n)))
            b.store(b.add(weight, v.word(self.line * ROWS)), here)

    def put_together(self, places: Any) -> None:
        """Make one of the sums of several planes, of a block whose pixels leave to `places`."""

    def pixels(self, places: Any, work: Callable[[Any, Any], None]) -> None:
        """Do work on the distance of the sums, and the place, of each pixel of a block that has one."""
        b = self.b
        with cgutils.for_range(b, v.word(BLOCK), intp=v.i64) as turn:
            place = v.load(b, b.add(places, b.shl(turn.index, v.word(3))), v.i64, 8)
            with b.if_then(b.icmp_signed(">=", place, v.word(0))):
                work(b.mul(turn.index, v.word(self.line)), place)

    def _leave(self, places: Any) -> None:
        b, leaving, sums = self.b, self.leaving, self.sums[-1]

        def narrow(distance: Any, place: Any) -> None:
            leaving.int8_from(b.add(sums, distance), b.add(place, self.channel))

        with b.if_else(b.or_(leaving.plain, leaving.split)) as (most, others):
            with most:
                self.pixels(places, narrow)
            with others:
                leaving.one_by_one(sums, places, BLOCK)


class Halves(Bytes):
    """The same of int16 pixels, whose high halves are in one plane and low halves in another."""

    planes = (("tdpbssd", False), ("tdpbusd", True))

    def put_together(self, places: Any) -> None:
        """Replace the sums of low halves by those of codes, and count what leaves int32, or may with a residual."""
        b, lanes = self.b, self.tile.lanes
        kind, wide = v.vector(v.i32, lanes), v.vector(v.i64, lanes)
        several, margin = b.icmp_signed(">", self.parameter(at.PARTS), v.word(1)), self.parameter(at.MARGIN)
        many = cgutils.alloca_once_value(b, v.word(0))

        def add(distance: Any, place: Any) -> None:
            for n in range(self.tile.vectors):
                high, low = (b.add(room, b.add(distance, v.word(LINE * n))) for room in self.sums)
                above, below = (v.load(b, address, kind, LINE) for address in (high, low))
                whole = b.add(b.shl(above, v.splat(b, v.constant(v.i32, 8), lanes)), below)
                v.store(b, whole, low, LINE)
                with b.if_then(several):
                    exact = b.add(b.shl(b.sext(above, wide), v.splat(b, v.word(8), lanes)), b.sext(below, wide))
                    b.store(b.add(b.load(many), beyond_int32(b, exact, margin)), many)

        self.pixels(places, add)
        with b.if_then(several):
            counter = b.inttoptr(b.add(self.p, v.word(8 * at.OVERFLOW)), v.i64.as_pointer())
            b.atomic_rmw("add", counter, b.load(many), "monotonic")


@intrinsic
def split(typing_context: Any, codes: Any, high: Any, low: Any, count: Any) -> Any:
    """Write the halves of `count` >= 64 int16 codes to two planes."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        codes, high, low, count = args
        kind, half = v.vector(v.i16, LINE), v.vector(v.i8, LINE)
        last = b.sub(count, v.word(LINE))
        turns = b.sdiv(b.add(count, v.word(LINE - 1)), v.word(LINE))
        with cgutils.for_range(b, turns, intp=v.i64) as turn:
            first = b.mul(turn.index, v.word(LINE))
            first = b.select(b.icmp_signed("<", first, last), first, last)  # what is behind the end is not read
            found = v.load(b, b.add(codes, b.shl(first, v.word(1))), kind, 1)
            above = b.lshr(found, v.splat(b, v.constant(v.i16, 8), LINE))
            v.store(b, b.trunc(above, half), b.add(high, first))
            v.store(b, b.trunc(found, half), b.add(low, first))
        return context.get_dummy_value()

    return types.void(*([types.int64] * 4)), generate
