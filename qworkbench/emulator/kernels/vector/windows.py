"""Where the windows of a convolution begin, where its taps lie, and its weights in that order. Knows no scales."""

from __future__ import annotations

import numpy as np

from qworkbench.emulator.kernels.surface import margin_of, pitch_of
from qworkbench.emulator.kernels.values import Surface
from qworkbench.emulator.kernels.vector.paths import Path
from qworkbench.emulator.kernels.vector.product import packed_weights
from qworkbench.numerics.arithmetic import ConvGeometry


def panels_of(
    path: Path, w: np.ndarray, geometry: ConvGeometry, pitch: int
) -> tuple[np.ndarray, tuple[int, int, int], np.ndarray]:
    """Return packed weights, the shape of their dense form, and each panel's first input channel.

    A kernel row of adjacent pixels is one tap, contiguous in memory, where there is one group and no dilation along W.
    With groups, a panel reads the channels of the groups that it touches, against zeros where they are not its own.
    """
    outputs, inputs, kernel_h, kernel_w = w.shape
    wide, tail = path.panels(outputs)
    panels = wide + bool(tail)
    if geometry.group == 1:
        dense = dense_of(path, w, geometry, pitch)
        return packed_weights(path, dense), dense.shape, np.zeros(panels, np.int64)
    taps = w.transpose(0, 2, 3, 1)
    per_group = outputs // geometry.group
    first = np.arange(panels) * path.channels // per_group
    last = (np.minimum((np.arange(panels) + 1) * path.channels, outputs) - 1) // per_group
    length = int((last - first).max() + 1) * inputs
    room = np.zeros((outputs, kernel_h, kernel_w, length), path.codes)
    for output in range(outputs):
        at = (output // per_group - first[output // path.channels]) * inputs
        room[output, :, :, at : at + inputs] = taps[output]
    dense = room.reshape(outputs, kernel_h * kernel_w, length)
    return packed_weights(path, dense), dense.shape, first * inputs


def dense_of(path: Path, w: np.ndarray, geometry: ConvGeometry, pitch: int) -> np.ndarray:
    """Return the weights of one group as (outputs, taps, length)."""
    outputs, inputs, kernel_h, kernel_w = w.shape
    room = np.zeros((outputs, kernel_h, kernel_w, pitch), path.codes)
    room[..., :inputs] = w.transpose(0, 2, 3, 1)
    if geometry.dilations[1] == 1:
        return room.reshape(outputs, kernel_h, kernel_w * pitch)[:, :, : (kernel_w - 1) * pitch + inputs]
    return room[..., :inputs].reshape(outputs, kernel_h * kernel_w, inputs)


def taps_of(surface: Surface, geometry: ConvGeometry, count: int) -> np.ndarray:
    """Return the byte offset of each tap from a window's first pixel."""
    _, row, pixel, _ = surface.strides
    down = np.arange(geometry.kernel[0]) * geometry.dilations[0] * row
    if count == geometry.kernel[0] and geometry.dilations[1] == 1 and geometry.group == 1:
        return down
    across = np.arange(geometry.kernel[1]) * geometry.dilations[1] * pixel
    return np.asarray((down[:, None] + across).reshape(-1))


def places_of(surface: Surface, shape: tuple[int, ...], geometry: ConvGeometry) -> tuple[np.ndarray, np.ndarray]:
    """Return the byte offset of each window from the first pixel inside, and the element offset of each output."""
    batch, outputs, height, width = shape
    image, row, pixel, _ = surface.strides
    n, i, j = (np.arange(count) for count in (batch, height, width))
    top, left = geometry.pads[:2]
    windows = (
        n[:, None, None] * image
        + (i[:, None] * geometry.strides[0] - top) * row
        + (j * geometry.strides[1] - left) * pixel
    )
    margin = margin_of(shape)
    line = (width + 2 * margin) * pitch_of(outputs)
    out = n[:, None, None] * (height + 2 * margin) * line + (i[:, None] * line) + j * pitch_of(outputs)
    return windows.reshape(-1), out.reshape(-1)
