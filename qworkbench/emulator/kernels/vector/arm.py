"""What AArch64 does in one instruction and others do not: dots of codes, rounding to integers, saturating packs.

A vector has 4 int32, 128 bits; longer ones of floats are taken apart by the compiler. :mod:`.x86` has the same names;
:mod:`.machine` knows which of them writes what. Knows no convolution and no layout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import call, constant, i8, i16, i32, i64, shuffled, vector

FEATURES = {"sdot": "+dotprod", "smmla": "+dotprod,+i8mm"}
"""What the function around a dot of bytes is compiled for (:func:`.ir.apart`): LLVM does not know every processor."""


def dotted(b: Any, dot: str, acc: Any, pixel: Any, weight: Any) -> Any:
    """Return `acc` plus products of signed bytes.

    ``sdot``: 4 bytes of pixel with 4 bytes of weight, in every lane. ``smmla``: ``acc[i, j] + sum over k < 8 of
    pixel[i, k] * weight[j, k]``, for 2 x 2 int32 and 2 x 8 bytes each.
    """
    pixel, weight = (b.bitcast(value, vector(i8, 16)) for value in (pixel, weight))
    operands = (pixel, weight) if dot == "smmla" else (weight, pixel)  # a lane is named of the last one
    return call(b, f"aarch64.neon.{dot}.v4i32.v16i8", acc.type, [acc, *operands])


def looked_up(b: Any, codes: Any, order: Any) -> Any:
    """Return the bytes of `codes` in an `order` that holds places within 128 bits."""
    return call(b, "aarch64.neon.tbl1.v16i8", codes.type, [codes, order])


def table_of(b: Any, address: Any) -> Callable[[Any], Any]:
    """Return what looks 16 codes up in the 256 bytes at an address, held in registers; entry 0 is that of -128."""
    kind = vector(i8, 16)
    quarters = [[v.load(b, b.add(address, v.word(64 * i + 16 * j)), kind) for j in range(4)] for i in range(4)]
    sign, step = (constant(kind, [number] * 16) for number in (0x80, 64))

    def found(codes: Any) -> Any:
        place = b.xor(codes, sign)
        entry = call(b, "aarch64.neon.tbl4.v16i8", kind, [*quarters[0], place])
        for quarter in quarters[1:]:
            place = b.sub(place, step)  # an index that is too large, or below 0, changes nothing
            entry = call(b, "aarch64.neon.tbx4.v16i8", kind, [entry, *quarter, place])
        return entry

    return found


def nearest(b: Any, value: Any) -> Any:
    """Return a float32 vector rounded half to even as int32; out of range saturates."""
    return call(b, "aarch64.neon.fcvtns.v4i32.v4f32", vector(i32, 4), [value])


def nearest_of_double(b: Any, value: Any) -> Any:
    """Return a float64 vector of 4 lanes rounded half to even as int32; undefined out of range."""
    halves = [shuffled(b, value, value, range(2 * i, 2 * i + 2)) for i in range(2)]
    parts = [call(b, "aarch64.neon.fcvtns.v2i64.v2f64", vector(i64, 2), [half]) for half in halves]
    return b.trunc(shuffled(b, parts[0], parts[1], range(4)), vector(i32, 4))


def packed(b: Any, vectors: Sequence[Any]) -> Any:
    """Return int32 vectors as one vector of int8 in their order, saturating."""
    pairs = [packed_pair(b, vectors[i : i + 2]) for i in range(0, len(vectors), 2)]
    codes = [call(b, "aarch64.neon.sqxtn.v8i8", vector(i8, 8), [pair]) for pair in pairs]
    return codes[0] if len(codes) == 1 else shuffled(b, codes[0], codes[1], range(16))


packed_by_quads = packed  # a vector is 128 bits


def packed_pair(b: Any, vectors: Sequence[Any]) -> Any:
    """Return two int32 vectors as int16 in their order, saturating."""
    halves = [call(b, "aarch64.neon.sqxtn.v4i16", vector(i16, 4), [value]) for value in vectors]
    return shuffled(b, halves[0], halves[1], range(8))
