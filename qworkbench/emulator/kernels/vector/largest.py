"""The largest code of every window of a surface: rows first, then columns, codes side by side.

The rows of a window are combined to a line with room for the pixels beside the image, which are the least code; a line
stays in the first-level cache. Then each output pixel is the largest of a few pixels of the line; where windows advance
pixel by pixel, a whole row of outputs is one run of bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qworkbench.emulator.kernels.calls import RESULT, Call, note, perform
from qworkbench.emulator.kernels.compiled import inner, row_kernel
from qworkbench.emulator.kernels.isa import PORTABLE, vectors
from qworkbench.emulator.kernels.surface import new_surface, surface_of
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import carray, cgutils, intrinsic, types
from qworkbench.numerics.arithmetic import ConvGeometry

MARGIN = 1
BLOCK = 64  # bytes
(X, X_IMAGE, X_ROW, OUT, OUT_IMAGE, OUT_ROW, BATCH, HEIGHT, WIDTH, OUT_HEIGHT, OUT_WIDTH, PITCH, ROWS, COLUMNS,
 STRIDE_H, STRIDE_W, TOP, LEFT, DILATION_H, DILATION_W, BYTES) = range(21)  # fmt: skip


def _written(b: Any, element: Any, source: Any, taps: Any, distance: Any, target: Any, length: Any) -> None:
    """Write ``target[i] = max over t < taps of source[t * distance + i]``, all in bytes of codes of one kind."""
    size = element.width // 8
    kind = v.vector(element, BLOCK // size)

    def best(at: Any) -> Any:
        room = cgutils.alloca_once(b, kind)
        b.store(v.load(b, at, kind), room)
        with cgutils.for_range(b, b.sub(taps, v.word(1)), intp=v.i64) as tap:
            other = v.load(b, b.add(at, b.mul(b.add(tap.index, v.word(1)), distance)), kind)
            here = b.load(room)
            b.store(b.select(b.icmp_signed(">", here, other), here, other), room)
        return b.load(room)

    blocks, rest = b.lshr(length, v.word(6)), b.and_(length, v.word(BLOCK - 1))
    with cgutils.for_range(b, blocks, intp=v.i64) as block:
        at = b.shl(block.index, v.word(6))
        v.store(b, best(b.add(source, at)), b.add(target, at))
    with b.if_then(b.icmp_signed("!=", rest, v.word(0))):
        at = b.shl(blocks, v.word(6))
        mask = b.sub(b.shl(v.word(1), b.udiv(rest, v.word(size))), v.word(1))
        v.masked_store(b, best(b.add(source, at)), b.add(target, at), mask)


@intrinsic
def _largest_of(typing_context: Any, size: Any, source: Any, taps: Any, distance: Any, target: Any, length: Any) -> Any:
    """``target[i] = max over t < taps of source[t * distance + i]`` for `length` bytes of codes of `size` bytes.

    It may read a block more.
    """

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        size, *given = args
        with b.if_else(b.icmp_signed("==", size, v.word(1))) as branches:
            for branch, element in zip(branches, (v.i8, v.i16), strict=True):
                with branch:
                    _written(b, element, *given)
        return context.get_dummy_value()

    return types.void(*([types.int64] * 6)), generate


@inner
def _lowest(size: int, start: int, length: int) -> None:
    """Fill `length` bytes with the least code of `size` bytes."""
    if size == 1:
        carray(v.int8_at(start), length)[:] = np.int8(-128)
    else:
        carray(v.int16_at(start), length // 2)[:] = np.int16(-32768)


@row_kernel
def _largest(p: int) -> None:
    """``out[n, i, j, c] = max over the window's pixels in the image of x[n, ., ., c]``, the least code if none is."""
    x_row, height, width = v.word_at(p + 8 * X_ROW), v.word_at(p + 8 * HEIGHT), v.word_at(p + 8 * WIDTH)
    out_height, out_width = v.word_at(p + 8 * OUT_HEIGHT), v.word_at(p + 8 * OUT_WIDTH)
    size, pitch, columns = v.word_at(p + 8 * BYTES), v.word_at(p + 8 * PITCH), v.word_at(p + 8 * COLUMNS)
    down, across = v.word_at(p + 8 * DILATION_H), v.word_at(p + 8 * DILATION_W)
    stride, left = v.word_at(p + 8 * STRIDE_W), v.word_at(p + 8 * LEFT)
    reach = max((out_width - 1) * stride + (columns - 1) * across + 1, left + width)
    line = np.empty(reach * pitch + BLOCK, np.int8)
    begin = line.ctypes.data
    _lowest(size, begin, line.size)
    inside = begin + left * pitch
    for n in range(v.word_at(p + 8 * BATCH)):
        image = v.word_at(p + 8 * X) + n * v.word_at(p + 8 * X_IMAGE)
        for i in range(out_height):
            top = i * v.word_at(p + 8 * STRIDE_H) - v.word_at(p + 8 * TOP)
            first = 0 if top >= 0 else (-top + down - 1) // down
            last = min(v.word_at(p + 8 * ROWS), (height - top + down - 1) // down)
            if first < last:
                _largest_of(
                    size, image + (top + first * down) * x_row, last - first, down * x_row, inside, width * pitch
                )
            else:
                _lowest(size, inside, width * pitch)
            out = v.word_at(p + 8 * OUT) + n * v.word_at(p + 8 * OUT_IMAGE) + i * v.word_at(p + 8 * OUT_ROW)
            if stride == 1:
                _largest_of(size, begin, columns, across * pitch, out, out_width * pitch)
            else:
                for j in range(out_width):
                    _largest_of(size, begin + j * stride * pitch, columns, across * pitch, out + j * pitch, pitch)


def largest(x: np.ndarray, geometry: ConvGeometry, size: tuple[int, int]) -> np.ndarray | None:
    """Return the max pool of the int8 or int16 surface `x` to `size`; None where `x` is none."""
    surface = None if vectors() == PORTABLE or x.dtype not in (np.int8, np.int16) else surface_of(x)
    if surface is None:
        return None
    pitch = surface.shape[3]
    out = new_surface((*x.shape[:2], *size), x.dtype, MARGIN if size[0] * size[1] > 1 else 0, pitch)
    to = surface_of(out)
    assert to is not None
    row = np.array((
        0, *surface.strides[:2], 0, *to.strides[:2], len(x), *x.shape[2:], *size, pitch * x.itemsize,
        *geometry.kernel, *geometry.strides, *geometry.pads[:2], *geometry.dilations, x.itemsize,
    ))  # fmt: skip
    call = Call(_largest, row, ((X, 0, 0), (OUT, RESULT, 0)))
    perform(call, (surface.origin,), to.origin)
    note((x,), (out,), (call,), None)
    return out
