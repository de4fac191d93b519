"""Means of rows of floats, added in the order of a vector library: in lanes, four vectors at a time, then lane by lane.

float32 sums depend on their order in the last bits, so the order is part of what this computes. Whose it is, and how
many lanes, is the caller's business.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qworkbench.emulator.kernels.calls import RESULT, Call, note, perform
from qworkbench.emulator.kernels.compiled import row_kernel
from qworkbench.emulator.kernels.values import new_array
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import cgutils, intrinsic, types

X, OUT, ROWS, LENGTH, LANES = range(5)
SUMS = 4  # vectors that are added side by side
FLOAT = 4  # bytes


def _adder(lanes: int) -> Any:
    """Return the intrinsic that writes the mean of `length` numbers at `x`, in so many lanes."""

    @intrinsic
    def mean(typing_context: Any, x: Any, length: Any, out: Any) -> Any:
        """``vector[k] = x[k] + x[k + 4] + ...`` of whole vectors in fours, the rest to vector 0, then 1 to 3 to it.

        The sum is 0, plus what lies behind whole vectors, plus each lane of vector 0.
        """

        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            x, length, out = args
            kind, size = v.vector(v.f32, lanes), v.word(FLOAT * lanes)
            zero = v.constant(kind, [0.0] * lanes)
            sums = [cgutils.alloca_once_value(b, zero) for _ in range(SUMS)]
            total = cgutils.alloca_once_value(b, v.constant(v.f32, 0.0))
            here = cgutils.alloca_once_value(b, x)

            def more(rooms: list[Any], count: Any) -> None:
                with cgutils.for_range(b, count, intp=v.i64):
                    for room in rooms:
                        b.store(b.fadd(b.load(room), v.load(b, b.load(here), kind, FLOAT)), room)
                        b.store(b.add(b.load(here), size), here)

            vectors = b.udiv(length, v.word(lanes))
            more(sums, b.udiv(vectors, v.word(SUMS)))
            more(sums[:1], b.urem(vectors, v.word(SUMS)))
            first = b.load(sums[0])
            for room in sums[1:]:
                first = b.fadd(first, b.load(room))
            with cgutils.for_range(b, b.urem(length, v.word(lanes)), intp=v.i64) as rest:
                number = v.load(b, b.add(b.load(here), b.mul(rest.index, v.word(FLOAT))), v.f32, FLOAT)
                b.store(b.fadd(b.load(total), number), total)
            whole = b.load(total)
            for lane in range(lanes):
                whole = b.fadd(whole, b.extract_element(first, v.constant(v.i32, lane)))
            v.store(b, b.fdiv(whole, b.uitofp(length, v.f32)), out, FLOAT)
            return context.get_dummy_value()

        return types.void(*([types.int64] * 3)), generate

    return mean


LANES_OF = (8, 16)
_mean8, _mean16 = (_adder(lanes) for lanes in LANES_OF)


@row_kernel
def _means(row: int) -> None:
    """``out[r] = sum(x[r]) / LENGTH``."""
    p = v.int64_at(row)
    length = p[LENGTH]
    for r in range(p[ROWS]):
        x, out = p[X] + FLOAT * r * length, p[OUT] + FLOAT * r
        if p[LANES] == 8:
            _mean8(x, length, out)
        else:
            _mean16(x, length, out)


def means(x: np.ndarray, shape: tuple[int, ...], length: int, lanes: int) -> np.ndarray:
    """Return the means of every `length` adjacent numbers of the C-contiguous float32 `x`, as `shape`."""
    out = new_array(shape, np.float32)
    row = np.array((0, 0, out.size, length, lanes))
    call = Call(_means, row, ((X, 0, 0), (OUT, RESULT, 0)))
    perform(call, (x.ctypes.data,), out.ctypes.data)
    note((x,), (out,), (call,), None)
    return out
