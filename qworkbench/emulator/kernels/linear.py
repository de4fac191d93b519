"""Linear layers and products of two activations: rows of codes against rows of codes."""

from __future__ import annotations

import numpy as np

from qworkbench.emulator.kernels.accumulator import Accumulator, finish
from qworkbench.emulator.kernels.convolution import shifted
from qworkbench.emulator.kernels.dots import INT32_LIMIT, accumulate, largest_code, padded_rows, row_sums
from qworkbench.emulator.kernels.vector.batches import multiply_batches
from qworkbench.emulator.kernels.vector.linear import multiply
from qworkbench.emulator.kernels.vector.product import Forms
from qworkbench.emulator.kernels.views import owned
from qworkbench.errors import EmulationError
from qworkbench.numerics import checks
from qworkbench.numerics.arithmetic import Requantize, Residual


def _products(x: np.ndarray, rows: np.ndarray, start: np.ndarray) -> Accumulator:
    """Return ``x @ rows.T + start`` for x [B, M, K], rows [B, N, K] (or B = 1: shared) and int64 start [N]."""
    batch, count, length = x.shape
    shared, outputs = len(rows) == 1, rows.shape[1]
    sums, magnitude = row_sums(rows.reshape(-1, length))
    reach = largest_code(x) * magnitude + int(np.abs(start).max(initial=0))
    fits = reach < INT32_LIMIT
    narrow = fits and x.dtype == np.int8 and rows.dtype == np.int8
    acc = np.empty((batch, count, outputs), dtype=np.int32 if fits else np.int64)
    right = padded_rows(rows.reshape(-1, length), np.int8 if narrow else np.int16).reshape(len(rows), outputs, -1)
    codes = x.reshape(-1, length)
    left = padded_rows(shifted(owned(codes)), np.uint8) if narrow else padded_rows(codes, np.int16)
    left = left.reshape(batch, count, -1)
    if narrow:
        start = start - 128 * sums.reshape(len(rows), outputs)
    acc[:] = np.atleast_2d(start).astype(acc.dtype)[:, None, :]
    for index in range(batch):
        weights = right[0 if shared else index]
        accumulate(weights, left[index], acc, index * count * outputs, (1, outputs))
    return Accumulator(acc, reach)


def gemm(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None,
    rq: Requantize | None,
    residual: Residual | None = None,
    *,
    forms: Forms | None = None,
) -> tuple[np.ndarray, int]:
    """Linear layer on codes: ``acc = x @ w.T + bias``; see :func:`qworkbench.numerics.reference.gemm`."""
    checks.codes("gemm", x, w)
    if w.ndim != 2 or x.ndim < 1 or x.shape[-1] != w.shape[1]:
        raise EmulationError(f"gemm: weight {w.shape} does not fit input {x.shape}; the weight is (outputs, inputs)")
    start = checks.bias("gemm", bias, w.shape[0])
    found = multiply(x, w, start, rq, residual, forms, (w, bias))
    if found is not None:
        return found, 0
    acc = _products(x.reshape(1, -1, w.shape[1]), w[None], start)
    sums = acc.sums.reshape(*x.shape[:-1], w.shape[0])
    return finish("gemm", Accumulator(sums, acc.reach), -1, rq, residual)


def matmul(a: np.ndarray, b: np.ndarray, rq: Requantize | None) -> tuple[np.ndarray, int]:
    """Product of two activations: ``acc = a @ b``; see :func:`qworkbench.numerics.reference.matmul`."""
    checks.codes("matmul", a, b)
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
        raise EmulationError(f"matmul: shapes {a.shape} and {b.shape} do not multiply")
    if rq is not None:
        checks.requantize("matmul", rq, 1)
    outer = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    found = multiply_batches(a, b, outer, rq)
    if found is not None:
        return found, 0
    left = np.broadcast_to(a, (*outer, *a.shape[-2:])).reshape(-1, *a.shape[-2:])
    right = np.broadcast_to(np.swapaxes(b, -1, -2), (*outer, b.shape[-1], b.shape[-2]))
    acc = _products(left, right.reshape(-1, b.shape[-1], b.shape[-2]), np.zeros(b.shape[-1], np.int64))
    sums = acc.sums.reshape(*outer, a.shape[-2], b.shape[-1])
    return finish("matmul", Accumulator(sums, acc.reach), -1, rq, None)
