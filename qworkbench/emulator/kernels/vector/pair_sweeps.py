"""Depthwise 3 x 3 in pairs of int16: which blocks run in which order, and how weights lie for them."""

from __future__ import annotations

import numpy as np

from qworkbench.emulator.kernels.compiled import row_kernel
from qworkbench.emulator.kernels.surface import on_a_line
from qworkbench.emulator.kernels.vector import depthwise as at
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.depthwise import bands_of
from qworkbench.emulator.kernels.vector.ir import carray
from qworkbench.emulator.kernels.vector.pairs import pair_kernel

GROUP = 16  # channels; a block begins at any group
BLOCK512, BLOCK256 = 32, 16  # channels of a block

_down1, _down2 = pair_kernel(1, 16, 16), pair_kernel(2, 16, 16)
_half1, _half2 = pair_kernel(1, 8, 16), pair_kernel(2, 8, 16)
_byte1, _byte2 = pair_kernel(1, 8, 8), pair_kernel(2, 8, 8)


@row_kernel
def pairs_avx512(row: int) -> None:
    """Compute 3 x 3 windows of int16, stride 1 or 2 in both directions, 32 channels at once."""
    p = carray(v.int64_at(row), at.WORDS)
    pitch, low, high, mode = p[at.CHANNELS], p[at.LOW], p[at.HIGH], p[at.MODE]
    groups, size, wide = pitch // 16, np.int64(1) << mode, 2 if mode == at.INT16 else 1
    line = (groups + 1) * 32
    stride, pixels = p[at.STRIDE_W], p[at.WIDTH]
    lines, along = (1, pixels * pitch) if stride == 1 else (pixels, pitch)
    for x, out, rows in bands_of(row):
        for w in range(lines):
            for begin in range(0, along, 32):
                j = max(min(begin, along - 32), 0)  # the last block overlaps the one before it
                g, rest = (j // 16) % groups * 32, along - j
                mask = (np.int64(1) << rest) - 1 if rest < 32 else np.int64(-1)
                source, target = x + (stride * w * pitch + j) * 2, out + (w * pitch + j) * size
                weights, bias, scale = p[at.WEIGHTS] + g, p[at.BIAS] + g, p[at.SCALE] + wide * g
                if stride == 1:
                    _down1(
                        source, p[at.X_ROW], p[at.X_PIXEL], rows, weights, line, bias, scale, target,
                        p[at.OUT_ROW], low, high, mask, mode,
                    )  # fmt: skip
                else:
                    _down2(
                        source, p[at.X_ROW], p[at.X_PIXEL], rows, weights, line, bias, scale, target,
                        p[at.OUT_ROW], low, high, mask, mode,
                    )  # fmt: skip


@row_kernel
def pairs_avx2(row: int) -> None:
    """Compute 3 x 3 windows of int8 or int16, stride 1 or 2 in both directions, 16 channels at once."""
    p = carray(v.int64_at(row), at.WORDS)
    pitch, low, high, mode, item = p[at.CHANNELS], p[at.LOW], p[at.HIGH], p[at.MODE], p[at.BYTES]
    groups, size, wide = pitch // 16, np.int64(1) << mode, 2 if mode == at.INT16 else 1
    line, x_row, pixel, out_row = groups * 32, p[at.X_ROW], p[at.X_PIXEL], p[at.OUT_ROW]
    stride = p[at.STRIDE_W]
    for x, out, rows in bands_of(row):
        for w in range(p[at.WIDTH]):
            for c in range(0, pitch, 16):
                g = c * 2
                source, target = x + (stride * w * pitch + c) * item, out + (w * pitch + c) * size
                weights, bias, scale = p[at.WEIGHTS] + g, p[at.BIAS] + g, p[at.SCALE] + wide * g
                if item == 1 and stride == 1:
                    _byte1(source, x_row, pixel, rows, weights, line, bias, scale, target, out_row, low, high, -1, mode)
                elif item == 1:
                    _byte2(source, x_row, pixel, rows, weights, line, bias, scale, target, out_row, low, high, -1, mode)
                elif stride == 1:
                    _half1(source, x_row, pixel, rows, weights, line, bias, scale, target, out_row, low, high, -1, mode)
                else:
                    _half2(source, x_row, pixel, rows, weights, line, bias, scale, target, out_row, low, high, -1, mode)


def halves(
    dots: np.ndarray, start: np.ndarray, scale: np.ndarray, block: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (outputs, dots, 2) weights as [dot][half][group][channel][tap], bias and scale likewise.

    A half holds channels 0..3 and 8..11, or 4..7 and 12..15, of each group, as interleaving leaves them; the first
    groups follow the last, so that a `block` may begin at any.
    """
    groups = start.size // GROUP
    wrapped = np.arange(groups + block // GROUP - 1) % groups
    taps = np.zeros((groups * GROUP, *dots.shape[1:]), np.int16)
    taps[: len(dots)] = dots
    order = taps.reshape(groups, 2, 2, 4, *dots.shape[1:]).transpose(4, 2, 0, 1, 3, 5)[:, :, wrapped]
    bias, factor = (a.reshape(groups, 2, 2, 4).transpose(2, 0, 1, 3)[:, wrapped] for a in (start, scale))
    return on_a_line(order), on_a_line(bias), on_a_line(factor)
