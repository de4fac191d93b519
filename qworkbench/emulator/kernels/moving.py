"""Codes that move and do not change: concatenation, nearest neighbours and pieces of surfaces, surfaces again after.

A surface keeps its pixels together, so these are copies of whole pixels; of other arrays, runs of adjacent numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qworkbench.emulator.kernels.calls import RESULT, Call, note, perform
from qworkbench.emulator.kernels.lines import runs_of
from qworkbench.emulator.kernels.surface import inside_of, new_surface, planes_of, surface_of, surfaced
from qworkbench.emulator.kernels.values import new_array, value_of
from qworkbench.numerics import checks

MARGIN = 1
MOST_MAPS = 64  # of one call
RUN = 16  # bytes beside each other from which on numpy's copy is the slower one


def _copied(
    operands: Sequence[np.ndarray], outs: Sequence[np.ndarray], maps: list[tuple[int, ...]], shape: tuple[int, ...]
) -> None:
    """Copy maps of ``shape[0]`` images, ``shape[2]`` rows and ``shape[3]`` columns, line by line.

    A map is operand, distance from its origin, steps of image, row and pixel; the same of a result; bytes of a pixel.
    """
    from qworkbench.emulator.kernels.vector import pixels as at

    row = np.zeros(at.MAPS + at.MAP_WORDS * len(maps), np.int64)
    row[: at.MAPS] = len(maps), shape[0], shape[2], shape[3]
    slots = []
    for index, (operand, distance, *steps, result, to_distance, to_image, to_row, to_pixel, size) in enumerate(maps):
        first = at.MAPS + at.MAP_WORDS * index
        row[first + 1 : first + 4] = steps
        row[first + 5 : first + at.MAP_WORDS] = to_image, to_row, to_pixel, size
        slots += [(first, operand, distance), (first + 4, RESULT - result, to_distance)]
    call = Call(at.copy_maps, row, tuple(slots))
    perform(call, [value_of(x).origin for x in operands], *(value_of(out).origin for out in outs))
    if len(maps) <= MOST_MAPS:
        note(operands, outs, (call,), None)


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
    sources = [surfaced(x, x.dtype, 0) if on is None else on for x, on in zip(arrays, found, strict=True)]
    channel, maps = 0, []
    for index, source in enumerate(sources):
        size = source.inside[1] * to.itemsize
        maps.append((index, 0, *source.strides[:3], 0, channel, *to.strides[:3], size))
        channel += size
    shown = [x if on is source else inside_of(source) for x, on, source in zip(arrays, found, sources, strict=True)]
    _copied(shown, (whole,), maps, whole.shape)
    return whole


def channels_of(x: np.ndarray, sizes: Sequence[int]) -> tuple[np.ndarray, ...]:
    """Return so many channels each of the surface that `x` shows, on surfaces of their own."""
    (batch, _, height, width), of = x.shape, surface_of(x)
    assert of is not None
    parts = tuple(new_surface((batch, size, height, width), of.dtype, MARGIN) for size in sizes)
    maps, channel = [], 0
    for index, part in enumerate(parts):
        to = surface_of(part)
        assert to is not None
        size = part.shape[1] * of.itemsize
        maps.append((0, channel, *of.strides[:3], index, 0, *to.strides[:3], size))
        channel += size
    _copied((x,), parts, maps, x.shape)
    return parts


def resurfaced(part: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Return `part` on a surface of its own where it is a view of channels, rows and columns of one; else itself."""
    surface = surface_of(of)
    if surface is None or part.ndim != 4 or not part.size or part.dtype != surface.dtype or min(part.strides) < 0:
        return part
    address, begin = int(part.ctypes.data), surface.origin - surface.layout.first
    if not begin <= address < begin + surface.nbytes or (part.shape[1] > 1 and part.strides[1] != part.itemsize):
        return part
    whole = new_surface(part.shape, part.dtype, MARGIN)
    to = surface_of(whole)
    assert to is not None
    image, _, row, pixel = part.strides
    size = part.shape[1] * part.itemsize
    _copied(
        (of,), (whole,), [(0, address - surface.origin, image, row, pixel, 0, 0, *to.strides[:3], size)], part.shape
    )
    return whole


def compacted(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return `x` C-contiguous in another `shape`, copied run by run; None where that is not worth it."""
    runs = None if surface_of(x) is not None else runs_of(x.shape, x.strides, x.itemsize, 4)
    if runs is None or runs.sizes[-1] * x.itemsize < RUN:
        return None
    out = new_array(shape, x.dtype)
    images, rows, columns, run = runs.sizes
    maps = [(0, 0, *runs.here[:3], 0, 0, *runs.there[:3], run * x.itemsize)]
    _copied((x,), (out,), maps, (images, 0, rows, columns))
    return out


def resize_nearest(x: np.ndarray, out_hw: tuple[int, int], index_h: np.ndarray, index_w: np.ndarray) -> np.ndarray:
    """Return ``y[..., i, j] = x[..., index_h[i], index_w[j]]``; see :mod:`qworkbench.numerics.reference.resize`."""
    from qworkbench.emulator.kernels.vector.pixels import gathering

    checks.codes("resize_nearest", x)
    checks.resize("resize_nearest", x, (index_h, index_w), out_hw)
    surface = surface_of(x)
    if surface is None:
        return np.ascontiguousarray(np.take(np.take(x, index_h, axis=2), index_w, axis=3))
    out = new_surface((*x.shape[:2], *out_hw), x.dtype, MARGIN, surface.shape[3])
    to = surface_of(out)
    assert to is not None
    image, row, pixel, _ = surface.strides
    rows, columns = index_h.astype(np.int64) * row, index_w.astype(np.int64) * pixel
    call = gathering(image, rows, columns, to, x.shape[1])
    perform(call, (surface.origin,), to.origin)
    note((x,), (out,), (call,), (rows, columns))
    return out
