"""Convolutions of codes: columns of pixels against rows of weights, and a loop of its own where every channel is alone.

int8 x int8 runs as uint8 x int8 (codes + 128, corrected by ``128 * sum(w)`` per output channel): the one form whose
products every vector unit multiplies at full width. Everything else runs as int16 x int16.
"""

from __future__ import annotations

import numpy as np

from qworkbench.emulator.kernels.accumulator import Accumulator, finish
from qworkbench.emulator.kernels.compiled import kernel
from qworkbench.emulator.kernels.dots import INT32_LIMIT, accumulate, depth_of, largest_code, padded_rows, row_sums
from qworkbench.emulator.kernels.vector.channels import convolve_channels
from qworkbench.emulator.kernels.vector.convolution import convolve
from qworkbench.emulator.kernels.vector.product import Forms
from qworkbench.emulator.kernels.vector.transposed import convolve_transposed
from qworkbench.emulator.kernels.views import owned
from qworkbench.numerics import checks
from qworkbench.numerics.arithmetic import ConvGeometry, Requantize, Residual

BLOCK_BYTES = 1 << 18  # columns of one block stay in the second-level cache


@kernel()
def _columns(x: np.ndarray, base: np.ndarray, tap: np.ndarray, out: np.ndarray) -> None:
    """``out[p, k] = x[base[p] + tap[k]]``: the window of pixel p as one contiguous row."""
    for p in range(base.size):
        start = base[p]
        row = out[p]
        for k in range(tap.size):
            row[k] = x[start + tap[k]]


@kernel()
def _depthwise(
    x: np.ndarray, w: np.ndarray, strides: tuple[int, int], dilations: tuple[int, int], acc: np.ndarray
) -> None:
    """``acc[n, o, i, j] += sum_rs x[n, o / (O / C), i * sh + r * dh, j * sw + s * dw] * w[o, r, s]``, x padded."""
    whole = acc.dtype.type
    per_channel = w.shape[0] // x.shape[1]
    for n in range(acc.shape[0]):
        for o in range(acc.shape[1]):
            plane = x[n, o // per_channel]
            for i in range(acc.shape[2]):
                line = acc[n, o, i]
                for r in range(w.shape[1]):
                    row = plane[i * strides[0] + r * dilations[0]]
                    for s in range(w.shape[2]):
                        weight = whole(w[o, r, s])
                        if strides[1] == 1:
                            near = row[s * dilations[1] :]
                            for j in range(line.size):
                                line[j] += whole(weight * whole(near[j]))
                        else:
                            far = row[s * dilations[1] :: strides[1]]
                            for j in range(line.size):
                                line[j] += whole(weight * whole(far[j]))


def shifted(x: np.ndarray) -> np.ndarray:
    """Return int8 codes as uint8: code + 128."""
    return x.view(np.uint8) ^ np.uint8(0x80)


def _padded(x: np.ndarray, pads: tuple[int, int, int, int], dtype: type[np.generic]) -> np.ndarray:
    """Return `x` as `dtype` with code 0 around it; uint8 holds code + 128."""
    top, left, bottom, right = pads
    if not any(pads):
        return shifted(owned(x)) if dtype is np.uint8 else owned(x.astype(dtype, copy=False))
    batch, channels, height, width = x.shape
    zero = 128 if dtype is np.uint8 else 0
    out = np.full((batch, channels, height + top + bottom, width + left + right), zero, dtype=dtype)
    out[:, :, top : top + height, left : left + width] = shifted(owned(x)) if dtype is np.uint8 else x
    return out


def conv2d(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None,
    geometry: ConvGeometry,
    rq: Requantize | None,
    residual: Residual | None = None,
    *,
    forms: Forms | None = None,
) -> tuple[np.ndarray, int]:
    """Convolve codes: ``acc = sum(x * w) + bias``; see :func:`qworkbench.numerics.reference.conv2d`.

    What the weight is packed to is kept in `forms`, where the caller has such a dict beside the weight.
    """
    alone = convolve_channels(x, w, bias, geometry, rq, residual, forms)
    if alone is not None:
        return alone
    found = convolve(x, w, bias, geometry, rq, residual, forms)
    if found is not None:
        return found
    checks.convolution("conv2d", x, w, geometry)
    outputs, group = w.shape[0], geometry.group
    start = checks.bias("conv2d", bias, outputs)
    rows = owned(w).reshape(outputs, -1)
    sums, magnitude = row_sums(rows)
    reach = largest_code(x) * magnitude + int(np.abs(start).max(initial=0))
    fits = reach < INT32_LIMIT
    shape = (x.shape[0], outputs, *geometry.output_size(x.shape[2], x.shape[3]))
    if group == x.shape[1] and w.shape[1] == 1 and group > 1:
        acc = np.empty(shape, dtype=np.int32 if fits else np.int64)
        acc[:] = start[:, None, None]
        pixels = _padded(x, geometry.pads, x.dtype.type)
        _depthwise(pixels, rows.reshape(outputs, *w.shape[2:]), geometry.strides, geometry.dilations, acc)
        return finish("conv2d", Accumulator(acc, reach), 1, rq, residual)
    narrow = fits and x.dtype == np.int8 and w.dtype == np.int8
    if narrow:
        start = start - 128 * sums
    pixels = _padded(x, geometry.pads, np.uint8 if narrow else np.int16)
    acc = np.empty(shape, dtype=np.int32 if fits else np.int64)
    acc[:] = start.astype(acc.dtype)[:, None, None]
    _multiply(pixels, padded_rows(rows, np.int8 if narrow else np.int16), geometry, rows.shape[1], acc)
    return finish("conv2d", Accumulator(acc, reach), 1, rq, residual)


def _multiply(x: np.ndarray, rows: np.ndarray, geometry: ConvGeometry, length: int, acc: np.ndarray) -> None:
    """Add the products of padded pixels `x` and weight `rows` to `acc` (N, O, OH, OW), block by block of pixels."""
    batch, outputs, out_h, out_w = acc.shape
    _, channels, height, width = x.shape
    group = geometry.group
    inputs, per_group, size = channels // group, outputs // group, out_h * out_w
    grid_h, grid_w = (np.arange(n) * step for n, step in zip((out_h, out_w), geometry.strides, strict=True))
    base = (grid_h[:, None] * width + grid_w).reshape(-1).astype(np.uint64)
    tap_h, tap_w = (np.arange(n) * step for n, step in zip(geometry.kernel, geometry.dilations, strict=True))
    plane = np.arange(inputs) * height * width
    tap = (plane[:, None, None] + tap_h[:, None] * width + tap_w).reshape(-1).astype(np.uint64)
    depth = depth_of(length)
    block = min(size, max(16, BLOCK_BYTES // (depth * x.itemsize) // 4 * 4))
    columns = np.zeros((block, depth), dtype=x.dtype)
    for n in range(batch):
        for g in range(group):
            image = x[n, g * inputs : (g + 1) * inputs].reshape(-1)
            weights = rows[g * per_group : (g + 1) * per_group]
            for first in range(0, size, block):
                part = columns[: min(block, size - first)]
                _columns(image, base[first : first + block], tap, part)
                accumulate(weights, part, acc, (n * outputs + g * per_group) * size + first, (size, 1))


def conv_transpose2d(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None,
    geometry: ConvGeometry,
    rq: Requantize | None,
    residual: Residual | None = None,
    *,
    forms: Forms | None = None,
) -> tuple[np.ndarray, int]:
    """Transposed convolution of codes; see :func:`qworkbench.numerics.reference.conv_transpose2d`.

    The portable way is one product per input pixel and tap, each added where the strides put it.
    """
    found = convolve_transposed(x, w, bias, geometry, rq, residual, forms)
    if found is not None:
        return found
    checks.convolution("conv_transpose2d", x, w, geometry, transposed=True)
    batch, channels, height, width = x.shape
    group, per_group, (kernel_h, kernel_w) = geometry.group, w.shape[1], geometry.kernel
    inputs, outputs, size = channels // group, geometry.group * w.shape[1], height * width
    start = checks.bias("conv_transpose2d", bias, outputs)
    rows = w.reshape(group, inputs, per_group * kernel_h * kernel_w).transpose(0, 2, 1)
    taps = owned(rows).reshape(outputs, -1)
    _, magnitude = row_sums(taps)
    reach = largest_code(x) * magnitude + int(np.abs(start).max(initial=0))
    fits = reach < INT32_LIMIT
    narrow = fits and x.dtype == np.int8 and w.dtype == np.int8
    pixels = _padded(x, (0, 0, 0, 0), np.uint8 if narrow else np.int16)
    weights = padded_rows(owned(rows).reshape(-1, inputs), np.int8 if narrow else np.int16)
    shift = -128 * weights.sum(axis=1, dtype=np.int32) if narrow else np.zeros(len(weights), np.int32)
    (stride_h, stride_w), (step_h, step_w) = geometry.strides, geometry.dilations
    top, left, _, _ = geometry.pads
    out_h, out_w = geometry.transposed_output_size(height, width)
    room_h = max((height - 1) * stride_h + step_h * (kernel_h - 1) + 1, top + out_h)
    room_w = max((width - 1) * stride_w + step_w * (kernel_w - 1) + 1, left + out_w)
    room = np.zeros((batch, outputs, room_h, room_w), dtype=np.int32 if fits else np.int64)
    room += start.astype(room.dtype)[:, None, None]
    columns = np.zeros((size, depth_of(inputs)), dtype=pixels.dtype)
    base, tap = np.arange(size, dtype=np.uint64), np.arange(0, inputs * size, size, dtype=np.uint64)
    count = per_group * kernel_h * kernel_w
    for n in range(batch):
        for g in range(group):
            _columns(pixels[n, g * inputs : (g + 1) * inputs].reshape(-1), base, tap, columns)
            planes = np.empty((count, size), dtype=room.dtype)
            planes[:] = shift[g * count : (g + 1) * count, None]
            accumulate(weights[g * count : (g + 1) * count], columns, planes)
            cut = planes.reshape(per_group, kernel_h, kernel_w, height, width)
            here = room[n, g * per_group : (g + 1) * per_group]
            for i in range(kernel_h):
                for j in range(kernel_w):
                    row, column = i * step_h, j * step_w
                    here[
                        :,
                        row : row + (height - 1) * stride_h + 1 : stride_h,
                        column : column + (width - 1) * stride_w + 1 : stride_w,
                    ] += cut[:, i, j]
    acc = np.ascontiguousarray(room[:, :, top : top + out_h, left : left + out_w])
    return finish("conv_transpose2d", Accumulator(acc, reach), 1, rq, residual)
