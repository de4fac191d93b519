"""Convolution on surfaces: windows are read where they lie, any stride, dilation and group; codes leave requantized."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qworkbench.emulator.kernels.calls import note
from qworkbench.emulator.kernels.dots import row_sums
from qworkbench.emulator.kernels.rescale import requantize
from qworkbench.emulator.kernels.surface import (
    asked_margin,
    laid_like,
    margin_of,
    new_surface,
    pixel_pitch,
    surface_of,
    surfaced,
)
from qworkbench.emulator.kernels.values import Surface
from qworkbench.emulator.kernels.vector import parameters
from qworkbench.emulator.kernels.vector.amx_layers import tiles_for_windows, tiles_frame
from qworkbench.emulator.kernels.vector.frames import Frame, Start, frame_of, started
from qworkbench.emulator.kernels.vector.groups import grouped_weights, groups_frame, groups_path
from qworkbench.emulator.kernels.vector.parts import LIMIT, most_of, parts_that_fit
from qworkbench.emulator.kernels.vector.paths import Path, path_for
from qworkbench.emulator.kernels.vector.product import INT32_LIMIT, Forms, Product, leaving, remembered
from qworkbench.emulator.kernels.vector.residual import dtype_of, reach_of
from qworkbench.emulator.kernels.vector.windows import dense_of, panels_of, places_of, taps_of
from qworkbench.emulator.kernels.vector.winograd_layers import transformed_weights, winograd_for, winograd_frame
from qworkbench.numerics import checks
from qworkbench.numerics.arithmetic import ConvGeometry, Requantize, Residual
from qworkbench.numerics.dtypes import NUMPY

CODES = (np.dtype(np.int8), np.dtype(np.int16))


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
    if path is None or x.ndim != 4 or w.ndim != 4 or not x.size:
        return None
    given = Given(x, w, bias, geometry, rq, residual, forms)
    surface, made, transforms = None, None, None
    tiles = tiles_for_windows(x, w, geometry)
    if tiles is not None:
        surface, made = _made_by(tiles, x.dtype.type, given)
    small = rq is not None and (residual is None or residual.codes.dtype == np.int8)
    if made is None and (x.dtype == np.int16 or small):
        transforms = winograd_for(x, w, geometry, lambda: int(_sums(w, forms)[1]))
    if transforms is not None:
        surface, made = _made_by(transforms, x.dtype.type, given)
    grouped = groups_path(x, w, geometry)
    if made is None and grouped is not None:
        surface, made = _made_by(grouped, grouped.codes, given)
    if made is None:
        surface, made = _made_by(path, path.pixel_codes, given)
    if surface is None or made is None:
        return None
    product, shape = made
    integer = product.mode == parameters.INT32
    dtype = np.int32 if integer or rq is None else NUMPY[rq.dtype]
    out = new_surface(shape, dtype, margin_of(shape))
    to = surface_of(out)
    assert to is not None
    held = None
    if residual is not None:
        if residual.codes.shape != shape or residual.codes.dtype not in CODES:
            checks.residual("conv2d", residual, shape, shape[1])
        held = laid_like(residual.codes, to)
    call, overflow = product.on(surface, to, held)
    if overflow and residual is not None:
        return None  # sums that are near the ends of int32: what counts is where they are with the residual
    if not overflow and surface is x.base and (residual is None or held is residual.codes.base):
        lost = None if product.fits else parameters.OVERFLOW
        note((x,) if residual is None else (x, residual.codes), (out,), (call,), product, product.work, lost)
    return requantize(out, rq, 1) if integer and rq is not None else out, overflow


class Given(NamedTuple):
    """What a convolution is given."""

    x: np.ndarray
    w: np.ndarray
    bias: np.ndarray | None
    geometry: ConvGeometry
    rq: Requantize | None
    residual: Residual | None
    forms: Forms | None


def _made_by(
    path: Path, codes: type[np.generic], given: Given
) -> tuple[Surface, tuple[Product, tuple[int, ...]] | None]:
    """Return x as the `path` reads it, the product and the shape of the result."""
    x, w, bias, geometry, rq, residual, forms = given
    surface = surfaced(x, codes, max(geometry.pads), pixel_pitch(x.shape[1]))
    ratio = None if residual is None else residual.ratio
    lies = (surface.shape, surface.margin, asked_margin())
    key = (path.name, id(w), id(bias), id(ratio), geometry, x.shape, lies, x.dtype, dtype_of(residual))
    return surface, remembered(
        forms,
        "conv",
        (key, id(rq)),
        lambda: _prepare(path, surface, given, key),
        (w, bias, rq, ratio),
    )


def _sums(w: np.ndarray, forms: Forms | None) -> tuple[np.ndarray, int]:
    """Return the sum of each output's weights, and the largest sum of magnitudes."""
    found: tuple[np.ndarray, int] = remembered(forms, "sums", id(w), lambda: row_sums(w.reshape(len(w), -1)), (w,))
    return found


def _prepare(
    path: Path, surface: Surface, given: Given, key: tuple[Any, ...]
) -> tuple[Product, tuple[int, ...]] | None:
    """Return the product and the shape of the result; with another requantize, all but what leaves is remembered."""
    x, w, bias, _, rq, residual, forms = given
    ratio = None if residual is None else residual.ratio
    made: tuple[Start, int, tuple[int, ...]] | None = remembered(
        forms,
        "start",
        key,
        lambda: _started(path, surface, given),
        (w, bias, ratio),
    )
    if made is None:
        return None
    start, reach, shape = made
    if rq is not None:
        checks.requantize("conv2d", rq, w.shape[0])
    product = leaving(start, reach, rq)
    # sums of transforms of int8 leave as int8, with a residual in integers or none
    narrow = path.transforms and x.dtype == np.int8
    if narrow and (product.mode != parameters.INT8 or (residual is not None and start.split is None)):
        return None
    return product, shape


def _started(path: Path, surface: Surface, given: Given) -> tuple[Start, int, tuple[int, ...]] | None:
    """Return the sums before they leave, a bound of them, and the shape of the result."""
    x, w, bias, geometry, _, residual, forms = given
    checks.convolution("conv2d", x, w, geometry)
    outputs = w.shape[0]
    shape = (x.shape[0], outputs, *geometry.output_size(x.shape[2], x.shape[3]))
    start = checks.bias("conv2d", bias, outputs)
    sums, magnitude = _sums(w, forms)
    ratio, margin = None, 0
    largest = int(np.abs(start).max(initial=0))
    reach = largest + most_of(x) * magnitude
    if residual is not None:
        ratio = checks.residual("conv2d", residual, shape, outputs)
        margin = reach_of(residual, ratio)
        reach += margin
    parts: int | None = 1
    if reach >= INT32_LIMIT:
        whole = path.shifts or path.widens or geometry.group > 1 or max(largest, margin) >= LIMIT
        parts = None if whole else _parts(path, surface, given, largest + 255 * magnitude)
    if parts is None:
        return None
    if path.shifts:
        start = start - 128 * sums
    elif path.transforms and x.dtype == np.int16:
        start = start + 128 * sums  # of the low halves, which enter less 128
    frame: Frame | None = remembered(
        forms,
        "frame",
        (path.name, id(w), geometry, x.shape, x.dtype, surface.shape, surface.margin, margin_of(shape), parts),
        lambda: _frame(path, surface, given, shape, parts),
        (w,),
    )
    return None if frame is None else (started(frame, start, ratio, margin), reach, shape)


def _parts(path: Path, surface: Surface, given: Given, low: int) -> int | None:
    """Return in how many parts sums are formed that may leave int32; `low` bounds those of the low bytes of int16."""
    x, w, _, geometry, _, _, forms = given
    if path.tiles or path.transforms:  # a half of each code
        fits = x.dtype == np.int16 and (path.transforms or low < INT32_LIMIT)
        return 2 if fits else None
    pitch = surface.shape[3]
    found: int | None = remembered(
        forms,
        "parts",
        (path.name, id(w), geometry.dilations[1], pitch, x.dtype),
        lambda: parts_that_fit(path, dense_of(path, w, geometry, pitch), most_of(x)),
        (w,),
    )
    return found


def _frame(path: Path, surface: Surface, given: Given, shape: tuple[int, ...], parts: int) -> Frame | None:
    _, w, _, geometry, _, _, forms = given
    if path.transforms:
        key = ("transforms", path.channels, path.panels(len(w)), id(w))  # the same for pixels of either width
        weights = remembered(forms, "panels", key, lambda: transformed_weights(path, w), (w,))
        return winograd_frame(path, surface, weights, shape, geometry, parts)
    if path.name.startswith("groups"):
        weights = remembered(forms, "panels", (path.name, id(w)), lambda: grouped_weights(path, w), (w,))
        taps = taps_of(surface, geometry, w.shape[2] * w.shape[3])
        return groups_frame(path, w, weights, (*places_of(surface, shape, geometry), taps, np.zeros(1, np.int64)))
    pitch = surface.shape[3]
    made = remembered(
        forms,
        "panels",
        (path.name, id(w), geometry.group, geometry.dilations[1], pitch),
        lambda: panels_of(path, w, geometry, pitch),
        (w,),
    )
    weights, dense_shape, shifts = made
    tables = (
        *places_of(surface, shape, geometry),
        taps_of(surface, geometry, dense_shape[1]),
        shifts * surface.itemsize,
    )
    return (tiles_frame if path.tiles else frame_of)(path, weights, dense_shape, tables, parts)
