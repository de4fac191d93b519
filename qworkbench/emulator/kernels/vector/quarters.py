"""How weights, biases and scales lie for dots of bytes of channels that are alone, as interleaving leaves them.

A quarter holds channels 4 j .. 4 j + 3 of each group of 16; three more groups follow the last, so that a block of four
may begin at any. A line is one quarter of all groups; weights, int32 biases and float32 scales have lines of as many
bytes.
"""

from __future__ import annotations

import numpy as np

from qworkbench.emulator.kernels.surface import on_a_line

GROUP, TAPS, MORE = 16, 4, 3


def weight_lines(w: np.ndarray, channels: int) -> np.ndarray:
    """Return (outputs, dots, up to 4 taps) int8 as [dot][quarter][group][4 channels][4 taps], for whole groups."""
    outputs, dots, taps = w.shape
    room = np.zeros((channels, dots, TAPS), np.int8)
    room[:outputs, :, :taps] = w
    groups = channels // GROUP
    return _wrapped(room.reshape(groups, 4, 4, dots, TAPS).transpose(3, 1, 0, 2, 4), 2)


def lines(values: np.ndarray) -> np.ndarray:
    """Return one number per channel, of whole groups, as [quarter][group][4 channels]."""
    return _wrapped(values.reshape(-1, 4, 4).transpose(1, 0, 2), 1)


def _wrapped(ordered: np.ndarray, axis: int) -> np.ndarray:
    groups = ordered.shape[axis]
    return on_a_line(ordered.take(np.arange(groups + MORE) % groups, axis))
