"""Transposed convolution on surfaces, phase by phase: no zero is inserted and no partial plane is kept.

Output pixels whose places agree modulo the stride are touched by the same taps of the kernel, each reading the input at
a fixed distance: an ordinary convolution of stride 1 whose results lie a stride apart.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qworkbench.emulator.kernels.calls import note
from qworkbench.emulator.kernels.dots import row_sums
from qworkbench.emulator.kernels.rescale import requantize
from qworkbench.emulator.kernels.surface import laid_like, margin_of, new_surface, surface_of, surfaced
from qworkbench.emulator.kernels.values import Surface
from qworkbench.emulator.kernels.vector import parameters
from qworkbench.emulator.kernels.vector.amx_layers import ROWS, tiles_for
from qworkbench.emulator.kernels.vector.parts import most_of
from qworkbench.emulator.kernels.vector.paths import Path, path_for
from qworkbench.emulator.kernels.vector.product import (
    INT32_LIMIT,
    Forms,
    Product,
    packed_weights,
    prepared,
    remembered,
)
from qworkbench.emulator.kernels.vector.residual import dtype_of, reach_of
from qworkbench.numerics import checks
from qworkbench.numerics.arithmetic import ConvGeometry, Requantize, Residual
from qworkbench.numerics.dtypes import NUMPY


class Phase(NamedTuple):
    """Along one axis: the output places of a phase, the taps that reach them, and each tap's distance in the input."""

    places: np.ndarray
    taps: np.ndarray
    distances: np.ndarray


def phases(length: int, axis: int, geometry: ConvGeometry) -> list[Phase]:
    """Return the phases along `axis` (0 rows, 1 columns) of an output of `length`: ``place = distance + n * stride``.

    The n-th place of a phase reads input ``n + distance`` with each of its taps; a place that no tap reaches reads
    with none.
    """
    stride, step, before = geometry.strides[axis], geometry.dilations[axis], geometry.pads[axis]
    taps = np.arange(geometry.kernel[axis])
    found = []
    for first in range(min(stride, length)):
        distance = first + before - taps * step
        reaching = distance % stride == 0
        found.append(Phase(np.arange(first, length, stride), taps[reaching], distance[reaching] // stride))
    return found


def convolve_transposed(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None,
    geometry: ConvGeometry,
    rq: Requantize | None,
    residual: Residual | None,
    forms: Forms | None,
) -> tuple[np.ndarray, int] | None:
    """Return what :func:`qworkbench.numerics.reference.conv_transpose2d` does; None where no vector kernel is exact."""
    path = path_for(x.dtype, w.dtype)
    if path is None or x.ndim != 4 or w.ndim != 4 or geometry.group != 1 or not x.size:
        return None
    checks.convolution("conv_transpose2d", x, w, geometry, transposed=True)
    height, width = geometry.transposed_output_size(*x.shape[2:])
    shape = (len(x), w.shape[1], height, width)
    grid = [phases(length, axis, geometry) for axis, length in enumerate((height, width))]
    path = _tiles(x, w, grid) or path
    surface = surfaced(x, x.dtype if path.tiles else path.pixel_codes, _margin(grid, x.shape[2:]))
    out_margin = margin_of(shape)
    ratio = None if residual is None else residual.ratio
    lies = (surface.shape, surface.margin, out_margin)
    key = (path.name, id(w), id(bias), id(rq), id(ratio), geometry, x.shape, lies, x.dtype, dtype_of(residual))
    products: list[Product] | None = remembered(
        forms,
        "transposed",
        key,
        lambda: _prepare(path, surface, shape, out_margin, grid, x, w, bias, rq, residual),
        (w, bias, rq, ratio),
    )
    if products is None:
        return None
    integer = products[0].mode == parameters.INT32
    out = new_surface(shape, np.int32 if integer or rq is None else NUMPY[rq.dtype], out_margin)
    to = surface_of(out)
    assert to is not None
    held = None if residual is None else laid_like(residual.codes, to)
    calls = [product.on(surface, to, held)[0] for product in products]
    if surface is x.base and (residual is None or held is residual.codes.base):
        operands = (x,) if residual is None else (x, residual.codes)
        note(operands, (out,), calls, products, sum(product.work for product in products))
    return requantize(out, rq, 1) if integer and rq is not None else out, 0


def _tiles(x: np.ndarray, w: np.ndarray, grid: list[list[Phase]]) -> Path | None:
    """Return the path of AMX tiles where every phase is theirs."""
    if not all(grid):
        return None
    down, across = (min(along, key=lambda phase: phase.places.size * phase.taps.size) for along in grid)
    lines, width = len(x) * down.places.size, across.places.size
    shape = (w.shape[1], down.taps.size * across.taps.size, x.shape[1])
    return tiles_for(x.dtype, w.dtype, shape, lines * width, lines * -(-width // ROWS))


def _margin(grid: list[list[Phase]], size: tuple[int, ...]) -> int:
    """Return how far beyond the edges of the input any tap reads."""
    needed = 0
    for along, length in zip(grid, size, strict=True):
        for phase in along:
            if phase.taps.size:
                last = len(phase.places) - 1 + int(phase.distances.max())
                needed = max(needed, -int(phase.distances.min()), last - (length - 1))
    return needed


def _prepare(
    path: Path,
    surface: Surface,
    shape: tuple[int, int, int, int],
    out_margin: int,
    grid: list[list[Phase]],
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None,
    rq: Requantize | None,
    residual: Residual | None,
) -> list[Product] | None:
    batch, outputs, height, width = shape
    start = checks.bias("conv_transpose2d", bias, outputs)
    if rq is not None:
        checks.requantize("conv_transpose2d", rq, outputs)
    taps = np.ascontiguousarray(w.transpose(1, 2, 3, 0))  # (outputs, kernel h, kernel w, inputs)
    _, magnitude = row_sums(taps.reshape(outputs, -1))
    reach = int(np.abs(start).max(initial=0)) + most_of(x) * magnitude
    ratio = None
    if residual is not None:
        ratio = checks.residual("conv_transpose2d", residual, shape, outputs)
        reach += reach_of(residual, ratio)
    if reach >= INT32_LIMIT:
        return None
    image, row, pixel, _ = surface.strides
    pitch = -(-outputs // 16) * 16
    out_row = (width + 2 * out_margin) * pitch
    out_image = (height + 2 * out_margin) * out_row
    panels = sum(map(bool, path.panels(outputs)[1:])) + path.panels(outputs)[0]
    products = []
    for down in grid[0]:
        for across in grid[1]:
            dense = taps[:, down.taps[:, None], across.taps].reshape(outputs, -1, x.shape[1])
            offsets = (down.distances[:, None] * row + across.distances * pixel).reshape(-1)
            if not offsets.size:
                dense, offsets = np.zeros((outputs, 1, x.shape[1]), taps.dtype), np.zeros(1, np.int64)
            dense = np.ascontiguousarray(dense, path.codes)
            counts = (np.arange(batch), np.arange(len(down.places)), np.arange(len(across.places)))
            pixels = _sums((counts[0] * image, counts[1] * row, counts[2] * pixel))
            places = _sums((counts[0] * out_image, down.places * out_row, across.places * pitch))
            begin = start - 128 * dense.sum(axis=(1, 2), dtype=np.int64) if path.shifts else start
            tables = (pixels, places, offsets, np.zeros(panels, np.int64))
            made = prepared(path, packed_weights(path, dense), dense.shape, begin, reach, rq, ratio, tables)
            if made is None:
                return None
            products.append(made)
    return products


def _sums(parts: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    images, rows, columns = parts
    return np.asarray((images[:, None, None] + rows[:, None] + columns).reshape(-1))
