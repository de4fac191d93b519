"""Resize, Upsample and GridSample: the pixels that ONNX asks for, checked against those that torch reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from qworkbench.graph.onnx_frontend.call import Call
from qworkbench.graph.onnx_frontend.importer import ShapeError, UnsupportedError
from qworkbench.numerics.resize import nearest_index

_ROUND: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
}


def _targets(c: Call) -> tuple[tuple[int, ...], tuple[float, ...] | None]:
    """Return the spatial output size, and the factors where the file gives factors."""
    rank = c.rank()
    scales_slot, sizes_slot = (1, 9) if c.opset < 11 or c.op == "Upsample" else (2, 3)
    axes = c.attr("axes") or tuple(range(rank))
    chosen = [c.axis(a) for a in axes]
    if c.has(sizes_slot) and c.sizes(sizes_slot)[0] != (0,):
        if c.attr("keep_aspect_ratio_policy", "stretch") != "stretch":
            raise UnsupportedError("a resize that keeps the aspect ratio")
        rows = c.rows(sizes_slot)
        for row, size in zip(rows, c.sizes(0), strict=True):
            if any(row[i] != size[a] for i, a in enumerate(chosen) if a < 2):
                raise UnsupportedError("a resize of the batch or the channels")
        wanted = {a: rows[0][i] for i, a in enumerate(chosen)}
        if any(row[i] != rows[0][i] for row in rows for i, a in enumerate(chosen) if a >= 2):
            raise UnsupportedError("a size that follows the batch")
        return tuple(wanted.get(a, c.dim(0, a)) for a in range(2, rank)), None
    given = c.attr("scales") if c.attr("scales") is not None else tuple(float(s) for s in c.content(scales_slot))
    factors = {a: given[i] for i, a in enumerate(chosen)}
    if any(factors.get(a, 1.0) != 1.0 for a in (0, 1)):
        raise UnsupportedError("a resize of the batch or the channels")
    scales = tuple(float(factors.get(a, 1.0)) for a in range(2, rank))
    return tuple(int(np.floor(c.dim(0, 2 + i) * s)) for i, s in enumerate(scales)), scales


def resize(c: Call) -> str:
    """Return Resize; interpolation that torch has no form for is carried."""
    mode = c.attr("mode", "nearest")
    if not 3 <= c.rank() <= 5:
        raise UnsupportedError(f"a resize of rank {c.rank()}")
    size, scales = _targets(c)
    if any(s < 1 for s in size):
        raise ShapeError(f"a resize to {size}")
    old = c.opset < 11 or c.op == "Upsample"
    coordinates = "asymmetric" if old else c.attr("coordinate_transformation_mode", "half_pixel")
    spatial = tuple(c.dim(0, axis) for axis in range(2, c.rank()))
    if mode == "nearest":
        rounding = "floor" if old else c.attr("nearest_mode", "round_prefer_floor")
        coordinates = _nearest(spatial, size, scales, coordinates, rounding)
    else:
        coordinates = _interpolated(c, mode, coordinates, size)
    attrs = {"mode": mode, "size": size, "scales": scales, "coordinate_transformation_mode": coordinates}
    return c.emit("Resize", [c.x(0)], attrs)


def _nearest(
    before: tuple[int, ...], after: tuple[int, ...], scales: tuple[float, ...] | None, coordinates: str, rounding: str
) -> str:
    """Return the coordinate mode whose pixels in torch are those that the file asks for."""
    for mode in ("asymmetric", "half_pixel"):
        pairs = enumerate(zip(before, after, strict=True))
        if all(
            np.array_equal(
                _onnx_index(a, b, None if scales is None else scales[i], coordinates, rounding),
                nearest_index(a, b, mode, None if scales is None else scales[i]),
            )
            for i, (a, b) in pairs
        ):
            return mode
    raise UnsupportedError(f"nearest pixels by {coordinates} and {rounding}")


def _onnx_index(before: int, after: int, scale: float | None, coordinates: str, rounding: str) -> np.ndarray:
    factor = after / before if scale is None else scale
    position = np.arange(after, dtype=np.float64)
    x: np.ndarray
    if coordinates == "asymmetric":
        x = position / factor
    elif coordinates == "align_corners":
        x = position * ((before - 1) / (after - 1) if after > 1 else 0.0)
    elif coordinates in ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric"):
        x = (position + 0.5) / factor - 0.5
        if coordinates == "pytorch_half_pixel" and after == 1:
            x = np.zeros(1)
        if coordinates == "half_pixel_symmetric":
            x = x + before / 2 * (1 - after / (factor * before))
    else:
        raise UnsupportedError(f"coordinates {coordinates}")
    if rounding not in _ROUND:
        raise UnsupportedError(f"rounding {rounding}")
    return np.asarray(np.clip(_ROUND[rounding](x), 0, before - 1), dtype=np.int64)


def _interpolated(c: Call, mode: str, coordinates: str, size: tuple[int, ...]) -> str:
    if mode not in ("linear", "cubic") or c.attr("antialias", 0) or c.attr("exclude_outside", 0):
        raise UnsupportedError(f"interpolation {mode} with antialias or without the outside")
    if mode == "cubic" and (c.rank() != 4 or abs(c.attr("cubic_coeff_a", -0.75) + 0.75) > 1e-6):
        raise UnsupportedError("cubic interpolation of this rank or with other coefficients")
    if coordinates == "align_corners" or (coordinates == "asymmetric" and mode == "linear"):
        return coordinates
    if coordinates == "pytorch_half_pixel" or (coordinates == "half_pixel" and min(size) > 1):
        return "pytorch_half_pixel"
    raise UnsupportedError(f"{mode} interpolation with coordinates {coordinates}")


def _grid_sample(c: Call) -> str:
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(c.attr("mode", "linear"), c.attr("mode", "linear"))
    attrs = {
        "mode": mode,
        "padding_mode": c.attr("padding_mode", "zeros"),
        "align_corners": bool(c.attr("align_corners", 0)),
    }
    return c.carry("GridSample", "GridSample", [c.x(0), c.x(1)], attrs, *attrs.values())[0]


HANDLERS: dict[str, Callable[[Call], Any]] = {"Resize": resize, "Upsample": resize, "GridSample": _grid_sample}
