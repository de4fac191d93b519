"""Linear layers as tiles: a row of codes is a pixel, a column an output channel."""

from __future__ import annotations

from typing import Any

import numpy as np

from qworkbench.emulator.kernels.calls import note, perform
from qworkbench.emulator.kernels.dots import row_sums
from qworkbench.emulator.kernels.rescale import requantize
from qworkbench.emulator.kernels.surface import aligned
from qworkbench.emulator.kernels.vector import parameters
from qworkbench.emulator.kernels.vector.amx_layers import LENGTH, tiles_for
from qworkbench.emulator.kernels.vector.frames import Tables
from qworkbench.emulator.kernels.vector.parts import LIMIT, most_of, parts_that_fit
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
from qworkbench.numerics.arithmetic import Requantize, Residual
from qworkbench.numerics.dtypes import NUMPY


def multiply(
    x: np.ndarray,
    w: np.ndarray,
    start: np.ndarray,
    rq: Requantize | None,
    residual: Residual | None,
    forms: Forms | None,
    anchors: tuple[Any, ...],
) -> np.ndarray | None:
    """Return ``x @ w.T + start`` requantized, as :func:`qworkbench.numerics.reference.gemm`; None where not exact.

    `start` is the int64 bias; `anchors` are the objects whose identity it and the weight have.
    """
    path = path_for(x.dtype, w.dtype)
    if path is None or not x.size or not w.size:
        return None
    outputs, length = w.shape
    if length >= LENGTH and x.flags.c_contiguous:  # no step reads beyond a row
        path = tiles_for(x.dtype, w.dtype, (outputs, 1, length), x.size // length) or path
    rows = _rows(path, x)
    ratio = None if residual is None else residual.ratio
    shape = (*x.shape[:-1], outputs)
    pitch = _pitch(path, outputs)
    anchors = (*anchors, rq, ratio)
    key = (path.name, *map(id, anchors), rows.shape, x.dtype, dtype_of(residual))

    def prepare() -> Product | None:
        if rq is not None:
            checks.requantize("gemm", rq, outputs)
        sums, magnitude = remembered(forms, "sums", id(w), lambda: row_sums(w), (w,))
        largest, margin, parts = int(np.abs(start).max(initial=0)), 0, 1
        reach = largest + most_of(x) * magnitude
        ratios = None
        if residual is not None:
            ratios = checks.residual("gemm", residual, shape, outputs)
            margin = reach_of(residual, ratios)
            reach += margin
        if reach >= INT32_LIMIT:
            whole = path.shifts or path.widens or path.tiles or max(largest, margin) >= LIMIT
            found = None if whole else parts_that_fit(path, w[:, None, :], most_of(x))
            if found is None:
                return None
            parts = found
        weights = remembered(
            forms, "panels", (path.name, id(w)), lambda: packed_weights(path, w[:, None, :]), (w,)
        )  # fmt: skip
        begin = start - 128 * sums if path.shifts else start
        tables = _tables(path, rows, pitch, outputs)
        return prepared(path, weights, (outputs, 1, length), begin, reach, rq, ratios, tables, parts, margin)

    product: Product | None = remembered(forms, "gemm", key, prepare, anchors)
    if product is None:
        return None
    out = _room(product, rq, len(rows), pitch)
    operands: tuple[np.ndarray, ...] = (x,)
    held = [rows]
    if residual is not None:
        if residual.codes.shape != shape:
            checks.residual("gemm", residual, shape, outputs)
        operands, held = (x, residual.codes), [rows, _pitched(residual.codes.reshape(-1, outputs), pitch)]
    call = product.call(0 if residual is None else held[1].itemsize)
    if perform(call, [array.ctypes.data for array in held], out.ctypes.data)[parameters.OVERFLOW]:
        return None  # sums that leave int32, or are near its ends, are counted in full
    whole = out[:, :outputs].reshape(shape)
    if pitch == outputs and all(np.may_share_memory(a, b) for a, b in zip(operands, held, strict=True)):
        note(operands, (whole,), (call,), product, product.work, None if product.fits else parameters.OVERFLOW)
    return requantize(whole, rq, -1) if product.mode == parameters.INT32 and rq is not None else whole


def _rows(path: Path, x: np.ndarray) -> np.ndarray:
    """Return `x` as rows of whole words that the path can read."""
    length = x.shape[-1]
    if path.tiles:
        return x.reshape(-1, length)
    padded = path.groups(1, length) * path.per_word
    if x.dtype == path.pixel_codes and padded == length and x.flags.c_contiguous:
        return x.reshape(-1, length)
    return _pitched(x.reshape(-1, length), padded, path.pixel_codes)


def _pitched(rows: np.ndarray, pitch: int, dtype: Any = None) -> np.ndarray:
    """Return 2-D `rows` contiguous with `pitch` columns, zeros behind the last one."""
    if rows.shape[1] == pitch and rows.flags.c_contiguous and rows.dtype == (dtype or rows.dtype):
        return rows
    out = aligned(len(rows) * pitch, dtype or rows.dtype).reshape(len(rows), pitch)
    out[:, : rows.shape[1]] = rows
    out[:, rows.shape[1] :] = 0
    return out


def _pitch(path: Path, outputs: int) -> int:
    """Return the distance of output rows: a path that cannot mask its stores fills whole panels."""
    wide, tail = path.panels(outputs)
    return outputs if path.masks else wide * path.channels + tail


def _tables(path: Path, rows: np.ndarray, pitch: int, outputs: int) -> Tables:
    index = np.arange(len(rows))
    wide, tail = path.panels(outputs)
    panels = wide + bool(tail)
    return index * rows.strides[0], index * pitch, np.zeros(1, np.int64), np.zeros(panels, np.int64)


def _room(product: Product, rq: Requantize | None, count: int, pitch: int) -> np.ndarray:
    dtype = np.int32 if product.mode == parameters.INT32 or rq is None else NUMPY[rq.dtype]
    return aligned(count * pitch, dtype).reshape(count, pitch)
