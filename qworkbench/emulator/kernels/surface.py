"""How feature maps lie in memory between kernels: channels innermost, a margin of zeros around every image.

A :class:`Surface` holds (N, H + 2 m, W + 2 m, pitch); what travels is its inside as an ordinary (N, C, H, W) view, so
that nobody else has to know. A kernel that meets such a view finds the surface behind it by :func:`surface_of` and
reads windows that reach into the margin without padding, copying or gathering first. Code 0 is zero, hence the margin.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import local
from typing import Any

import numpy as np

from qworkbench.emulator.kernels.calls import clear_around
from qworkbench.emulator.kernels.memory import LINE, SLACK
from qworkbench.emulator.kernels.values import CHANNELS, Surface, new_array, new_value, surface_layout

MARGIN = 1  # of a feature map, unless whoever reads it next asks for more
FEW = 4  # up to so many channels lie without gaps where a convolution is to read them: an image


def aligned(count: int, dtype: Any) -> np.ndarray:
    """Return uninitialized memory for `count` numbers that begins on a vector line and may be over-read."""
    size = np.dtype(dtype).itemsize * count
    raw = np.empty(size + LINE + SLACK, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + size].view(dtype)


def on_a_line(array: np.ndarray) -> np.ndarray:
    """Return a flat copy of `array` that begins on a vector line."""
    copy = aligned(array.size, array.dtype)
    copy.reshape(array.shape)[...] = array
    return copy


def pitch_of(channels: int) -> int:
    """Return the distance of two pixels in elements."""
    return -(-channels // CHANNELS) * CHANNELS


def pixel_pitch(channels: int) -> int:
    """Return the pitch of an image, or of a feature map."""
    return channels if channels <= FEW else pitch_of(channels)


class _Asked(local):
    margin = 0


_asked = _Asked()


@contextmanager
def asking(margin: int) -> Iterator[None]:
    """Give new feature maps of this thread at least such a margin meanwhile: windows that read them reach so far."""
    before, _asked.margin = _asked.margin, margin
    try:
        yield
    finally:
        _asked.margin = before


def asked_margin() -> int:
    """Return the margin that is asked for, 0 where nobody does."""
    return _asked.margin


def margin_of(shape: tuple[int, ...]) -> int:
    """Return the margin that a result of this shape is given."""
    return 0 if shape[2] * shape[3] == 1 else max(MARGIN, _asked.margin)


def new_surface(shape: tuple[int, ...], dtype: Any, margin: int, pitch: int | None = None) -> np.ndarray:
    """Return an (N, C, H, W) view of a new surface: inside uninitialized, margin zero, and as wide as is asked for."""
    if shape[2] * shape[3] > 1:
        margin = max(margin, _asked.margin)
    value = new_value(surface_layout(shape, dtype, margin, pitch or pitch_of(shape[1])))
    clear_around(value)
    return value.array


def inside_of(surface: Surface) -> np.ndarray:
    """Return the (N, C, H, W) view of what a surface shows."""
    offset = surface.margin * (surface.strides[1] + surface.strides[2])
    return np.ndarray(surface.inside, surface.dtype, surface, offset, surface.seen)


def surface_of(x: np.ndarray) -> Surface | None:
    """Return the surface that `x` is exactly the inside of; None for any other array."""
    base = x.base
    if type(base) is not Surface or x.shape != base.inside or x.strides != base.seen or x.dtype != base.dtype:
        return None
    return base


def is_surface(x: np.ndarray) -> bool:
    """Tell whether `x` is the inside of a surface."""
    return surface_of(x) is not None


def surfaced(x: np.ndarray, dtype: Any, margin: int, pitch: int | None = None) -> Surface:
    """Return a surface of at least `margin` with the content of the 4-d `x` as `dtype`; `x`'s own where it will do."""
    found = surface_of(x)
    if found is not None and found.dtype == dtype and found.margin >= margin:
        return found
    packed = new_surface(x.shape, dtype, margin, pitch)
    surface = surface_of(packed)
    assert surface is not None
    if found is None and x.dtype == np.int8 == dtype and x.flags.c_contiguous:
        from qworkbench.emulator.kernels.vector.transpose import to_pixels

        to_pixels(x.ctypes.data, surface.origin, np.array(x.shape), np.array(surface.strides[:3]))
    else:
        packed[...] = x
    if surface.shape[3] > x.shape[1]:
        plain = surface.view(np.ndarray)
        plain[:, :, :, x.shape[1] :] = 0
    return surface


def laid_like(codes: np.ndarray, to: Surface) -> Surface:
    """Return `codes` on a surface whose pixels lie as those of `to` do."""
    found = surface_of(codes)
    if found is not None and found.shape == to.shape and found.margin == to.margin:
        return found
    made = new_surface(codes.shape, codes.dtype, to.margin, to.shape[3])
    made[...] = codes
    surface = surface_of(made)
    assert surface is not None
    return surface


def planes_of(x: np.ndarray) -> np.ndarray:
    """Return `x` C-contiguous: the planes of a surface, or :func:`numpy.ascontiguousarray` of anything else."""
    surface = surface_of(x)
    if surface is None or x.flags.c_contiguous:
        return np.ascontiguousarray(x)
    out = new_array(x.shape, x.dtype)
    shape, strides = np.array(x.shape), np.array(surface.strides[:3])
    if x.dtype == np.int8:
        from qworkbench.emulator.kernels.vector.transpose import to_planes

        to_planes(surface.origin, out.ctypes.data, shape, strides)
    else:
        from qworkbench.emulator.kernels.vector.transpose import to_wide_planes

        kind = np.int16 if x.itemsize == 2 else np.int32  # what numbers they are does not matter here
        pixels = np.ndarray((surface.size,), kind, surface)
        to_wide_planes(surface.origin, out.ctypes.data, shape, strides, pixels, out.reshape(-1).view(kind))
    return out


def channels_last(x: np.ndarray) -> np.ndarray:
    """Return the 4-d float32 or int32 `x` with the channels of a pixel beside each other, as an (N, C, H, W) view."""
    batch, channels, height, width = x.shape
    if channels <= FEW:
        few = np.empty((batch, height, width, channels), x.dtype)
        for channel in range(channels):  # faster than numpy's own order of loops
            few[..., channel] = x[:, channel]
        return few.transpose(0, 3, 1, 2)
    if min(channels, height * width) < CHANNELS or not x.flags.c_contiguous or x.itemsize != 4:
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    from qworkbench.emulator.kernels.vector.transpose import to_wide_pixels

    out = np.empty((batch, height, width, channels), x.dtype)
    to_wide_pixels(x.ctypes.data, out.ctypes.data, batch, channels, height * width)
    return out.transpose(0, 3, 1, 2)
