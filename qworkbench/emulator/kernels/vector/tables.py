"""A table of 256 bytes held in four 512-bit registers: one permutation for each half of it, chosen by the sign.

Knows addresses only.
"""

from __future__ import annotations

from typing import Any

from qworkbench.emulator.kernels.compiled import row_kernel
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import carray, cgutils, intrinsic, types

_LANES = 64


@intrinsic
def _permuted(typing_context: Any, table: Any, source: Any, target: Any, count: Any) -> Any:
    """``target[i] = table[source[i] + 128]`` for `count` int8 codes at these addresses."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        table, source, target, count = args
        kind = v.vector(v.i8, _LANES)
        parts = [v.load(b, b.add(table, v.word(_LANES * i)), kind) for i in range(4)]
        zero = v.constant(kind, None)

        def found(codes: Any) -> Any:
            name = "x86.avx512.vpermi2var.qi.512"
            below = v.call(b, name, kind, [parts[0], codes, parts[1]])
            above = v.call(b, name, kind, [parts[2], codes, parts[3]])
            return b.select(b.icmp_signed("<", codes, zero), below, above)  # the index is code mod 128 in its half

        blocks = b.lshr(count, v.word(6))
        with cgutils.for_range(b, blocks, intp=v.i64) as block:
            at = b.shl(block.index, v.word(6))
            v.store(b, found(v.load(b, b.add(source, at), kind)), b.add(target, at))
        rest = b.and_(count, v.word(_LANES - 1))
        with b.if_then(b.icmp_signed("!=", rest, v.word(0))):
            at = b.shl(blocks, v.word(6))
            mask = b.sub(b.shl(v.word(1), rest), v.word(1))
            bits = b.bitcast(mask, v.vector(v.i1, _LANES))
            pointer = b.inttoptr(b.add(source, at), kind.as_pointer())
            codes = v.call(b, "masked.load.v64i8.p0", kind, [pointer, v.constant(v.i32, 1), bits, zero])
            v.masked_store(b, found(codes), b.add(target, at), mask)
        return context.get_dummy_value()

    return types.void(*([types.int64] * 4)), generate


SOURCE, IMAGE, ROW, TABLE, TARGET, TO_IMAGE, TO_ROW, IMAGES, ROWS, LENGTH, WORDS = range(11)


@row_kernel
def look_up_avx512(row: int) -> None:
    """Write ``table[code + 128]`` of int8 codes in lines of LENGTH; addresses and steps in bytes."""
    p = carray(v.int64_at(row), WORDS)
    for n in range(p[IMAGES]):
        for r in range(p[ROWS]):
            source, target = p[SOURCE] + n * p[IMAGE] + r * p[ROW], p[TARGET] + n * p[TO_IMAGE] + r * p[TO_ROW]
            _permuted(p[TABLE], source, target, p[LENGTH])
