"""Codes that move and do not change: concatenation, nearest neighbours and pieces of surfaces, surfaces again after.

A surface keeps its pixels together, so these are copies of whole pixels; other arrays are numpy's business.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qworkbench.emulator.kernels.surface import new_surface, planes_of, surface_of, surfaced
from qworkbench.emulator.kernels.values import Surface
from qworkbench.numerics import checks

MARGIN = 1


def _copy(maps: list[tuple[int, ...]], shape: tuple[int, ...]) -> None:
    """Copy maps of ``shape[0]`` images, ``shape[2]`` rows and ``shape[3]`` columns, line by line."""
    from qworkbench.emulator.kernels.vector.pixels import copy_maps

    copy_maps(np.array(maps, np.int64), shape[0], shape[2], shape[3])


def concat(arrays: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """Return `arrays` one behind the other along `axis`; a surface where one of them is, and `axis` is the channels."""
    first = arrays[0]
    found = [surface_of(array) for array in arrays]
    alike = all(a.dtype == first.dtype and a.shape[2:] == first.shape[2:] and len(a) == len(first) for a in arrays)
    if first.ndim != 4 or axis % 4 != 1 or not alike or not any(surface is not None for surface in found):
        return np.concatenate([planes_of(array) for array in arrays], axis=axis)
    batch, _, height, width = first.shape
    whole = new_surface((batch, sum(a.shape[1] for a in arrays), height, width), first.dtype, MARGIN)
    to = surface_of(whole)
    assert to is not None
    sources = [surfaced(a, a.dtype, 0) if s is None else s for a, s in zip(arrays, found, strict=True)]
    maps, target = [], to.origin
    for source in sources:
        size = source.inside[1] * to.itemsize
        maps.append((source.origin, *source.strides[:3], target, *to.strides[:3], size))
        target += size
    _copy(maps, whole.shape)
    return whole


def channels_of(of: Surface, sizes: Sequence[int]) -> tuple[np.ndarray, ...]:
    """Return so many channels each of the surface `of`, as surfaces of their own."""
    batch, _, height, width = of.inside
    parts = [new_surface((batch, size, height, width), of.dtype, MARGIN) for size in sizes]
    maps, source = [], of.origin
    for part, size in zip(parts, sizes, strict=True):
        to = surface_of(part)
        assert to is not None
        maps.append((source, *of.strides[:3], to.origin, *to.strides[:3], size * of.itemsize))
        source += size * of.itemsize
    _copy(maps, of.inside)
    return tuple(parts)


def resurfaced(part: np.ndarray, of: Surface) -> np.ndarray:
    """Return `part` as a surface of its own where it is a view of channels, rows and columns of `of`; else itself."""
    if part.ndim != 4 or not part.size or part.dtype != of.dtype or min(part.strides) < 0:
        return part
    address, begin = int(part.ctypes.data), of.origin - of.margin * (of.strides[1] + of.strides[2])
    if not begin <= address < begin + of.nbytes or (part.shape[1] > 1 and part.strides[1] != part.itemsize):
        return part
    whole = new_surface(part.shape, part.dtype, MARGIN)
    to = surface_of(whole)
    assert to is not None
    image, _, row, pixel = part.strides
    _copy([(address, image, row, pixel, to.origin, *to.strides[:3], part.shape[1] * part.itemsize)], part.shape)
    return whole


def resize_nearest(x: np.ndarray, out_hw: tuple[int, int], index_h: np.ndarray, index_w: np.ndarray) -> np.ndarray:
    """Return ``y[..., i, j] = x[..., index_h[i], index_w[j]]``; see :mod:`qworkbench.numerics.reference.resize`."""
    checks.codes("resize_nearest", x)
    checks.resize("resize_nearest", x, (index_h, index_w), out_hw)
    from qworkbench.emulator.kernels.vector.pixels import gather

    surface = surface_of(x)
    if surface is None:
        return np.ascontiguousarray(np.take(np.take(x, index_h, axis=2), index_w, axis=3))
    out = new_surface((*x.shape[:2], *out_hw), x.dtype, MARGIN, surface.shape[3])
    to = surface_of(out)
    assert to is not None
    image, row, pixel, _ = surface.strides
    rows, columns = index_h.astype(np.int64) * row, index_w.astype(np.int64) * pixel
    steps = np.array(to.strides[:3])
    gather(surface.origin, image, rows, columns, to.origin, steps, len(x), x.shape[1] * to.itemsize)
    return out
