"""Pixels moved with all their channels: gathered by rows and columns, to where the channels begin in the target.

One loop for concatenation, splits, slices and nearest neighbours of surfaces; 16 bytes at a time. Knows
addresses and distances in bytes only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qworkbench.emulator.kernels.compiled import kernel
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import carray, intrinsic, types

BLOCK = 16


@intrinsic
def _copy_block(typing_context: Any, source: Any, target: Any) -> Any:
    """Copy 16 bytes."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        v.store(b, v.load(b, args[0], v.vector(v.i8, BLOCK)), args[1])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@kernel("void(int64, int64, int64[::1], int64[::1], int64, int64[::1], int64, int64)")
def gather(
    source: int, image: int, rows: np.ndarray, columns: np.ndarray, target: int, steps: np.ndarray, images: int,
    size: int,
) -> None:  # fmt: skip
    """``target[n, i, j] = source[n * image + rows[i] + columns[j]]``, `size` bytes each.

    `steps` are the target's distances of images, rows and pixels; the source's are in the tables.
    """
    whole = size - size % BLOCK
    for n in range(images):
        for i in range(rows.size):
            line, there = source + n * image + rows[i], target + n * steps[0] + i * steps[1]
            for j in range(columns.size):
                pixel = line + columns[j]
                at = 0
                while at < whole:
                    _copy_block(pixel + at, there + at)
                    at += BLOCK
                if at < size:
                    tail, rest = carray(v.int8_at(pixel + at), size - at), carray(v.int8_at(there + at), size - at)
                    for k in range(size - at):
                        rest[k] = tail[k]
                there += steps[2]
