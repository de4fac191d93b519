"""The sums that distances are made of, in one pass: 16 partial sums side by side, held in registers, in float64.

Products of two float32 are exact in float64, so only additions round, and their order is the same on every processor.
Knows runs of memory only; which run lies beside which is the caller's business.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir

from qworkbench.emulator.kernels.compiled import kernel
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import cgutils, intrinsic, types

LANES = 16
SUMS = 7
"""Sum ab, sum a^2, sum b^2, sum |d|, sum d^2, max |d|, max |d| / |a|: one row of lanes each."""

_REAL = v.vector(v.f64, LANES)


def _run(element: Any) -> Any:
    """Return the intrinsic that adds `count` adjacent pairs to the lanes; the second numbers are `element`."""
    real = isinstance(element, ir.FloatType)
    size = 4 if real else element.width // 8

    def doubled(b: Any, first: Any, second: Any, scale: Any) -> tuple[Any, Any]:
        single = v.vector(v.f32, LANES)
        numbers = second if real else b.sitofp(second, single)
        return b.fpext(first, _REAL), b.fpext(b.fmul(numbers, scale), _REAL)

    def added(b: Any, x: Any, y: Any, rooms: list[Any]) -> None:
        def fabs(value: Any) -> Any:
            return v.call(b, f"fabs.v{LANES}f64", _REAL, [value])

        distance = fabs(b.fsub(x, y))
        for room, term in zip(rooms, (b.fmul(x, y), b.fmul(x, x), b.fmul(y, y), distance), strict=False):
            b.store(b.fadd(b.load(room), term), room)
        b.store(b.fadd(b.load(rooms[4]), b.fmul(distance, distance)), rooms[4])
        top = b.load(rooms[5])
        b.store(b.select(b.fcmp_ordered(">", distance, top), distance, top), rooms[5])
        size_of_x, relative = fabs(x), b.load(rooms[6])
        above = b.fcmp_ordered(">", distance, b.fmul(relative, size_of_x))
        with b.if_then(b.icmp_unsigned("!=", b.bitcast(above, v.i16), v.constant(v.i16, 0)), likely=False):
            ratio = b.fdiv(distance, size_of_x)  # 0 / 0 is NaN, which no comparison takes
            b.store(b.select(b.fcmp_ordered(">", ratio, relative), ratio, relative), rooms[6])

    @intrinsic
    def run(typing_context: Any, reference: Any, other: Any, count: Any, scale: Any, lanes: Any) -> Any:
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            reference, other, count, scale, lanes = args
            single, kind = v.vector(v.f32, LANES), v.vector(element, LANES)
            factor = v.splat(b, scale, LANES)
            rooms = [cgutils.alloca_once(b, _REAL) for _ in range(SUMS)]
            for i, room in enumerate(rooms):
                b.store(v.load(b, b.add(lanes, v.word(8 * LANES * i)), _REAL, 8), room)
            blocks = b.lshr(count, v.word(4))
            with cgutils.for_range(b, blocks, intp=v.i64) as block:
                x = v.load(b, b.add(reference, b.shl(block.index, v.word(6))), single, 4)
                y = v.load(b, b.add(other, b.mul(block.index, v.word(LANES * size))), kind, size)
                added(b, *doubled(b, x, y, factor), rooms)
            rest = b.and_(count, v.word(LANES - 1))
            with b.if_then(b.icmp_signed("!=", rest, v.word(0))):
                mask = b.sub(b.shl(v.word(1), rest), v.word(1))
                bits = b.bitcast(b.trunc(mask, v.i16), v.vector(v.i1, LANES))

                def masked(address: Any, kind: Any, name: str, align: int) -> Any:
                    given = [b.inttoptr(address, kind.as_pointer()), v.constant(v.i32, align), bits]
                    return v.call(b, f"masked.load.v{LANES}{name}.p0", kind, [*given, v.constant(kind, None)])

                x = masked(b.add(reference, b.shl(blocks, v.word(6))), single, "f32", 4)
                named = "f32" if real else f"i{element.width}"
                y = masked(b.add(other, b.mul(blocks, v.word(LANES * size))), kind, named, size)
                added(b, *doubled(b, x, y, factor), rooms)
            for i, room in enumerate(rooms):
                v.store(b, b.load(room), b.add(lanes, v.word(8 * LANES * i)), 8)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.int64, types.float32, types.int64), generate

    return run


_run8, _run16, _run_real = _run(v.i8), _run(v.i16), _run(v.f32)

_SIGNATURE = "void(int64, int64, int64[::1], int64[::1], int64[::1], float32, float64[:, ::1])"


@kernel(_SIGNATURE)
def add_int8(
    reference: int, other: int, span: np.ndarray, step: np.ndarray, at: np.ndarray, scale: np.float32, lanes: np.ndarray
) -> None:
    """Add runs of float32 against int8 to `lanes` (SUMS, LANES).

    `span` tells how many images, lines and runs of a line there are, and the numbers of a run; `step` and `at` the
    bytes between them in the reference and in the other operand, which counts in `scale`.
    """
    for n in range(span[0]):
        for h in range(span[1]):
            here, there = reference + n * step[0] + h * step[1], other + n * at[0] + h * at[1]
            for w in range(span[2]):
                _run8(here + w * step[2], there + w * at[2], span[3], scale, lanes.ctypes.data)


@kernel(_SIGNATURE)
def add_int16(
    reference: int, other: int, span: np.ndarray, step: np.ndarray, at: np.ndarray, scale: np.float32, lanes: np.ndarray
) -> None:
    """Add runs of float32 against int16; see :func:`add_int8`."""
    for n in range(span[0]):
        for h in range(span[1]):
            here, there = reference + n * step[0] + h * step[1], other + n * at[0] + h * at[1]
            for w in range(span[2]):
                _run16(here + w * step[2], there + w * at[2], span[3], scale, lanes.ctypes.data)


@kernel(_SIGNATURE)
def add_float32(
    reference: int, other: int, span: np.ndarray, step: np.ndarray, at: np.ndarray, scale: np.float32, lanes: np.ndarray
) -> None:
    """Add runs of float32 against float32; see :func:`add_int8`."""
    for n in range(span[0]):
        for h in range(span[1]):
            here, there = reference + n * step[0] + h * step[1], other + n * at[0] + h * at[1]
            for w in range(span[2]):
                _run_real(here + w * step[2], there + w * at[2], span[3], scale, lanes.ctypes.data)
