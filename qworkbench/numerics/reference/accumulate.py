"""Multiply-accumulate operators: an exact integer sum, int32 with counted overflow, one requantize.

``acc = sum(q_x * q_w) + q_b (+ residual)``; the sum is formed in int64, so that overflow of the int32 accumulator can
be counted; the accumulator then wraps as two's complement. Plain numpy, written to be read.
"""

from __future__ import annotations

import numpy as np

from qworkbench.errors import EmulationError
from qworkbench.numerics import checks
from qworkbench.numerics.arithmetic import ConvGeometry, Requantize, Residual
from qworkbench.numerics.reference.rescale import requantize

RESIDUAL_LIMIT = 2.0**62


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the exact ``a @ b`` of integer arrays as int64.

    In float64 where every partial sum is a whole number below 2**53, hence exact in any order.
    """
    depth = a.shape[-1]
    if float(np.abs(a).max(initial=0)) * float(np.abs(b).max(initial=0)) * depth < 2.0**53:
        return np.asarray((a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64))
    return np.asarray(a @ b)


def _finish(
    owner: str, acc: np.ndarray, axis: int, rq: Requantize | None, residual: Residual | None
) -> tuple[np.ndarray, int]:
    """Add the residual, count int32 overflow, wrap, requantize."""
    channels = acc.shape[axis]
    if residual is not None:
        ratio = checks.residual(owner, residual, acc.shape, channels)
        shape = [1] * acc.ndim
        shape[axis] = ratio.size
        entering = np.rint(residual.codes.astype(np.float64) * ratio.reshape(shape))
        acc = acc + np.clip(entering, -RESIDUAL_LIMIT, RESIDUAL_LIMIT).astype(np.int64)
    wrapped = acc.astype(np.int32)
    overflow = int(np.count_nonzero(wrapped != acc))
    if rq is None:
        return wrapped, overflow
    checks.requantize(owner, rq, channels)
    return requantize(wrapped, rq, axis), overflow


def conv2d(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None,
    geometry: ConvGeometry,
    rq: Requantize | None,
    residual: Residual | None = None,
) -> tuple[np.ndarray, int]:
    """Convolve codes: ``acc = sum(x * w) + bias``, then requantize.

    Parameters
    ----------
    x : numpy.ndarray
        int8 or int16, (N, C, H, W). Padding is code 0.
    w : numpy.ndarray
        int8 or int16, (O, C / group, kh, kw).
    bias : numpy.ndarray or None
        int32, (O,), in units of ``s_x * s_w[c]``.
    geometry : ConvGeometry
    rq : Requantize or None
        Multiplier (1,) or (O,). None: the output is the int32 accumulator (a tail convolution).
    residual : Residual or None
        Second operand of a fused Add, shape of the output.

    Returns
    -------
    y : numpy.ndarray
        (N, O, OH, OW), codes of ``rq.dtype`` or int32.
    overflow : int
        How many int32 accumulators overflowed (and wrapped).
    """
    checks.convolution("conv2d", x, w, geometry)
    batch, _, height, width = x.shape
    outputs, group = w.shape[0], geometry.group
    top, left, bottom, right = geometry.pads
    padded = np.pad(x.astype(np.int64), ((0, 0), (0, 0), (top, bottom), (left, right)))
    out_h, out_w = geometry.output_size(height, width)
    acc = np.zeros((batch, group, outputs // group, out_h * out_w), dtype=np.int64)
    weight = w.astype(np.int64).reshape(group, outputs // group, w.shape[1], *w.shape[2:])
    for i in range(w.shape[2]):
        for j in range(w.shape[3]):
            row, column = i * geometry.dilations[0], j * geometry.dilations[1]
            seen = padded[
                :,
                :,
                row : row + (out_h - 1) * geometry.strides[0] + 1 : geometry.strides[0],
                column : column + (out_w - 1) * geometry.strides[1] + 1 : geometry.strides[1],
            ]
            acc += _product(weight[:, :, :, i, j], seen.reshape(batch, group, w.shape[1], out_h * out_w))
    acc = acc.reshape(batch, outputs, out_h, out_w)
    return _finish("conv2d", acc + checks.bias("conv2d", bias, outputs)[:, None, None], 1, rq, residual)


def conv_transpose2d(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None,
    geometry: ConvGeometry,
    rq: Requantize | None,
    residual: Residual | None = None,
) -> tuple[np.ndarray, int]:
    """Transposed convolution of codes: every input pixel adds ``x * w`` to a window of the accumulator.

    `w` is (C, O / group, kh, kw); ``geometry.output_padding`` adds rows and columns at the end. Otherwise as
    :func:`conv2d`.
    """
    checks.convolution("conv_transpose2d", x, w, geometry, transposed=True)
    batch, inputs, height, width = x.shape
    group, per_group = geometry.group, w.shape[1]
    (stride_h, stride_w), (step_h, step_w) = geometry.strides, geometry.dilations
    top, left, _, _ = geometry.pads
    out_h, out_w = geometry.transposed_output_size(height, width)
    # room for every tap, also those that fall into the padding; cropped at the end
    room_h = max((height - 1) * stride_h + step_h * (w.shape[2] - 1) + 1, top + out_h)
    room_w = max((width - 1) * stride_w + step_w * (w.shape[3] - 1) + 1, left + out_w)
    room = np.zeros((batch, group * per_group, room_h, room_w), dtype=np.int64)
    weight = w.astype(np.int64).reshape(group, inputs // group, per_group, *w.shape[2:])
    pixels = x.astype(np.int64).reshape(batch, group, inputs // group, height * width)
    for i in range(w.shape[2]):
        for j in range(w.shape[3]):
            part = _product(weight[:, :, :, i, j].transpose(0, 2, 1), pixels)
            room[
                :,
                :,
                i * step_h : i * step_h + (height - 1) * stride_h + 1 : stride_h,
                j * step_w : j * step_w + (width - 1) * stride_w + 1 : stride_w,
            ] += part.reshape(batch, group * per_group, height, width)
    acc = room[:, :, top : top + out_h, left : left + out_w]
    offset = checks.bias("conv_transpose2d", bias, group * per_group)[:, None, None]
    return _finish("conv_transpose2d", acc + offset, 1, rq, residual)


def gemm(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None,
    rq: Requantize | None,
    residual: Residual | None = None,
) -> tuple[np.ndarray, int]:
    """Linear layer on codes: ``acc = x @ w.T + bias`` over the last axis of `x`.

    `x` is [..., K], `w` is [N, K] (int8 or int16), `bias` int32 [N] or None; the multipliers of `rq` and the ratios of
    `residual` are (1,) or (N,) along the last axis. Returns the codes (or int32 accumulators) and the overflow count.
    """
    checks.codes("gemm", x, w)
    if w.ndim != 2 or x.ndim < 1 or x.shape[-1] != w.shape[1]:
        raise EmulationError(f"gemm: weight {w.shape} does not fit input {x.shape}; the weight is (outputs, inputs)")
    rows = x.reshape(-1, x.shape[-1]).astype(np.int64)
    acc = _product(rows, w.astype(np.int64).T) + checks.bias("gemm", bias, w.shape[0])
    return _finish("gemm", acc.reshape(*x.shape[:-1], w.shape[0]), -1, rq, residual)


def matmul(a: np.ndarray, b: np.ndarray, rq: Requantize | None) -> tuple[np.ndarray, int]:
    """Product of two activations: ``acc = a @ b`` with a [..., M, K] and b [..., K, N], batch axes broadcasting.

    The multiplier of `rq` is the single ``s_a * s_b / s_y``. Returns the codes (or int32 accumulators) and the overflow
    count.
    """
    checks.codes("matmul", a, b)
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
        raise EmulationError(f"matmul: shapes {a.shape} and {b.shape} do not multiply")
    if rq is not None:
        checks.requantize("matmul", rq, 1)
    return _finish("matmul", _product(a.astype(np.int64), b.astype(np.int64)), -1, rq, None)
