"""Which tile computes what, per instruction path, and how its operands are laid out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from qworkbench.emulator.kernels.isa import PORTABLE, chosen


@dataclass(frozen=True)
class Path:
    """A tile of one instruction path.

    Attributes
    ----------
    name : str
        Tells tiles apart whose weights are packed differently.
    codes : dtype
        Of the pixels and weights that the dot takes.
    per_word : int
        Codes in the 32 bits of one dot.
    pixels, channels : int
        Shape of the tile.
    kind : int
        Its number for the kernel.
    shifts : bool
        Whether pixels enter as ``code + 128``.
    """

    name: str
    codes: type[np.generic]
    per_word: int
    pixels: int
    channels: int
    kind: int
    shifts: bool
    sweep: Callable[[np.ndarray], Any]
    masks: bool


def path_for(x_type: Any, w_type: Any, outputs: int) -> Path | None:
    """Return the tile for pixels and weights of these dtypes; None where only the portable kernels will do."""
    return _path(chosen(), x_type, w_type, outputs)


@cache
def _path(isa: str, x_type: Any, w_type: Any, outputs: int) -> Path | None:
    codes = (np.int8, np.int16)
    if isa == PORTABLE or x_type not in codes or w_type not in codes:
        return None
    from qworkbench.emulator.kernels.vector import tiles

    narrow = x_type == np.int8 and w_type == np.int8
    if isa == "avx512vnni":
        if not narrow:
            return Path("pairs64", np.int16, 2, 6, 64, tiles.INT16_PAIRS, False, tiles.sweep_avx512, True)
        ragged = -outputs % 64 >= 32 and outputs < 300
        shape = (12, 32, tiles.INT8_NARROW) if ragged else (6, 64, tiles.INT8_WIDE)
        return Path(f"bytes{shape[1]}", np.int8, 4, *shape, True, tiles.sweep_avx512, True)
    if isa == "avxvnni" and narrow:
        return Path("bytes16", np.int8, 4, 6, 16, tiles.INT8_WIDE, True, tiles.sweep_avxvnni, False)
    return Path("pairs16", np.int16, 2, 6, 16, tiles.INT16_PAIRS, False, tiles.sweep_avx2, False)
