"""What happens to an accumulator before it leaves: the fused second operand, counted overflow, one requantize."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qworkbench.emulator.kernels.compiled import kernel
from qworkbench.emulator.kernels.rescale import requantize
from qworkbench.emulator.kernels.views import owned, rows_of
from qworkbench.numerics import checks
from qworkbench.numerics.arithmetic import Requantize, Residual
from qworkbench.numerics.reference.accumulate import RESIDUAL_LIMIT

INT32_LIMIT = 2**31


@dataclass(frozen=True, slots=True, eq=False)
class Accumulator:
    """Exact sums and the proven bound of their magnitude; int32 only where `reach` < 2**31."""

    sums: np.ndarray
    reach: int


@kernel()
def _enter(acc: np.ndarray, codes: np.ndarray, ratio: np.ndarray, per_element: bool) -> None:
    """``acc += rint(float64(code) * ratio)``, ratio by row or by element as in requantize; saturates at 2**62."""
    whole = acc.dtype.type
    limit = RESIDUAL_LIMIT
    for row in range(acc.shape[0]):
        r = ratio[row % ratio.size]
        for i in range(acc.shape[1]):
            y = np.float64(codes[row, i]) * (ratio[i] if per_element else r)
            y = -limit if y < -limit else y
            y = limit if y > limit else y
            acc[row, i] += whole(np.rint(y))


def finish(
    owner: str, acc: Accumulator, axis: int, rq: Requantize | None, residual: Residual | None
) -> tuple[np.ndarray, int]:
    """Add the residual, count int32 overflow, wrap, requantize along `axis`; return the result and the count."""
    sums, channels = acc.sums, acc.sums.shape[axis]
    if residual is not None:
        ratio = checks.residual(owner, residual, sums.shape, channels)
        entering = 32768.0 * float(ratio.max()) + 1.0
        if sums.dtype == np.int32 and acc.reach + entering >= INT32_LIMIT:
            sums = sums.astype(np.int64)
        view, per_element = rows_of(sums.shape, ratio.size, axis)
        _enter(sums.reshape(view), owned(residual.codes).reshape(view), ratio.copy(), per_element)
    overflow = 0
    if sums.dtype == np.int64:
        wrapped = sums.astype(np.int32)
        overflow = int(np.count_nonzero(wrapped != sums))
        sums = wrapped
    if rq is None:
        return sums, overflow
    checks.requantize(owner, rq, channels)
    return requantize(sums, rq, axis), overflow
