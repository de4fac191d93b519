"""Convolution on surfaces: windows are read where they lie, any stride, dilation and group; codes leave requantized."""

from __future__ import annotations

import numpy as np

from qworkbench.emulator.kernels.calls import note
from qworkbench.emulator.kernels.dots import row_sums
from qworkbench.emulator.kernels.rescale import requantize
from qworkbench.emulator.kernels.surface import (
    laid_like,
    new_surface,
    pitch_of,
    pixel_pitch,
    surface_of,
    surfaced,
)
from qworkbench.emulator.kernels.values import Surface
from qworkbench.emulator.kernels.vector import parameters
from qworkbench.emulator.kernels.vector.parts import LIMIT, parts_that_fit
from qworkbench.emulator.kernels.vector.paths import Path, path_for
from qworkbench.emulator.kernels.vector.product import (
    INT32_LIMIT,
    Forms,
    Product,
    packed_weights,
    prepared,
    remembered,
)
from qworkbench.numerics import checks
from qworkbench.numerics.arithmetic import ConvGeometry, Requantize, Residual
from qworkbench.numerics.dtypes import NUMPY

CODES = (np.dtype(np.int8), np.dtype(np.int16))
OUTPUT_MARGIN = 1  # what a 3x3 convolution reads beyond the edge


def convolve(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None,
    geometry: ConvGeometry,
    rq: Requantize | None,
    residual: Residual | None,
    forms: Forms | None,
) -> tuple[np.ndarray, int] | None:
    """Return what :func:`qworkbench.numerics.reference.conv2d` does; None where no vector kernel is exact here."""
    path = path_for(x.dtype, w.dtype)
    if path is None or x.ndim != 4 or w.ndim != 4:
        return None
    surface = surfaced(x, path.codes, max(geometry.pads), pixel_pitch(x.shape[1]))
    ratio = None if residual is None else residual.ratio
    key = (path.name, id(w), id(bias), id(rq), id(ratio), geometry, x.shape, surface.shape, surface.margin, x.dtype)
    made: tuple[Product, tuple[int, ...]] | None = remembered(
        forms,
        "conv",
        key,
        lambda: _prepare(path, surface, x, w, bias, geometry, rq, residual, forms),
        (w, bias, rq, ratio),
    )
    if made is None:
        return None
    product, shape = made
    integer = product.mode == parameters.INT32
    dtype = np.int32 if integer or rq is None else NUMPY[rq.dtype]
    out = new_surface(shape, dtype, _margin(shape))
    to = surface_of(out)
    assert to is not None
    held = None
    if residual is not None:
        if residual.codes.shape != shape or residual.codes.dtype not in CODES:
            checks.residual("conv2d", residual, shape, shape[1])
        held = laid_like(residual.codes, to)
    call, overflow = product.on(surface, to, held)
    if integer and rq is not None:
        return requantize(out, rq, 1), overflow
    if surface is x.base and product.fits and (residual is None or held is residual.codes.base):
        note((x,) if residual is None else (x, residual.codes), (out,), (call,), product, product.work)
    return out, overflow


def _largest(x: np.ndarray) -> int:
    """Return the largest magnitude of any code; what is prepared must hold for every tensor of the dtype."""
    return 128 if x.dtype == np.int8 else 32768


def _prepare(
    path: Path,
    surface: Surface,
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None,
    geometry: ConvGeometry,
    rq: Requantize | None,
    residual: Residual | None,
    forms: Forms | None,
) -> tuple[Product, tuple[int, ...]] | None:
    checks.convolution("conv2d", x, w, geometry)
    outputs = w.shape[0]
    shape = (x.shape[0], outputs, *geometry.output_size(x.shape[2], x.shape[3]))
    start = checks.bias("conv2d", bias, outputs)
    if rq is not None:
        checks.requantize("conv2d", rq, outputs)
    sums, magnitude = remembered(forms, "sums", id(w), lambda: row_sums(w.reshape(outputs, -1)), (w,))
    ratio = None
    reach = int(np.abs(start).max(initial=0)) + _largest(x) * magnitude
    if residual is not None:
        ratio = checks.residual("conv2d", residual, shape, outputs)
        reach += int(32768.0 * min(float(ratio.max()), 2.0**40)) + 1
    pitch, parts = surface.shape[3], 1
    if reach >= INT32_LIMIT:
        found = None
        if not path.shifts and geometry.group == 1 and residual is None and int(np.abs(start).max(initial=0)) < LIMIT:
            largest, key = _largest(x), (path.name, id(w), geometry.dilations[1], pitch, x.dtype)
            found = remembered(
                forms,
                "parts",
                key,
                lambda: parts_that_fit(_dense(path, w, geometry, pitch), path.per_word, largest),
                (w,),
            )
        if found is None:
            return None
        parts = found
    if path.shifts:
        start = start - 128 * sums
    made = remembered(
        forms,
        "panels",
        (path.name, id(w), geometry.group, geometry.dilations[1], pitch),
        lambda: _panels(path, w, geometry, pitch),
        (w,),
    )
    weights, dense_shape, shifts = made
    tables = (*_places(surface, shape, geometry), _taps(surface, geometry, dense_shape[1]), shifts * surface.itemsize)
    return prepared(path, weights, dense_shape, start, reach, rq, ratio, tables, parts), shape


def _panels(
    path: Path, w: np.ndarray, geometry: ConvGeometry, pitch: int
) -> tuple[np.ndarray, tuple[int, int, int], np.ndarray]:
    """Return packed weights, the shape of their dense form, and each panel's first input channel.

    A kernel row of adjacent pixels is one tap, contiguous in memory, where there is one group and no dilation along W.
    With groups, a panel reads the channels of the groups that it touches, against zeros where they are not its own.
    """
    outputs, inputs, kernel_h, kernel_w = w.shape
    wide, tail = path.panels(outputs)
    panels = wide + bool(tail)
    if geometry.group == 1:
        dense = _dense(path, w, geometry, pitch)
        return packed_weights(path, dense), dense.shape, np.zeros(panels, np.int64)
    taps = w.transpose(0, 2, 3, 1)
    per_group = outputs // geometry.group
    first = np.arange(panels) * path.channels // per_group
    last = (np.minimum((np.arange(panels) + 1) * path.channels, outputs) - 1) // per_group
    length = int((last - first).max() + 1) * inputs
    room = np.zeros((outputs, kernel_h, kernel_w, length), path.codes)
    for output in range(outputs):
        at = (output // per_group - first[output // path.channels]) * inputs
        room[output, :, :, at : at + inputs] = taps[output]
    dense = room.reshape(outputs, kernel_h * kernel_w, length)
    return packed_weights(path, dense), dense.shape, first * inputs


def _dense(path: Path, w: np.ndarray, geometry: ConvGeometry, pitch: int) -> np.ndarray:
    """Return the weights of one group as (outputs, taps, length)."""
    outputs, inputs, kernel_h, kernel_w = w.shape
    room = np.zeros((outputs, kernel_h, kernel_w, pitch), path.codes)
    room[..., :inputs] = w.transpose(0, 2, 3, 1)
    if geometry.dilations[1] == 1:
        return room.reshape(outputs, kernel_h, kernel_w * pitch)[:, :, : (kernel_w - 1) * pitch + inputs]
    return room[..., :inputs].reshape(outputs, kernel_h * kernel_w, inputs)


def _taps(surface: Surface, geometry: ConvGeometry, count: int) -> np.ndarray:
    """Return the byte offset of each tap from a window's first pixel."""
    _, row, pixel, _ = surface.strides
    down = np.arange(geometry.kernel[0]) * geometry.dilations[0] * row
    if count == geometry.kernel[0] and geometry.dilations[1] == 1 and geometry.group == 1:
        return down
    across = np.arange(geometry.kernel[1]) * geometry.dilations[1] * pixel
    return np.asarray((down[:, None] + across).reshape(-1))


def _places(surface: Surface, shape: tuple[int, ...], geometry: ConvGeometry) -> tuple[np.ndarray, np.ndarray]:
    """Return the byte offset of each window from the first pixel inside, and the element offset of each output."""
    batch, outputs, height, width = shape
    image, row, pixel, _ = surface.strides
    n, i, j = (np.arange(count) for count in (batch, height, width))
    top, left = geometry.pads[:2]
    windows = (
        n[:, None, None] * image
        + (i[:, None] * geometry.strides[0] - top) * row
        + (j * geometry.strides[1] - left) * pixel
    )
    margin = _margin(shape)
    line = (width + 2 * margin) * pitch_of(outputs)
    out = n[:, None, None] * (height + 2 * margin) * line + (i[:, None] * line) + j * pitch_of(outputs)
    return windows.reshape(-1), out.reshape(-1)


def _margin(shape: tuple[int, ...]) -> int:
    return 0 if shape[2] * shape[3] == 1 else OUTPUT_MARGIN
