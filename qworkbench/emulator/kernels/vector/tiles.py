"""One tile of a convolution or product: a few pixels times a few vectors of output channels, kept in registers.

The generator writes the inner loop once for every dot instruction and shape of tile:

``acc[pixel][channel] = bias[channel] + sum over taps t, groups g of dot(x[pixel + tap[t] + 4 g], w[t, g, channel])``

where a dot takes 4 bytes (int8) or 2 words (int16) of a pixel against as many of the weight, and adds into int32. int8
pixels enter as ``code + 128``, since the instructions multiply unsigned by signed; the bias has ``128 * sum(w)`` taken
off. Sums wrap modulo 2**32: exact where the caller has proved that the true sum fits.

Generator and kernels share this file, because numba's disk cache looks at a kernel's own file only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import carray, cgutils, intrinsic, types

# one row of int64 parameters per call, so that every kernel has one signature
(X, PIXELS, TAPS, TAP_COUNT, GROUPS, WEIGHTS, PANELS, PANEL_BYTES, BIAS, SCALE, OUT, PLACES, LOW, HIGH, TILES,
 TAIL, SHIFTS, MODE, CODES, CODE_BYTES, RATIO, COUNTER, CHUNKS, PANEL_PARTS, KIND, SIGN, WORDS) = range(27)  # fmt: skip
PACKED, PACKED_AFTER_RESIDUAL, INT16, INT32 = range(4)  # MODE: what leaves
INT8_WIDE, INT8_NARROW, INT16_PAIRS = range(3)  # KIND: which tile


@dataclass(frozen=True)
class Tile:
    """Shape of a tile and the instruction that fills it; `lanes` are int32 lanes of a vector."""

    dot: str
    lanes: int
    pixels: int
    vectors: int

    @property
    def channels(self) -> int:
        """Output channels of a panel."""
        return self.lanes * self.vectors


def _dot(b: Any, tile: Tile, acc: Any, pixel: Any, weight: Any) -> Any:
    """Return ``acc`` plus the products of 32 bits of pixel (in every lane) with 32 bits of weight per lane."""
    if tile.dot == "madd":
        pairs = v.vector(v.i16, 2 * tile.lanes)
        name = "x86.avx2.pmadd.wd" if tile.lanes == 8 else "x86.avx512.pmaddw.d.512"
        return b.add(acc, v.call(b, name, acc.type, [b.bitcast(pixel, pairs), b.bitcast(weight, pairs)]))
    return v.call(b, f"x86.avx512.vpdp{tile.dot}.{32 * tile.lanes}", acc.type, [acc, pixel, weight])


def _store_codes(b: Any, tile: Tile, sums: list[Any], scale: Any, out: Any, low: Any, high: Any, mask: Any) -> None:
    """Store ``clamp(round_half_even(float32(sum) * scale), low, high)`` as int8."""
    kind = v.vector(v.f32, tile.lanes)
    whole = []
    for n, total in enumerate(sums):
        factor = v.load(b, b.add(scale, v.word(4 * tile.lanes * n)), kind, 4)
        whole.append(v.nearest(b, b.fmul(b.sitofp(total, kind), factor)))
    codes = v.packed(b, whole)
    limits = (v.splat(b, b.trunc(limit, v.i8), tile.channels) for limit in (low, high))
    codes = v.clamped(b, codes, *limits)
    if tile.lanes == 16:
        v.masked_store(b, codes, out, mask)
    else:
        v.store(b, codes, out)


def tile_kernel(tile: Tile) -> Any:
    """Return the intrinsic that computes one tile: int8 codes to their places, or int32 sums to `scratch`."""
    flip = tile.dot == "busd"

    @intrinsic
    def kernel(
        typing_context: Any, x: Any, pixels: Any, taps: Any, tap_count: Any, groups: Any, weights: Any, bias: Any,
        scale: Any, out: Any, places: Any, low: Any, high: Any, mask: Any, scratch: Any,
        sign: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            x, pixels, taps, tap_count, groups, weights, bias, scale, out, places, low, high, mask, scratch, sign = args
            sign = v.splat(b, b.trunc(sign, v.i32), tile.lanes)
            sums_type = v.vector(v.i32, tile.lanes)
            width = 4 * tile.lanes
            rows = [b.add(x, v.load(b, b.add(pixels, v.word(8 * m)), v.i64, 8)) for m in range(tile.pixels)]
            sums = [[cgutils.alloca_once(b, sums_type) for _ in range(tile.vectors)] for _ in rows]
            for n in range(tile.vectors):
                start = v.load(b, b.add(bias, v.word(width * n)), sums_type, 4)
                for row in sums:
                    b.store(start, row[n])
            here = cgutils.alloca_once_value(b, weights)
            with cgutils.for_range(b, tap_count, intp=v.i64) as tap:
                offset = v.load(b, b.add(taps, b.shl(tap.index, v.word(3))), v.i64, 8)
                with cgutils.for_range(b, groups, intp=v.i64) as group:
                    at = b.add(offset, b.shl(group.index, v.word(2)))
                    weight = b.load(here)
                    panel = [v.load(b, b.add(weight, v.word(width * n)), sums_type, width) for n in range(tile.vectors)]
                    for m, row in enumerate(rows):
                        pixel = v.load(b, b.add(row, at), v.i32)
                        pixel = v.splat(b, pixel, tile.lanes)
                        if flip:
                            pixel = b.xor(pixel, sign)
                        for n in range(tile.vectors):
                            b.store(_dot(b, tile, b.load(sums[m][n]), pixel, panel[n]), sums[m][n])
                    b.store(b.add(weight, v.word(width * tile.vectors)), here)
            with b.if_else(b.icmp_signed("==", scratch, v.word(0))) as (to_codes, to_sums):
                with to_codes:
                    for m in range(tile.pixels):
                        place = b.add(out, v.load(b, b.add(places, v.word(8 * m)), v.i64, 8))
                        _store_codes(b, tile, [b.load(s) for s in sums[m]], scale, place, low, high, mask)
                with to_sums:
                    for m in range(tile.pixels):
                        for n in range(tile.vectors):
                            at = b.add(scratch, v.word((m * tile.vectors + n) * width))
                            v.store(b, b.load(sums[m][n]), at, 4)
            return context.get_dummy_value()

        return types.void(*([types.int64] * 15)), generate

    return kernel


def row_kernel(tile: Tile) -> Any:
    """Return the intrinsic that adds a residual to one pixel's sums in memory and stores their int8 codes.

    ``sum + round_half_even(float64(code) * ratio)``, codes int8 or int16. Codes behind the last channel are read, too,
    and masked off when the result is stored.
    """
    lanes = tile.lanes

    @intrinsic
    def kernel(
        typing_context: Any, sums: Any, scale: Any, out: Any, low: Any, high: Any, mask: Any, codes: Any,
        code_bytes: Any, ratio: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            sums, scale, out, low, high, mask, codes, code_bytes, ratio = args
            kind, real = v.vector(v.i32, lanes), v.vector(v.f64, lanes)
            rooms = [cgutils.alloca_once(b, kind) for _ in range(tile.vectors)]
            with b.if_else(b.icmp_signed("==", code_bytes, v.word(1))) as branches:
                for branch, code in zip(branches, (v.i8, v.i16), strict=True):
                    with branch:
                        for n, room in enumerate(rooms):
                            at = b.add(codes, v.word(n * lanes * code.width // 8))
                            b.store(b.sext(v.load(b, at, v.vector(code, lanes)), kind), room)
            totals = []
            for n, room in enumerate(rooms):
                factor = v.load(b, b.add(ratio, v.word(8 * lanes * n)), real, 8)
                entering = v.call(b, f"rint.v{lanes}f64", real, [b.fmul(b.sitofp(b.load(room), real), factor)])
                total = v.load(b, b.add(sums, v.word(4 * lanes * n)), kind, 4)
                totals.append(b.add(total, b.fptosi(entering, kind)))
            _store_codes(b, tile, totals, scale, out, low, high, mask)
            return context.get_dummy_value()

        return types.void(*([types.int64] * 9)), generate

    return kernel


@numba.njit(nogil=True, error_model="numpy")
def _leave(p: np.ndarray, scratch: int, panel: int, channels: int, count: int, place: int, scale: int) -> None:
    """Add the residual to one pixel's sums, and store them as int16 codes or as they are; ``count`` channels are."""
    sums = carray(v.int32_at(scratch), channels)
    if p[RATIO]:
        ratio = carray(v.float64_at(p[RATIO] + 8 * panel * channels), channels)
        if p[CODE_BYTES] == 1:
            narrow = carray(v.int8_at(p[CODES] + place), count)
            for i in range(count):
                sums[i] = np.int32(sums[i] + np.int32(np.rint(np.float64(narrow[i]) * ratio[i])))
        else:
            wide = carray(v.int16_at(p[CODES] + 2 * place), count)
            for i in range(count):
                sums[i] = np.int32(sums[i] + np.int32(np.rint(np.float64(wide[i]) * ratio[i])))
    if p[MODE] == INT16:
        low, high = np.float64(p[LOW]), np.float64(p[HIGH])
        factor = carray(v.float64_at(scale), channels)
        codes = carray(v.int16_at(p[OUT] + 2 * place), count)
        for i in range(count):
            y = np.float64(sums[i]) * factor[i]
            y = low if y < low else y
            codes[i] = np.int16(np.int32(np.rint(high if y > high else y)))
    elif p[MODE] == INT32:
        whole = carray(v.int32_at(p[OUT] + 4 * place), count)
        for i in range(count):
            whole[i] = sums[i]


# 512-bit vectors: 24 sums in registers, of 6 pixels x 64 or 12 pixels x 32 channels
_WIDE, _NARROW, _PAIRS = Tile("busd", 16, 6, 4), Tile("busd", 16, 12, 2), Tile("wssd", 16, 6, 4)
_wide, _narrow, _pairs = tile_kernel(_WIDE), tile_kernel(_NARROW), tile_kernel(_PAIRS)
_row64, _row32 = row_kernel(_WIDE), row_kernel(_NARROW)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def sweep_avx512(p: np.ndarray) -> None:
    """Compute chunks of tiles, one after the other, until none is left; several threads may share `p`."""
    kind, mode, low, high, sign = p[KIND], p[MODE], p[LOW], p[HIGH], p[SIGN]
    pixels, channels = (12, 32) if kind == INT8_NARROW else (6, 64)
    buffer = np.empty(pixels * channels, np.int32)
    room = buffer.ctypes.data if mode != PACKED else 0
    scale_bytes = 8 if mode == INT16 else 4
    parts = p[PANEL_PARTS]
    counter = p.ctypes.data + 8 * COUNTER
    while True:
        chunk = v.taken(counter)
        if chunk >= p[CHUNKS]:
            break
        slices = p[CHUNKS] // parts
        first, last = (chunk // parts) * p[TILES] // slices, (chunk // parts + 1) * p[TILES] // slices
        for panel in range((chunk % parts) * p[PANELS] // parts, (chunk % parts + 1) * p[PANELS] // parts):
            tail = panel == p[PANELS] - 1
            count = p[TAIL] if tail else channels
            mask = (np.int64(1) << count) - 1 if count < 64 else np.int64(-1)
            x = p[X] + v.word_at(p[SHIFTS] + 8 * panel)
            weights, bias = p[WEIGHTS] + panel * p[PANEL_BYTES], p[BIAS] + 4 * panel * channels
            scale, out = p[SCALE] + scale_bytes * panel * channels, p[OUT] + panel * channels
            for tile in range(first, last):
                at, to = p[PIXELS] + 8 * tile * pixels, p[PLACES] + 8 * tile * pixels
                taps, tap_count, groups = p[TAPS], p[TAP_COUNT], p[GROUPS]
                if kind == INT8_WIDE:
                    _wide(x, at, taps, tap_count, groups, weights, bias, scale, out, to, low, high, mask, room, sign)
                elif kind == INT8_NARROW:
                    _narrow(x, at, taps, tap_count, groups, weights, bias, scale, out, to, low, high, mask, room, sign)
                else:
                    _pairs(x, at, taps, tap_count, groups, weights, bias, scale, out, to, low, high, mask, room, sign)
                if mode == PACKED:
                    continue
                for m in range(pixels):
                    place = v.word_at(to + 8 * m) + panel * channels
                    sums, width = room + 4 * m * channels, p[CODE_BYTES]
                    if mode != PACKED_AFTER_RESIDUAL:
                        _leave(p, sums, panel, channels, count, place, scale)
                        continue
                    codes, ratio = p[CODES] + width * place, p[RATIO] + 8 * panel * channels
                    if kind == INT8_NARROW:
                        _row32(sums, scale, p[OUT] + place, low, high, mask, codes, width, ratio)
                    else:
                        _row64(sums, scale, p[OUT] + place, low, high, mask, codes, width, ratio)


# compiled when first used: a machine that has 512-bit dots never does
# 256-bit vectors: 12 sums in registers, of 6 pixels x 16 channels
_YMM_BYTES, _YMM_PAIRS = Tile("busd", 8, 6, 2), Tile("madd", 8, 6, 2)
_ymm_bytes, _ymm_pairs, _row16 = tile_kernel(_YMM_BYTES), tile_kernel(_YMM_PAIRS), row_kernel(_YMM_PAIRS)


@numba.njit(nogil=True, error_model="numpy")
def _leave16(
    p: np.ndarray, room: int, panel: int, count: int, to: int, scale: int, low: int, high: int
) -> None:  # fmt: skip
    """Let the six pixels of a 256-bit tile leave, where they do not as int8 codes without a residual."""
    for m in range(6):
        place, width = v.word_at(to + 8 * m) + panel * 16, p[CODE_BYTES]
        if p[MODE] == PACKED_AFTER_RESIDUAL:
            codes, ratio = p[CODES] + width * place, p[RATIO] + 128 * panel
            _row16(room + 64 * m, scale, p[OUT] + place, low, high, np.int64(-1), codes, width, ratio)
        else:
            _leave(p, room + 64 * m, panel, 16, count, place, scale)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def sweep_avx2(p: np.ndarray) -> None:
    """Compute chunks of 256-bit tiles of pairs of int16, exact on every AVX2 machine; see :func:`sweep_avx512`."""
    mode, low, high, sign = p[MODE], p[LOW], p[HIGH], p[SIGN]
    buffer = np.empty(96, np.int32)
    room = buffer.ctypes.data if mode != PACKED else 0
    scale_bytes, parts = 8 if mode == INT16 else 4, p[PANEL_PARTS]
    counter = p.ctypes.data + 8 * COUNTER
    while True:
        chunk = v.taken(counter)
        if chunk >= p[CHUNKS]:
            break
        slices = p[CHUNKS] // parts
        first, last = (chunk // parts) * p[TILES] // slices, (chunk // parts + 1) * p[TILES] // slices
        for panel in range((chunk % parts) * p[PANELS] // parts, (chunk % parts + 1) * p[PANELS] // parts):
            count = p[TAIL] if panel == p[PANELS] - 1 else 16
            x = p[X] + v.word_at(p[SHIFTS] + 8 * panel)
            weights, bias = p[WEIGHTS] + panel * p[PANEL_BYTES], p[BIAS] + 64 * panel
            scale, out = p[SCALE] + scale_bytes * panel * 16, p[OUT] + panel * 16
            for tile in range(first, last):
                at, to = p[PIXELS] + 48 * tile, p[PLACES] + 48 * tile
                _ymm_pairs(
                    x, at, p[TAPS], p[TAP_COUNT], p[GROUPS], weights, bias, scale, out, to, low, high, -1, room, sign
                )
                if mode != PACKED:
                    _leave16(p, room, panel, count, to, scale, low, high)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def sweep_avxvnni(p: np.ndarray) -> None:
    """Compute chunks of 256-bit tiles of four int8; int16 runs as in :func:`sweep_avx2`."""
    mode, low, high, sign = p[MODE], p[LOW], p[HIGH], p[SIGN]
    buffer = np.empty(96, np.int32)
    room = buffer.ctypes.data if mode != PACKED else 0
    scale_bytes, parts = 8 if mode == INT16 else 4, p[PANEL_PARTS]
    counter = p.ctypes.data + 8 * COUNTER
    while True:
        chunk = v.taken(counter)
        if chunk >= p[CHUNKS]:
            break
        slices = p[CHUNKS] // parts
        first, last = (chunk // parts) * p[TILES] // slices, (chunk // parts + 1) * p[TILES] // slices
        for panel in range((chunk % parts) * p[PANELS] // parts, (chunk % parts + 1) * p[PANELS] // parts):
            count = p[TAIL] if panel == p[PANELS] - 1 else 16
            x = p[X] + v.word_at(p[SHIFTS] + 8 * panel)
            weights, bias = p[WEIGHTS] + panel * p[PANEL_BYTES], p[BIAS] + 64 * panel
            scale, out = p[SCALE] + scale_bytes * panel * 16, p[OUT] + panel * 16
            for tile in range(first, last):
                at, to = p[PIXELS] + 48 * tile, p[PLACES] + 48 * tile
                _ymm_bytes(
                    x, at, p[TAPS], p[TAP_COUNT], p[GROUPS], weights, bias, scale, out, to, low, high, -1, room, sign
                )
                if mode != PACKED:
                    _leave16(p, room, panel, count, to, scale, low, high)
