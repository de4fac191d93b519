"""A table of 256 bytes held in four 512-bit registers: one permutation for each half of it, chosen by the sign.

Knows lines only (:mod:`qworkbench.emulator.kernels.lines`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qworkbench.emulator.kernels.compiled import kernel
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import cgutils, intrinsic, types

_LANES = 64


@intrinsic
def _permuted(typing_context: Any, table: Any, source: Any, target: Any, count: Any) -> Any:
    """``target[i] = table[source[i] mod 256]`` for `count` bytes at these addresses."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        table, source, target, count = args
        kind = v.vector(v.i8, _LANES)
        parts = [v.load(b, b.add(table, v.word(_LANES * i)), kind) for i in range(4)]
        zero = v.constant(kind, None)

        def found(codes: Any) -> Any:
            name = "x86.avx512.vpermi2var.qi.512"
            below = v.call(b, name, kind, [parts[0], codes, parts[1]])
            above = v.call(b, name, kind, [parts[2], codes, parts[3]])
            return b.select(b.icmp_signed("<", codes, zero), above, below)

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


@kernel()
def look_up_avx512(q: np.ndarray, at: Any, table: np.ndarray, out: np.ndarray, to: Any, span: Any) -> None:
    """``out = table[q mod 256]`` for int8 q, out and table."""
    images, rows, length = span
    codes, results, entries = q.ctypes.data, out.ctypes.data, table.ctypes.data
    for n in range(images):
        for r in range(rows):
            here, there = at[0] + n * at[1] + r * at[2], to[0] + n * to[1] + r * to[2]
            _permuted(entries, codes + here, results + there, length)
