"""Which tile computes what, per instruction path, and how its operands are laid out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from qworkbench.emulator.kernels.compiled import RowKernel
from qworkbench.emulator.kernels.isa import PORTABLE, chosen, vectors
from qworkbench.emulator.kernels.vector.parameters import UNROLLED

FEW_PIXELS = 96  # up to here the last tile of a panel matters


@dataclass(frozen=True)
class Path:
    """The tiles of one instruction path.

    Attributes
    ----------
    name : str
        Tells paths apart whose weights are packed differently.
    codes : dtype
        Of the pixels and weights that the dot takes; pixels that are narrower it widens on the way.
    per_word : int
        Codes in the 32 bits of one dot.
    channels : int
        Of a full panel.
    tails : tuple of int
        Channels of the narrower panels there are for what is left of the channels, ascending.
    pixels : tuple of int
        Pixels of the tiles there are for a full panel, best first.
    shifts : bool
        Whether pixels enter as ``code + 128``.
    sweep : RowKernel
        Takes a row of :mod:`.parameters`.
    masks : bool
        Whether channels behind the last one are not written.
    transforms : bool
        Whether pixels and weights enter by Winograd's transforms.
    beside : bool
        Whether a turn of the inner loop reads its groups as one, beside each other.
    layout : str
        How the words (of ``[group][channel]``) of a panel lie; with ``codes`` the first codes of all words of a line
        lie together, then the second ones; with ``steps`` two groups of a channel lie beside each other, and taps are
        filled up to whole turns.
    tiles : int
        Bytes of a pixel's code where pixels enter as the rows of AMX tiles (:mod:`.amx_layers`), of which `codes` are
        the weights; 0 elsewhere.
    chunk : int
        Pixels that the panels pass over together, so that they stay in a cache; whole tiles of every shape.
    reads : dtype or None
        Of the pixels as they lie in memory, where that is not `codes`.
    """

    name: str
    codes: type[np.generic]
    per_word: int
    channels: int
    tails: tuple[int, ...]
    pixels: tuple[int, ...]
    shifts: bool
    sweep: RowKernel
    masks: bool
    transforms: bool = False
    beside: bool = False
    layout: str = "words"
    tiles: int = 0
    chunk: int = 96
    reads: type[np.generic] | None = None

    @property
    def pixel_codes(self) -> type[np.generic]:
        """The dtype of the pixels as they lie in memory."""
        return self.reads or self.codes

    @property
    def widens(self) -> bool:
        """Tell whether pixels lie narrower than the dot takes them."""
        return self.pixel_codes is not self.codes

    def groups(self, taps: int, length: int) -> int:
        """Return how many groups a tap of `length` codes takes: whole turns of the inner loop, where that matters."""
        step = self.step(taps)
        return -(-length // (self.per_word * step)) * step

    def step(self, taps: int) -> int:
        """Return how many groups are read as one, so that none of them may be of another tap."""
        return UNROLLED if self.beside and (taps > 1 or self.layout == "steps") else 1

    def panels(self, outputs: int) -> tuple[int, int]:
        """Return how many full panels `outputs` channels take, and the channels of the panel behind them or 0."""
        wide, left = divmod(outputs, self.channels)
        if not left:
            return wide, 0
        tail = next((channels for channels in self.tails if channels >= left), 0)
        return (wide, tail) if tail else (wide + 1, 0)

    def pixels_for(self, count: int) -> int:
        """Return the pixels of a full panel's tile that waste the fewest on `count` of them."""
        return min(self.pixels, key=lambda pixels: -(-count // pixels) * pixels if count <= FEW_PIXELS else 0)


def path_for(x_type: Any, w_type: Any, *, product: bool = False) -> Path | None:
    """Return the tiles for pixels and weights of these dtypes; None where only the portable kernels will do.

    The weights of a `product` of two activations are packed as they come, in whole words (:mod:`.packing`).
    """
    return _path(vectors(), x_type, w_type, product, chosen() == "i8mm")


@cache
def _path(isa: str, x_type: Any, w_type: Any, product: bool = False, matrices: bool = False) -> Path | None:
    codes = (np.int8, np.int16)
    if isa == PORTABLE or x_type not in codes or w_type not in codes:
        return None
    narrow = x_type == np.int8 and w_type == np.int8
    if isa in ("dotprod", "neon"):
        from qworkbench.emulator.kernels.vector import neon_sweeps as neon

        if matrices and narrow and not product:
            sweep = neon.bytes_i8mm
            return Path("steps16", np.int8, 4, 16, (), (4,), False, sweep, False, beside=True, layout="steps")
        if isa == "dotprod" and narrow:
            return Path("lanes16", np.int8, 4, 16, (), (5,), False, neon.bytes_dotprod, False, beside=True)
        if product:
            return Path("words16", np.int16, 2, 16, (), (6,), False, neon.pairs_neon, False)
        made = Path("codes16", np.int16, 2, 16, (), (5,), False, neon.codes_neon, False, beside=True, layout="codes")
        return replace(made, sweep=neon.bytes_neon, reads=np.int8) if narrow else made
    from qworkbench.emulator.kernels.vector import sweeps

    if isa == "avx512vnni":
        if narrow:
            return Path("bytes64", np.int8, 4, 64, (16, 32), (6, 5), True, sweeps.bytes_avx512, True)
        return Path("pairs64", np.int16, 2, 64, (16, 32), (6,), False, sweeps.pairs_avx512, True)
    tails = () if product else (8,)  # packing on the way takes whole panels
    if isa == "avxvnni" and narrow:
        return Path("bytes16", np.int8, 4, 16, tails, (6,), True, sweeps.bytes_avxvnni, False)
    if narrow and not product:
        from qworkbench.emulator.kernels.vector import widened_sweeps as widened

        return Path("pairs16", np.int16, 2, 16, tails, (6,), False, widened.bytes_avx2, False, reads=np.int8)
    return Path("pairs16", np.int16, 2, 16, tails, (6,), False, sweeps.pairs_avx2, False)
