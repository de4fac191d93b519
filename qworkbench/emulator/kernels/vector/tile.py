"""One tile of a convolution or product: a few pixels times a few vectors of output channels, kept in registers.

The generator writes the loop once for every dot instruction and shape of tile:

``acc[pixel][channel] = bias[channel] + sum over groups g of dot(x[pixel + reach[g]], w[g, channel])``

where a dot takes 4 bytes (int8) or 2 words (int16) of a pixel against as many of the weight, and adds into int32. Where
the instructions multiply unsigned by signed, int8 pixels enter as ``code + 128``, and the bias has ``128 * sum(w)``
taken off. Sums wrap modulo 2**32: exact where the caller has proved that the true sum fits. Sums of int16 that may not
fit are formed in parts that do, added in int64 and wrapped, and those that :mod:`.ends` finds are counted. What becomes
of the sums is said in :mod:`.leaving`, which tiles run in which order in :mod:`.sweeps`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector import machine
from qworkbench.emulator.kernels.vector import parameters as at
from qworkbench.emulator.kernels.vector.arm import FEATURES
from qworkbench.emulator.kernels.vector.ends import beyond_int32
from qworkbench.emulator.kernels.vector.ir import cgutils, intrinsic, types
from qworkbench.emulator.kernels.vector.leaving import Leaving

LINE = 64  # bytes of a cache line


@dataclass(frozen=True)
class Tile:
    """Shape of a tile and the instruction that fills it (:mod:`.machine`); `lanes` are int32 lanes of a vector.

    A tile may be a part of a panel of `panel_vectors`; 0: it is a whole one.
    """

    dot: str
    lanes: int
    pixels: int
    vectors: int
    panel_vectors: int = 0

    @property
    def channels(self) -> int:
        """Output channels of a panel."""
        return self.lanes * self.vectors

    @property
    def line(self) -> int:
        """Bytes of a group of the panel."""
        return 4 * self.lanes * (self.panel_vectors or self.vectors)

    @property
    def narrow(self) -> bool:
        """Tell whether codes are bytes, whose sums never come in parts."""
        return self.dot in ("busd", "sdot", "smmla")

    @property
    def name(self) -> str:
        """Name of the function in a module."""
        return f"qworkbench.{self.dot}{32 * self.lanes}.{self.pixels}x{self.vectors}"


class Writer:
    """Writes the body of one function: tiles of one panel, from a first pixel to an end."""

    late = False  # whether the bias is added to what :meth:`put_in_order` has put in order

    def __init__(self, b: Any, tile: Tile, args: Any) -> None:
        self.b, self.tile = b, tile
        self.p, self.weights, self.channel, self.count, self.first, self.end, self.shift = args
        self.kind = v.vector(v.i32, tile.lanes)
        self.width = 4 * tile.lanes
        self.flips = tile.dot == "busd"

    def parameter(self, slot: int) -> Any:
        """Load a word of the row."""
        return v.load(self.b, self.b.add(self.p, v.word(8 * slot)), v.i64, 8)

    def write(self) -> None:
        """Write the body."""
        b, tile = self.b, self.tile
        self.x = b.add(self.parameter(at.X), self.shift)
        self.reaches, self.turns, self.rest = (self.parameter(slot) for slot in (at.REACHES, at.TURNS, at.REST))
        bias = b.add(self.parameter(at.BIAS), b.shl(self.channel, v.word(2)))
        # loaded, not a splat of a scalar: so the compiler flips the whole vector as it loads, not before it spreads
        self.sign = v.load(b, self.parameter(at.SIGN), self.kind, 64) if self.flips else None
        leaving = Leaving(b, tile.lanes, tile.vectors, self.p, self.channel, self.count)
        self.sums = [[cgutils.alloca_once(b, self.kind) for _ in range(tile.vectors)] for _ in range(tile.pixels)]
        if not tile.narrow:
            wide = v.vector(v.i64, tile.lanes)
            self.totals = [[cgutils.alloca_once(b, wide) for _ in range(tile.vectors)] for _ in range(tile.pixels)]
        self.here, self.reach = cgutils.alloca_once(b, v.i64), cgutils.alloca_once(b, v.i64)
        self.ahead = cgutils.alloca_once_value(b, b.add(self.weights, self.parameter(at.PANEL_BYTES)))
        whole = b.add(b.sub(self.end, self.first), v.word(tile.pixels - 1))
        with cgutils.for_range(b, b.sdiv(whole, v.word(tile.pixels)), intp=v.i64) as turn:
            pixel = b.add(self.first, b.mul(turn.index, v.word(tile.pixels)))
            leaving.fetch(b.add(pixel, v.word(tile.pixels)), tile.pixels)
            self._sum(bias, pixel)
            self.put_in_order(bias)
            (leaving.write if tile.narrow else leaving.write_int16)(self.sums, pixel)

    def _sum(self, bias: Any, pixel: Any) -> None:
        b, tile = self.b, self.tile
        table = b.add(self.parameter(at.PIXELS), b.shl(pixel, v.word(3)))
        rows = [b.add(self.x, v.load(b, b.add(table, v.word(8 * m)), v.i64, 8)) for m in range(tile.pixels)]
        for n in range(tile.vectors):
            start = v.constant(self.kind, [0] * tile.lanes) if self.late else self.bias(bias, n)
            for row in self.sums:
                b.store(start, row[n])
        b.store(self.weights, self.here)
        b.store(self.reaches, self.reach)
        if tile.narrow:
            self.begin_part()
            self._part(rows)
            return
        parts = self.parameter(at.PARTS)
        several = b.icmp_signed(">", parts, v.word(1))
        with cgutils.for_range(b, parts, intp=v.i64) as part:
            first = b.icmp_signed("==", part.index, v.word(0))
            self.begin_part()
            self._part(rows)
            self.end_part(bias, first)
            with b.if_then(several):
                self._gather(first)
        with b.if_then(several):
            self._wrap(pixel)

    def _gather(self, first: Any) -> None:
        """Add the sums to totals in int64, and begin again at zero."""
        b, lanes = self.b, self.tile.lanes
        wide = v.vector(v.i64, lanes)
        zero = v.constant(wide, [0] * lanes)
        for row, totals in zip(self.sums, self.totals, strict=True):
            for room, total in zip(row, totals, strict=True):
                before = b.select(first, zero, b.load(total))
                b.store(b.add(before, b.sext(b.load(room), wide)), total)
                b.store(v.constant(self.kind, [0] * lanes), room)

    def _wrap(self, pixel: Any) -> None:
        """Make sums of the totals, and count those of pixels before the end that do not fit, or might not."""
        b = self.b
        count, margin = v.word(0), self.parameter(at.MARGIN)
        for m, (row, totals) in enumerate(zip(self.sums, self.totals, strict=True)):
            counts = b.icmp_signed("<", b.add(pixel, v.word(m)), self.end)
            for room, total in zip(row, totals, strict=True):
                exact = b.load(total)
                b.store(b.trunc(exact, self.kind), room)
                count = b.add(count, b.select(counts, beyond_int32(b, exact, margin), v.word(0)))
        place = b.inttoptr(b.add(self.p, v.word(8 * at.OVERFLOW)), v.i64.as_pointer())
        b.atomic_rmw("add", place, count, "monotonic")

    def _part(self, rows: list[Any]) -> None:
        """Add the products of the groups of one part."""
        for turns, count in ((self.turns, at.UNROLLED), (self.rest, 1)):
            with cgutils.for_range(self.b, turns, intp=v.i64):
                self._groups(rows, count)

    def begin_part(self) -> None:
        """Begin what sums are made of, if that is not themselves."""

    def end_part(self, bias: Any, first: Any) -> None:
        """Let :attr:`sums` be what was added since the part began, if they are not, with the bias in the `first`."""

    def groups(self, rows: list[Any], reaches: Any, count: int) -> Iterator[Iterator[list[Any]]]:
        """Yield, for each of `count` groups, the words of every pixel."""
        b = self.b
        for u in range(count):
            reach = v.load(b, b.add(reaches, v.word(8 * u)), v.i64, 8)
            yield (self.words(b.add(row, reach)) for row in rows)

    def multiply(self, m: int, words: list[Any], panel: list[Any]) -> None:
        """Add the products of pixel `m` with a line of the panel."""
        b = self.b
        for room, word, weight in zip(self.sums[m], words, panel, strict=True):
            b.store(machine.dotted(b, self.tile.dot, b.load(room), word, weight), room)

    def words(self, address: Any) -> list[Any]:
        """Return what of the pixel at `address` is multiplied into each vector of sums."""
        word = v.splat(self.b, v.load(self.b, address, v.i32), self.tile.lanes)
        return [self.flipped(word)] * self.tile.vectors

    def flipped(self, word: Any) -> Any:
        """Return codes as the dot takes them."""
        return self.b.xor(word, self.sign) if self.flips else word

    def bias(self, bias: Any, n: int) -> Any:
        """Return the bias of vector n, of which `bias` is the address for the panel's first channel."""
        return v.load(self.b, self.b.add(bias, v.word(self.width * n)), self.kind, 4)

    def put_in_order(self, bias: Any) -> None:
        """Let lane i of vector n hold the whole sum of channel ``n * lanes + i``, if it does not."""

    def _groups(self, rows: list[Any], count: int) -> None:
        """Add `count` groups of 32 bits of every pixel, and fetch a part of the panel that comes next."""
        b, tile = self.b, self.tile
        weight, reaches, ahead = b.load(self.here), b.load(self.reach), b.load(self.ahead)
        for u, group in enumerate(self.groups(rows, reaches, count)):
            panel = [
                v.load(b, b.add(weight, v.word(tile.line * u + self.width * n)), self.kind, self.width)
                for n in range(tile.vectors)
            ]
            if tile.vectors == 4:
                v.prefetch(b, b.add(ahead, v.word(LINE * u)))
            for m, words in enumerate(group):
                self.multiply(m, words, panel)
        b.store(b.add(weight, v.word(tile.line * count)), self.here)
        b.store(b.add(reaches, v.word(8 * count)), self.reach)
        b.store(b.add(ahead, v.word(LINE * count)), self.ahead)


class Body(Protocol):
    """What writes the body of a tile's function."""

    def __init__(self, b: Any, tile: Tile, args: Any) -> None: ...

    def write(self) -> None:
        """Write the body."""


def tile_kernel(tile: Tile, writer: type[Body] = Writer) -> Any:
    """Return the intrinsic ``(p, weights, channel, count, first, end, shift)`` that computes tiles of one panel.

    Pixels `first` up to `end`, and up to the end of the last tile, of `count` channels from `channel` on; `weights` is
    the address of the panel, `shift` the distance in bytes of its first input channel. Each tile is a function of its
    own, so that its registers are.
    """

    @intrinsic
    def kernel(
        typing_context: Any, p: Any, weights: Any, channel: Any, count: Any, first: Any, end: Any, shift: Any
    ) -> Any:
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            def write(inside: Any, given: Any) -> None:
                writer(inside, tile, given).write()

            v.apart(b, f"{tile.name}.{writer.__name__}", args, write, FEATURES.get(tile.dot, ""))
            return context.get_dummy_value()

        return types.void(*([types.int64] * 7)), generate

    return kernel
