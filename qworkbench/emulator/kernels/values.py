"""Results in memory, whose arrays are made when somebody asks for them: most pass from kernel to kernel by address.

A :class:`Layout` says what lies there: the inside of a surface, a C-contiguous array, or a view of either by steps.
Equal layouts are the same object, so that prepared calls are found by identity. Knows no kernel.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from qworkbench.emulator.kernels.memory import Memory, block_size, borrowed

CHANNELS = 16  # the pitch of a surface is a multiple of this
Edge = tuple[int, int, int, int, int]
"""Images, lines of an image, bytes of a line, bytes of its margin, the margin in pixels."""


class Surface(np.ndarray[Any, Any]):
    """The whole memory of a feature map, as (N, H + 2 margin, W + 2 margin, pitch)."""

    layout: Layout
    origin: int  # address of channel 0 of the first pixel inside

    @property
    def margin(self) -> int:
        """Pixels around each image."""
        return self.layout.margin

    @property
    def inside(self) -> tuple[int, ...]:
        """What is shown: (N, C, H, W)."""
        return self.layout.shape

    @property
    def seen(self) -> tuple[int, ...]:
        """Strides of the view of the inside."""
        return self.layout.strides


class Layout:
    """What lies where, in bytes; made by :func:`surface_layout`, :func:`plain_layout` and :func:`view_layout` only.

    Attributes
    ----------
    shape : tuple of int
        What the array shows; (N, C, H, W) on a surface.
    dtype : numpy.dtype
    whole : tuple of int or None
        Shape of the surface; None for any other array.
    margin : int
    strides : tuple of int
        Of what is shown; empty for a C-contiguous array.
    first : int
        Distance of the first element shown from the start.
    edge : tuple or None
        What has to be zero around the images, where there is a margin.
    size, block : int
        Bytes from the start to the end, and of the block that holds it alone.
    """

    __slots__ = ("block", "dtype", "edge", "first", "margin", "nbytes", "shape", "size", "strides", "whole")

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        margin: int = 0,
        whole: tuple[int, ...] | None = None,
        strides: tuple[int, ...] = (),
    ) -> None:
        self.shape, self.dtype, self.margin, self.whole, self.strides = shape, dtype, margin, whole, strides
        self.edge: Edge | None = None
        self.first, item = 0, dtype.itemsize
        self.nbytes = item * math.prod(shape)
        self.size = (
            item + sum((n - 1) * step for n, step in zip(shape, strides, strict=True)) if strides else self.nbytes
        )
        if whole is not None:
            pixel = whole[3] * item
            row = whole[2] * pixel
            image = whole[1] * row
            self.strides = (image, item, row, pixel)
            self.first = margin * (row + pixel)
            self.size = whole[0] * image
            if margin:
                self.edge = whole[0], whole[1], row, pixel * margin, margin
        self.block = block_size(self.size)

    @property
    def is_view(self) -> bool:
        """Tell whether this is a view by steps, which no memory of its own lies like."""
        return self.whole is None and bool(self.strides)

    def holds(self, other: Layout, distance: int) -> bool:
        """Tell whether what `other` shows, so far behind the first element shown here, lies within this memory."""
        return self.first + distance >= 0 and self.first + distance + other.size <= self.size


@lru_cache(4096)
def _surface_layout(shape: tuple[int, ...], dtype: np.dtype[Any], margin: int, pitch: int) -> Layout:
    whole = (shape[0], shape[2] + 2 * margin, shape[3] + 2 * margin, pitch)
    return Layout(shape, dtype, margin, whole)


def surface_layout(shape: tuple[int, ...], dtype: Any, margin: int, pitch: int) -> Layout:
    """Return the layout of a surface whose inside is `shape` = (N, C, H, W)."""
    return _surface_layout(tuple(shape), np.dtype(dtype), margin, pitch)


@lru_cache(4096)
def _plain_layout(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Layout:
    return Layout(shape, dtype)


def plain_layout(shape: tuple[int, ...], dtype: Any) -> Layout:
    """Return the layout of a C-contiguous array."""
    return _plain_layout(tuple(shape), np.dtype(dtype))


@lru_cache(4096)
def _view_layout(shape: tuple[int, ...], dtype: np.dtype[Any], strides: tuple[int, ...]) -> Layout:
    return Layout(shape, dtype, strides=strides)


def view_layout(shape: tuple[int, ...], dtype: Any, strides: tuple[int, ...]) -> Layout:
    """Return the layout of an array whose neighbours are `strides` bytes apart, none of them negative."""
    return _view_layout(tuple(shape), np.dtype(dtype), tuple(strides))


class Value:
    """A result in memory.

    Attributes
    ----------
    layout : Layout or None
        None for an array that lies otherwise than kernels are prepared for.
    origin : int
        Address of the first element shown.
    viewed : bool
        Whether it is another result's memory, seen otherwise.
    """

    __slots__ = ("_array", "_frozen", "_memory", "_offset", "layout", "origin", "viewed")

    def __init__(self, layout: Layout | None, origin: int, memory: Memory | None, offset: int = 0) -> None:
        self.layout, self.origin, self._memory, self._offset = layout, origin, memory, offset
        self._array: np.ndarray | None = None
        self._frozen = self.viewed = False

    @property
    def array(self) -> np.ndarray:
        """The result as an array; a view of its surface where it lies on one."""
        if self._array is None:
            layout, memory = self.layout, self._memory
            assert layout is not None
            assert memory is not None
            if layout.whole is None:
                self._array = np.ndarray(layout.shape, layout.dtype, memory, self._offset, layout.strides or None)
            else:
                surface = Surface(layout.whole, layout.dtype, memory, self._offset)
                surface.layout, surface.origin = layout, self.origin
                self._array = np.ndarray(layout.shape, layout.dtype, surface, layout.first, layout.strides)
            if self._frozen:
                self._array.flags.writeable = False
        return self._array

    @property
    def nbytes(self) -> int:
        """Bytes of what is shown."""
        return self.layout.nbytes if self._array is None and self.layout is not None else self.array.nbytes

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the numbers."""
        return self.layout.dtype if self.layout is not None else self.array.dtype

    @property
    def count(self) -> int:
        """How many numbers are shown."""
        return self.nbytes // self.dtype.itemsize

    @property
    def unclean(self) -> bool:
        """Tell whether a margin has to become zero before the result is read."""
        layout, memory = self.layout, self._memory
        return memory is not None and layout is not None and layout.edge is not None and memory.clean is not layout

    def cleaned(self) -> None:
        """Say that the margin is zero; nobody writes there, so it stays so for the next results of this layout."""
        if self._memory is not None and self.layout is not None and self.layout.edge is not None:
            self._memory.clean = self.layout

    def seen_as(self, layout: Layout, distance: int = 0) -> Value:
        """Return the same memory as the array or view `layout`, whose first element lies `distance` bytes on."""
        first = 0 if self.layout is None else self.layout.first
        value = Value(layout, self.origin + distance, self._memory, self._offset + first + distance)
        if self._memory is None:
            value._array = _seen(self.array, layout, distance)
        value._frozen = value.viewed = True
        return value

    def freeze(self) -> None:
        """Make the array read-only, since others share it."""
        self._frozen = True
        if self._array is not None:
            self._array.flags.writeable = False


def _seen(array: np.ndarray, layout: Layout, distance: int) -> np.ndarray:
    if array.flags.c_contiguous and not layout.strides and not distance and array.nbytes == layout.nbytes:
        return array.reshape(layout.shape)
    step = layout.dtype.itemsize
    begin = np.lib.stride_tricks.as_strided(array, (distance // step + 1,), (step,), writeable=False)[-1:]
    strides = layout.strides or np.empty(layout.shape, layout.dtype).strides
    return np.lib.stride_tricks.as_strided(begin, layout.shape, strides, writeable=False)


def value_of(array: np.ndarray) -> Value:
    """Return an array as a value."""
    surface = array.base
    if (
        type(surface) is Surface
        and array.shape == surface.inside
        and array.strides == surface.seen
        and array.dtype == surface.dtype
    ):
        value = Value(surface.layout, surface.origin, None)
    elif array.flags.c_contiguous:
        value = Value(plain_layout(array.shape, array.dtype), array.ctypes.data, None)
    elif array.size and min(array.strides) >= 0:
        value = Value(view_layout(array.shape, array.dtype, array.strides), array.ctypes.data, None)
    else:
        value = Value(None, 0, None)
    value._array = array
    return value


def new_value(layout: Layout) -> Value:
    """Return room for a result, uninitialized."""
    memory, offset, address = borrowed(layout.block, layout)
    return Value(layout, address + layout.first, memory, offset)


def new_array(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return an uninitialized C-contiguous array that begins on a vector line."""
    return new_value(plain_layout(shape, dtype)).array
