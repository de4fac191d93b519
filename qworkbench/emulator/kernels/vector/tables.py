"""Tables of 256 bytes in registers, as the processor looks bytes up (:func:`.x86.table_of`, :func:`.arm.table_of`).

Knows addresses only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qworkbench.emulator.kernels.compiled import inner, row_kernel
from qworkbench.emulator.kernels.vector import arm, x86
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import carray, cgutils, intrinsic, types


def _looker(table_of: Callable[[Any, Any], Callable[[Any], Any]], lanes: int) -> Any:
    """Return the intrinsic that looks so many codes up at once."""

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
            with b.if_then(b.icmp_signed("!=", rest, v.word(0))):
                at = b.mul(blocks, v.word(lanes))
                mask = b.sub(b.shl(v.word(1), rest), v.word(1))
                codes = v.masked_load(b, b.add(source, at), kind, mask)
                v.masked_store(b, found(codes), b.add(target, at), mask)
            return context.get_dummy_value()

        return types.void(*([types.int64] * 4)), generate

    return looked_up


_by64, _by16 = _looker(x86.table_of, 64), _looker(arm.table_of, 16)
SOURCE, IMAGE, ROW, TABLE, TARGET, TO_IMAGE, TO_ROW, IMAGES, ROWS, LENGTH, WORDS = range(11)


@inner
def _line(p: Any, n: int, r: int) -> tuple[int, int]:
    """Return where a line of codes begins, and where it leads to."""
    return p[SOURCE] + n * p[IMAGE] + r * p[ROW], p[TARGET] + n * p[TO_IMAGE] + r * p[TO_ROW]


@row_kernel
def look_up_avx512(row: int) -> None:
    """Write ``table[code + 128]`` of int8 codes in lines of LENGTH; addresses and steps in bytes."""
    p = carray(v.int64_at(row), WORDS)
    for n in range(p[IMAGES]):
        for r in range(p[ROWS]):
            source, target = _line(p, n, r)
            _by64(p[TABLE], source, target, p[LENGTH])


@row_kernel
def look_up_neon(row: int) -> None:
    """Do the same, 16 codes at once."""
    p = carray(v.int64_at(row), WORDS)
    for n in range(p[IMAGES]):
        for r in range(p[ROWS]):
            source, target = _line(p, n, r)
            _by16(p[TABLE], source, target, p[LENGTH])
