"""Tables of 256 bytes in registers, as the processor looks bytes up (:mod:`.x86`, :mod:`.arm`).

Knows addresses only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qworkbench.emulator.kernels.compiled import inner, row_kernel
from qworkbench.emulator.kernels.vector import arm, x86
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import carray, cgutils, intrinsic, types


def _looker(table_of: Callable[[Any, Any], Callable[[Any], Any]], lanes: int, *, masks: bool = True) -> Any:
    """Return the intrinsic that looks so many codes up at once, the last ones one by one without `masks`."""

    @intrinsic
    def looked_up(typing_context: Any, table: Any, source: Any, target: Any, count: Any) -> Any:
        """``target[i] = table[source[i] + 128]`` for `count` int8 codes at these addresses."""

        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            table, source, target, count = args
            kind, found = v.vector(v.i8, lanes), table_of(b, table)
            blocks, rest = b.udiv(count, v.word(lanes)), b.urem(count, v.word(lanes))
            with cgutils.for_range(b, blocks, intp=v.i64) as block:
                at = b.mul(block.index, v.word(lanes))
                v.store(b, found(v.load(b, b.add(source, at), kind)), b.add(target, at))
            if not masks:
                with cgutils.for_range(b, rest, intp=v.i64) as one:
                    at = b.add(b.mul(blocks, v.word(lanes)), one.index)
                    entry = b.add(b.sext(v.load(b, b.add(source, at), v.i8), v.i64), v.word(128))
                    v.store(b, v.load(b, b.add(table, entry), v.i8), b.add(target, at))
                return context.get_dummy_value()
            with b.if_then(b.icmp_signed("!=", rest, v.word(0))):
                at = b.mul(blocks, v.word(lanes))
                mask = b.sub(b.shl(v.word(1), rest), v.word(1))
                codes = v.masked_load(b, b.add(source, at), kind, mask)
                v.masked_store(b, found(codes), b.add(target, at), mask)
            return context.get_dummy_value()

        return types.void(*([types.int64] * 4)), generate

    return looked_up


_by64, _by32 = _looker(x86.table_of, 64), _looker(x86.table_by_nibbles, 32, masks=False)
_by16 = _looker(arm.table_of, 16)
SOURCE, IMAGE, ROW, TABLE, TARGET, TO_IMAGE, TO_ROW, IMAGES, ROWS, LENGTH, FROM, TO, WORDS = range(13)


@inner
def line_of(p: Any, n: int, r: int) -> tuple[int, int]:
    """Return where a line of codes begins, and where it leads to."""
    return p[SOURCE] + n * p[IMAGE] + r * p[ROW], p[TARGET] + n * p[TO_IMAGE] + r * p[TO_ROW]


@row_kernel
def look_up_avx512(row: int) -> None:
    """Write ``table[code + 128]`` of int8 codes in lines of LENGTH; addresses and steps in bytes."""
    p = carray(v.int64_at(row), WORDS)
    for n in range(p[IMAGES]):
        for r in range(p[ROWS]):
            source, target = line_of(p, n, r)
            _by64(p[TABLE], source, target, p[LENGTH])


@row_kernel
def look_up_avx2(row: int) -> None:
    """Do the same, 32 codes at once."""
    p = carray(v.int64_at(row), WORDS)
    for n in range(p[IMAGES]):
        for r in range(p[ROWS]):
            source, target = line_of(p, n, r)
            _by32(p[TABLE], source, target, p[LENGTH])


@row_kernel
def look_up_neon(row: int) -> None:
    """Do the same, 16 codes at once."""
    p = carray(v.int64_at(row), WORDS)
    for n in range(p[IMAGES]):
        for r in range(p[ROWS]):
            source, target = line_of(p, n, r)
            _by16(p[TABLE], source, target, p[LENGTH])
