"""What x86 does in one instruction and others do not: dots of codes, rounding to integers, saturating packs.

Vectors of 8 int32 are AVX2's, of 16 are AVX-512's. :mod:`.arm` has the same names; :mod:`.machine` knows which of them
writes what. Knows no convolution and no layout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import call, constant, i8, i16, i32, shuffled, splat, vector


def dotted(b: Any, dot: str, acc: Any, pixel: Any, weight: Any) -> Any:
    """Return `acc` plus the products of 32 bits of pixel with 32 bits of weight, in every lane."""
    lanes = acc.type.count
    if dot == "madd":
        pairs = vector(i16, 2 * lanes)
        name = "x86.avx2.pmadd.wd" if lanes == 8 else "x86.avx512.pmaddw.d.512"
        return b.add(acc, call(b, name, acc.type, [b.bitcast(pixel, pairs), b.bitcast(weight, pairs)]))
    return call(b, f"x86.avx512.vpdp{dot}.{32 * lanes}", acc.type, [acc, pixel, weight])


def looked_up(b: Any, codes: Any, order: Any) -> Any:
    """Return the bytes of `codes` in an `order` that holds places within each 128 bits."""
    name = "x86.avx512.pshuf.b.512" if codes.type.count == 64 else "x86.avx2.pshuf.b"
    return call(b, name, codes.type, [codes, order])


def table_of(b: Any, address: Any) -> Callable[[Any], Any]:
    """Return what looks 64 codes up in the 256 bytes at an address, held in registers; entry 0 is that of -128."""
    kind = vector(i8, 64)
    parts, zero = [v.load(b, b.add(address, v.word(64 * i)), kind) for i in range(4)], constant(kind, None)

    def found(codes: Any) -> Any:
        halves = (
            call(b, "x86.avx512.vpermi2var.qi.512", kind, [one, codes, two]) for one, two in (parts[:2], parts[2:])
        )
        return b.select(b.icmp_signed("<", codes, zero), *halves)  # the index is code mod 128 in its half

    return found


def table_by_nibbles(b: Any, address: Any) -> Callable[[Any], Any]:
    """Return the same for 32 codes without AVX-512: 16 entries at a time, each further bit halves what is left."""
    kind, count = vector(i8, 32), 16
    quarters = [v.load(b, b.add(address, v.word(count * i)), vector(i8, count)) for i in range(16)]
    parts = [shuffled(b, one, one, [*range(count)] * 2) for one in quarters]
    zero, nibble = constant(kind, None), splat(b, constant(i8, 15), 32)

    def found(codes: Any) -> Any:
        order, words = b.and_(codes, nibble), b.bitcast(codes, vector(i16, 16))
        left = [looked_up(b, part, order) for part in parts]
        for bit in (4, 5, 6, 7):
            moved = b.bitcast(b.shl(words, splat(b, constant(i16, 7 - bit), 16)), kind)
            set_, halves = b.icmp_signed("<", moved, zero), (left[::2], left[1::2])
            if bit == 7:
                set_ = b.not_(set_)  # negative codes come first
            left = [b.select(set_, one, other) for other, one in zip(*halves, strict=True)]
        return left[0]

    return found


def nearest(b: Any, value: Any) -> Any:
    """Return a float32 vector rounded half to even as int32; out of range gives -2**31."""
    lanes = value.type.count
    kind = vector(i32, lanes)
    if lanes == 8:
        return call(b, "x86.avx.cvt.ps2dq.256", kind, [value])
    everywhere, current = constant(i16, -1), constant(i32, 4)
    return call(b, "x86.avx512.mask.cvtps2dq.512", kind, [value, v.undefined(kind), everywhere, current])


def nearest_of_double(b: Any, value: Any) -> Any:
    """Return a float64 vector rounded half to even as int32; out of range gives -2**31."""
    lanes = value.type.count
    everywhere, current = constant(i8, -1), constant(i32, 4)
    if lanes == 8:
        halves = [shuffled(b, value, value, range(4 * i, 4 * i + 4)) for i in range(2)]
        parts = [call(b, "x86.avx.cvt.pd2dq.256", vector(i32, 4), [half]) for half in halves]
    else:
        eight = vector(i32, 8)
        halves = [shuffled(b, value, value, range(8 * i, 8 * i + 8)) for i in range(2)]
        given = (v.undefined(eight), everywhere, current)
        parts = [call(b, "x86.avx512.mask.cvtpd2dq.512", eight, [half, *given]) for half in halves]
    return shuffled(b, parts[0], parts[1], range(lanes))


def packed(b: Any, vectors: Sequence[Any]) -> Any:
    """Return int32 vectors as one vector of int8 in their order, saturating."""
    lanes, count = vectors[0].type.count, len(vectors)
    if lanes == 16 and count == 4:
        mixed = b.bitcast(packed_by_quads(b, vectors), vector(i32, 16))
        return b.bitcast(shuffled(b, mixed, mixed, [i % 4 * 4 + i // 4 for i in range(16)]), vector(i8, 64))
    if lanes == 16 and count == 2:
        half = packed_pair(b, vectors)
        mixed = b.bitcast(call(b, "x86.avx512.packsswb.512", vector(i8, 64), [half, half]), vector(i32, 16))
        return b.bitcast(shuffled(b, mixed, mixed, [i % 4 * 4 + i // 4 for i in range(8)]), vector(i8, 32))
    whole = v.joined(b, vectors)
    total = whole.type.count
    limits = (splat(b, constant(i32, limit), total) for limit in (-128, 127))
    return b.trunc(v.clamped(b, whole, *limits), vector(i8, total))


def packed_by_quads(b: Any, vectors: Sequence[Any]) -> Any:
    """Return four int32 vectors as int8, saturating: of each 128 bits, four lanes of the first, four of the next."""
    halves = [packed_pair(b, vectors[i : i + 2]) for i in (0, 2)]
    return call(b, "x86.avx512.packsswb.512", vector(i8, 64), halves)


def packed_pair(b: Any, vectors: Sequence[Any]) -> Any:
    """Return two int32 vectors as int16, saturating: of each 128 bits, four lanes of the first, four of the other."""
    lanes = vectors[0].type.count
    name = "x86.avx512.packssdw.512" if lanes == 16 else "x86.avx2.packssdw"
    return call(b, name, vector(i16, 2 * lanes), vectors)
