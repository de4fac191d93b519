"""Which exact sums an int32 does not hold, or might not once a residual is added: told from the sums before they wrap.

A residual adds at most a margin. What is no nearer to the ends of int32 than that stays inside whatever is added; what
is nearer is counted as well, and whoever finds such sums computes them in full.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from qworkbench.emulator.kernels.vector import ir as v


def beyond_int32(b: Any, exact: Any, margin: Any) -> Any:
    """Return as int64 how many lanes of the int64 vector `exact` are not in int32, or nearer to its ends than `margin`.

    `margin` is an int64 below 2**31.
    """
    lanes = exact.type.count
    low, width = (b.sub(v.word(size), b.mul(margin, v.word(n))) for size, n in ((1 << 31, 1), (1 << 32, 2)))
    found = b.icmp_unsigned(">=", b.add(exact, v.splat(b, low, lanes)), v.splat(b, width, lanes))
    return v.call(b, "ctpop.i64", v.i64, [b.zext(b.bitcast(found, ir.IntType(lanes)), v.i64)])
