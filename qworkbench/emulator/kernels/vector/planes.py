"""Codes of a surface as planes of floats, in one pass: what a feature map becomes where the CPU reads it.

Blocks of 16 pixels by 16 channels are turned over as codes, a quarter or half of what floats would take, and leave
widened and scaled. Knows addresses and distances in bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qworkbench.emulator.kernels.calls import RESULT, Call, note, perform
from qworkbench.emulator.kernels.compiled import inner, row_kernel
from qworkbench.emulator.kernels.surface import aligned
from qworkbench.emulator.kernels.values import Surface, new_array
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import intrinsic, types
from qworkbench.emulator.kernels.vector.transpose import BLOCK, transposed

X, X_IMAGE, PLACES, IMAGES, CHANNELS, AREA, SCALES, SCALE_STEP, OUT = range(9)
FLOAT = 4  # bytes


def _block(element: Any) -> Any:
    """Return the intrinsic that writes a block of codes of this type as floats."""
    size = element.width // 8

    @intrinsic
    def block(typing_context: Any, x: Any, places: Any, scales: Any, scale_step: Any, out: Any, plane: Any) -> Any:
        """``out[j, i] = float32(code j behind x + places[i]) * scales[j]`` for 16 x 16."""

        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            x, places, scales, scale_step, out, plane = args
            starts = [b.add(x, v.load(b, b.add(places, v.word(8 * i)), v.i64, 8)) for i in range(BLOCK)]
            rows = [v.load(b, start, v.vector(element, BLOCK), size) for start in starts]
            for j, row in enumerate(transposed(b, rows)):
                scale = v.load(b, b.add(scales, b.mul(scale_step, v.word(j))), v.f32, FLOAT)
                real = b.sitofp(b.sext(row, v.vector(v.i32, BLOCK)), v.vector(v.f32, BLOCK))
                v.store(b, b.fmul(real, v.splat(b, scale, BLOCK)), b.add(out, b.mul(plane, v.word(j))), FLOAT)
            return context.get_dummy_value()

        return types.void(*([types.int64] * 6)), generate

    return block


_block8, _block16 = _block(v.i8), _block(v.i16)


@inner
def _planes(p: Any, size: int) -> None:
    """Write all images; by pointers, which compile faster than arrays."""
    channels, area, places, step = p[CHANNELS], p[AREA], v.int64_at(p[PLACES]), p[SCALE_STEP]
    for n in range(p[IMAGES]):
        x, out = p[X] + n * p[X_IMAGE], p[OUT] + n * channels * area * FLOAT
        if channels < BLOCK or area < BLOCK:
            for c in range(channels):
                scale, plane = v.float32_at(p[SCALES] + c * step)[0], v.float32_at(out + c * area * FLOAT)
                for i in range(area):
                    at = x + places[i] + c * size
                    plane[i] = np.float32(v.int8_at(at)[0] if size == 1 else v.int16_at(at)[0]) * scale
            continue
        for first in range(0, area, BLOCK):
            pixel = min(first, area - BLOCK)  # the last block overlaps the one before it
            for begin in range(0, channels, BLOCK):
                c = min(begin, channels - BLOCK)
                at, to, scales = x + c * size, out + (c * area + pixel) * FLOAT, p[SCALES] + c * step
                if size == 1:
                    _block8(at, p[PLACES] + 8 * pixel, scales, step, to, area * FLOAT)
                else:
                    _block16(at, p[PLACES] + 8 * pixel, scales, step, to, area * FLOAT)


@row_kernel
def _planes_of_int8(row: int) -> None:
    """``out[n, c, i] = float32(q) * s``, q the code of channel c at ``x + n * X_IMAGE + places[i]``."""
    _planes(v.int64_at(row), 1)


@row_kernel
def _planes_of_int16(row: int) -> None:
    """Compute the same of int16."""
    _planes(v.int64_at(row), 2)


def dequantized_planes(q: np.ndarray, surface: Surface, scales: np.ndarray) -> np.ndarray:
    """Return ``float32(q) * s`` of the codes `q` that `surface` shows, C-contiguous; float32 `scales` (1,) or (C,)."""
    batch, channels, height, width = q.shape
    image, _, line, pixel = q.strides
    places = aligned(height * width, np.int64)
    places.reshape(height, width)[...] = np.arange(height)[:, None] * line + np.arange(width) * pixel
    out = new_array(q.shape, np.float32)
    steps = np.ascontiguousarray(scales, np.float32)
    step = FLOAT if steps.size > 1 else 0
    row = np.array((
        0, image, places.ctypes.data, batch, channels, places.size, steps.ctypes.data, step, 0,
    ))  # fmt: skip
    call = Call(_planes_of_int8 if q.itemsize == 1 else _planes_of_int16, row, ((X, 0, 0), (OUT, RESULT, 0)))
    perform(call, (surface.origin,), out.ctypes.data)
    note((q,), (out,), (call,), (places, steps))
    return out
