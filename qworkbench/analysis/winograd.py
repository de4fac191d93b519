"""What a 3x3 convolution makes of a change of its input, by Winograd's F(4x4, 3x3): a quarter of the multiplications.

A convolution is linear, so ``conv(x) = conv(x0) + conv(x - x0)``. A sweep knows ``conv(x0)`` and is after the
difference, and the rounding of this algorithm is relative to the difference, not to the tensors: the effect of one
quantizer comes out with fewer wrong digits than from two complete convolutions in float32.

The 36 products per tile are one grouped 1x1 convolution of oneDNN between two transforms. Knows arrays only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qworkbench.analysis import onednn
from qworkbench.emulator.kernels.vector.winograd import LANES, OUT, TILE, WEIGHTS, enter, leave

LEAST_CHANNELS = 64  # with fewer the transforms cost more than they save
ROWS = 64  # tiles at once

Rooms = dict[int, Tensor]


def fits(weight: Tensor, attrs: Mapping[str, Any]) -> bool:
    """Tell whether a convolution with `weight` is one that this algorithm does, and does faster."""
    return (
        onednn.takes(attrs, weight)
        and tuple(weight.shape[2:]) == (3, 3)
        and attrs["group"] == 1
        and tuple(attrs["strides"]) == (1, 1) == tuple(attrs["dilations"])
        and min(weight.shape[:2]) >= LEAST_CHANNELS
        and weight.shape[0] % LANES == 0 == weight.shape[1] % LANES
    )


class Winograd:
    """A 3x3 convolution of stride 1, ready to be applied to changes of its input.

    Parameters
    ----------
    weight : Tensor
        float32 (out channels, in channels, 3, 3), both multiples of 16.
    pads : tuple of int
        Zeros above and to the left.

    Attributes
    ----------
    nbytes : int
        Of the transformed weight: four times the plain one.
    """

    def __init__(self, weight: Tensor, pads: tuple[int, int]) -> None:
        self.pads = pads
        self.outputs, self.inputs = int(weight.shape[0]), int(weight.shape[1])
        taps = weight.permute(2, 3, 0, 1).reshape(9, -1)
        both = torch.from_numpy(np.kron(WEIGHTS, WEIGHTS).astype(np.float32))
        grouped = (both @ taps).reshape(TILE * TILE * self.outputs, self.inputs, 1, 1)
        # oneDNN chooses a layout for a number of rows: every call has the same, so that it never lays out anew
        self._weight = torch.ops.mkldnn._reorder_convolution_weight(
            grouped, [0, 0], [1, 1], [1, 1], TILE * TILE, [1, TILE * TILE * self.inputs, ROWS, 1]
        )
        self.nbytes = grouped.nbytes

    @property
    def scratch(self) -> int:
        """Bytes that a call needs beside its result."""
        return 4 * ROWS * TILE * TILE * (self.inputs + self.outputs)

    @staticmethod
    def pays(batch: int, height: int, width: int) -> bool:
        """Tell whether `batch` images of this output size are enough for it."""
        tiles = batch * -(-height // OUT) * -(-width // OUT)
        return -(-tiles // ROWS) * ROWS * TILE * TILE < 0.6 * batch * height * width * 9

    def apply(
        self,
        x: Tensor,
        plain_x: Tensor,
        plain_y: Tensor,
        rows: np.ndarray,
        low: float = -np.inf,
        high: float = np.inf,
        rooms: Rooms | None = None,
    ) -> Tensor:
        """Return ``clamp(plain_y[rows] + conv(x - plain_x[rows]), low, high)``.

        Parameters
        ----------
        x, plain_x, plain_y : Tensor
            float32, four axes, channels-last.
        rows : numpy.ndarray
            int64: for each entry of `x`, which of the plain ones it is a change of.
        low, high : float
        rooms : dict of int to Tensor, optional
            Scratch memory by size, made and used again; not by two threads at once.
        """
        batch, channels, height, width = x.shape
        out_height, out_width = plain_y.shape[2:]
        grid = -(-out_height // OUT), -(-out_width // OUT)
        tiles, pitch = batch * grid[0] * grid[1], TILE * TILE * channels
        entering, leaving = (batch, height, width, channels), (batch, out_height, out_width, self.outputs)
        y = torch.empty((batch, self.outputs, out_height, out_width), memory_format=torch.channels_last)
        rooms = {} if rooms is None else rooms
        if pitch not in rooms:
            rooms[pitch] = torch.zeros(ROWS, pitch)
        room = rooms[pitch]
        image = room.as_strided((1, pitch, ROWS, 1), (ROWS * pitch, 1, pitch, pitch))
        for first in range(0, tiles, ROWS):
            last = min(first + ROWS, tiles)
            enter(x.data_ptr(), entering, plain_x.data_ptr(), rows, room.data_ptr(), self.pads, grid, first, last)
            products = torch.ops.mkldnn._convolution_pointwise(
                image, self._weight, None, [0, 0], [1, 1], [1, 1], TILE * TILE, "none", [], ""
            )
            leave(products.data_ptr(), plain_y.data_ptr(), rows, y.data_ptr(), leaving, low, high, grid, first, last)
        return y
