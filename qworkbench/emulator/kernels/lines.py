"""Feature maps as lines, the one form in which elementwise kernels meet them: runs of adjacent numbers, evenly apart.

A contiguous array is a single line; a surface has one line per image row (its pixels with all their channels, margin
left out), and gives a surface of the same layout. An operand that broadcasts repeats by steps of zero. Knows no
arithmetic; what lies behind the last channel of a surface's pixel is computed along and never seen.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from qworkbench.emulator.kernels.surface import new_surface, surface_of, surfaced
from qworkbench.emulator.kernels.values import Surface, new_array, value_of

Line = tuple[np.ndarray, tuple[int, int, int, int]]
"""1-D memory, and in elements: where the first line starts, the steps to the next image, line and element (1 or 0)."""
Span = tuple[int, int, int]
"""Images, lines of an image, elements of a line."""
SAME, ADJACENT = (0, 0, 0, 0), (0, 0, 0, 1)


def lined(dtype: Any, *operands: np.ndarray) -> tuple[np.ndarray, Span, Line, list[Line]]:
    """Return a new array for ``function(*operands)`` elementwise, the span of its lines, its lines, the operands'.

    Operands broadcast. Their memory is read-only, so that kernels compile once and not once per owner.
    """
    shape = operands[0].shape
    if any(operand.shape != shape for operand in operands[1:]):
        shape = np.broadcast_shapes(*(operand.shape for operand in operands))
    for operand in operands:
        surface = surface_of(operand)
        if surface is not None and surface.inside == shape:
            return _on_surface(dtype, surface, operands)
    return _in_order(dtype, shape, operands)


def _on_surface(
    dtype: Any, like: Surface, operands: tuple[np.ndarray, ...]
) -> tuple[np.ndarray, Span, Line, list[Line]]:
    batch, _, height, width = like.inside
    out = new_surface(like.inside, dtype, like.margin, like.shape[3])
    to = surface_of(out)
    assert to is not None
    memory, at = _lines_of(to)
    memory.flags.writeable = True
    return out, (batch, height, width * like.shape[3]), (memory, at), [_beside(like, operand) for operand in operands]


def _lines_of(surface: Surface) -> Line:
    memory = np.ndarray((surface.size,), surface.dtype, surface)
    memory.flags.writeable = False
    pitch, row = surface.shape[3], surface.shape[2] * surface.shape[3]
    return memory, (surface.margin * (row + pitch), surface.shape[1] * row, row, 1)


def _beside(like: Surface, operand: np.ndarray) -> Line:
    """Return the lines of `operand` as those of `like` run."""
    if operand.size == 1:
        return _read_only(operand), SAME
    pitch, (_, channels, _, width) = like.shape[3], like.inside
    if operand.shape == like.inside:
        found = surface_of(operand)
        if found is None or found.shape[3] != pitch:
            found = surfaced(np.ascontiguousarray(operand), operand.dtype, 0, pitch)
        return _lines_of(found)
    whole = operand.reshape((1,) * (4 - operand.ndim) + operand.shape)
    if whole.shape[2:] != (1, 1):
        return _lines_of(surfaced(np.ascontiguousarray(np.broadcast_to(whole, like.inside)), whole.dtype, 0, pitch))
    images = len(whole)
    line = np.zeros((images, width, pitch), whole.dtype)
    line[:, :, :channels] = whole.reshape(images, 1, -1)
    return _read_only(line), (0, 0 if images == 1 else width * pitch, 0, 1)


def _read_only(array: np.ndarray) -> np.ndarray:
    memory = array.reshape(-1)
    if memory.flags.writeable:
        memory = memory.view()
        memory.flags.writeable = False
    return memory


def _in_order(
    dtype: Any, shape: tuple[int, ...], operands: tuple[np.ndarray, ...]
) -> tuple[np.ndarray, Span, Line, list[Line]]:
    out = new_array(shape, dtype)
    # what repeats by steps of its own, as numpy broadcasts: kernels ask that of none but operands of fewer elements
    operands = tuple(np.ascontiguousarray(operand) if 0 in operand.strides else operand for operand in operands)
    if all((x.shape == shape and x.flags.c_contiguous) or x.size == 1 for x in operands):
        lines = [(_read_only(x), SAME if x.size == 1 < out.size else ADJACENT) for x in operands]
        return out, (1, 1, out.size), (out.reshape(-1), ADJACENT), lines
    steps = [steps_of(operand, shape) for operand in operands]
    sizes, steps = merged_axes(shape, steps)
    if len(sizes) > 3 or any(step[-1] not in (0, 1) or min(step) < 0 for step in steps):
        whole = tuple(np.ascontiguousarray(np.broadcast_to(operand, shape)) for operand in operands)
        return _in_order(dtype, shape, whole)
    images, rows, length = (1,) * (3 - len(sizes)) + sizes
    lines = []
    for operand, step in zip(operands, steps, strict=True):
        image, row, one = (0,) * (3 - len(step)) + step
        lines.append((_reach(operand), (0, image, row, one)))
    return out, (images, rows, length), (out.reshape(-1), (0, rows * length, length, 1)), lines


def steps_of(operand: np.ndarray, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the distance in elements of neighbours along each axis of `shape`; 0 where `operand` repeats."""
    own = [0 if n == 1 else s // operand.itemsize for n, s in zip(operand.shape, operand.strides, strict=True)]
    return (0,) * (len(shape) - operand.ndim) + tuple(own)


def memory_order(array: np.ndarray) -> tuple[int, ...]:
    """Return the axes of `array` from the largest step in memory to the smallest."""
    return descending(array.strides)


def descending(strides: tuple[int, ...]) -> tuple[int, ...]:
    """Return the axes from the largest step in memory to the smallest."""
    return tuple(sorted(range(len(strides)), key=lambda axis: -strides[axis]))


def merged_axes(shape: tuple[int, ...], steps: list[tuple[int, ...]]) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """Return as few axes as hold the same elements: neighbours merge where every operand runs on through both."""
    sizes: list[int] = [1]
    found: list[list[int]] = [[1] for _ in steps]
    for axis in reversed(range(len(shape))):
        size, here = shape[axis], [step[axis] for step in steps]
        if size == 1:
            continue
        if sizes == [1]:
            sizes, found = [size], [[step] for step in here]
        elif all(step == own[0] * sizes[0] for step, own in zip(here, found, strict=True)):
            sizes[0] *= size
        else:
            sizes.insert(0, size)
            for own, step in zip(found, here, strict=True):
                own.insert(0, step)
    return tuple(sizes), [tuple(own) for own in found]


class Runs(NamedTuple):
    """Runs of adjacent numbers: sizes along each axis, the last that of a run; bytes between them, here and there."""

    sizes: tuple[int, ...]
    here: tuple[int, ...]
    there: tuple[int, ...]


@lru_cache(1024)
def runs_of(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int, axes: int) -> Runs | None:
    """Return how runs of an array lie, here and in a C-contiguous copy, in so many axes; None where they do not."""
    if 0 in shape or min(strides, default=0) < 0:
        return None
    dense = [itemsize]
    for size in shape[:0:-1]:
        dense.insert(0, dense[0] * size)
    steps = [tuple(step // itemsize for step in own) for own in (strides, dense[: len(shape)])]
    sizes, (left, right) = merged_axes(shape, steps)
    if len(sizes) > axes or left[-1] != 1:
        return None
    more = axes - len(sizes)
    here, there = ((0,) * more + tuple(step * itemsize for step in own) for own in (left, right))
    return Runs((1,) * more + sizes, here, there)


def _reach(operand: np.ndarray) -> np.ndarray:
    """Return the 1-D memory from the first element of `operand` to its last."""
    if operand.flags.c_contiguous:
        return _read_only(operand)
    extent = 1 + sum((n - 1) * s for n, s in zip(operand.shape, operand.strides, strict=True)) // operand.itemsize
    return np.lib.stride_tricks.as_strided(operand, (extent,), (operand.itemsize,), writeable=False)


def placed(line: Line) -> tuple[int, int, int, int]:
    """Return the address of the first line, and in bytes the steps to the next image, line and element."""
    memory, (first, image, row, one) = line
    size = memory.itemsize
    return int(memory.ctypes.data) + first * size, image * size, row * size, one * size


def lies_alone(array: np.ndarray, address: int) -> bool:
    """Tell whether a line that begins at `address` is memory of `array` itself, seen as prepared calls see it."""
    value = value_of(array)
    return value.layout is not None and value.origin == address
