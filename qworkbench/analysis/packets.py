"""Many variants of one tensor, stacked along the batch axis in packets.

A variant is the tensor as it is with one quantizer on; those that a quantizer does not reach equal the reference and
are not stored. The samples of a tensor lie in blocks, and what is stored is one block of one variant: item
``variant * blocks + block``. So what goes through an op together can be made to fit the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qworkbench.analysis.program import arranged

PACKET_BYTES = 4 * 1024**2


@dataclass(frozen=True, slots=True, eq=False)
class Packet:
    """Items `ids` of a tensor, one after the other along axis 0, ``rows`` entries each."""

    ids: tuple[int, ...]
    tensor: Tensor

    @property
    def rows(self) -> int:
        """Entries of axis 0 per item."""
        return int(self.tensor.shape[0]) // len(self.ids)


class Stack:
    """All stored items of one value.

    Parameters
    ----------
    reference : Tensor, or callable that returns one
        The value with every quantizer off, all blocks; a callable is asked when it is needed.
    blocks : int

    Attributes
    ----------
    packets : list of Packet
        Each item is in one of them.
    """

    def __init__(self, reference: Tensor | Callable[[], Tensor], blocks: int = 1) -> None:
        self._reference, self.blocks = reference, blocks
        self.packets: list[Packet] = []
        self._place: dict[int, tuple[Packet, int]] = {}

    @property
    def reference(self) -> Tensor:
        """The value with every quantizer off."""
        if not isinstance(self._reference, Tensor):
            self._reference = self._reference()
        return self._reference

    @property
    def ids(self) -> tuple[int, ...]:
        """The stored items."""
        return tuple(self._place)

    def block(self, item: int) -> Tensor:
        """Return the reference of an item."""
        rows = int(self.reference.shape[0]) // self.blocks if self.reference.dim() else 0
        if self.blocks == 1:
            return self.reference
        start = item % self.blocks * rows
        return self.reference[start : start + rows]

    def rows_of(self, ids: Sequence[int]) -> np.ndarray:
        """Return which rows of the reference the rows of the items `ids` are variants of (int64)."""
        rows = int(self.reference.shape[0]) // self.blocks
        starts = np.asarray(ids, np.int64) % self.blocks * rows
        return np.asarray((starts[:, None] + np.arange(rows)).reshape(-1))

    def add(self, packet: Packet) -> None:
        """Append `packet`."""
        self.packets.append(packet)
        for k, item in enumerate(packet.ids):
            self._place[item] = packet, k

    def holds(self, ids: Sequence[int]) -> bool:
        """Tell whether any of the items `ids` is stored."""
        return bool(self._place) and any(item in self._place for item in ids)

    def pieces(self, ids: Sequence[int]) -> Iterator[tuple[int, int, Tensor]]:
        """Yield (start, stop, rows) over `ids`: neighbours in one packet together, the reference where none is."""
        place = self._place
        start = 0
        while start < len(ids):
            found = place.get(ids[start])
            stop = start + 1
            if found is None:
                yield start, stop, self.block(ids[start])
            else:
                packet, first = found
                while stop < len(ids) and place.get(ids[stop]) == (packet, first + stop - start):
                    stop += 1
                yield start, stop, packet.tensor[first * packet.rows : (first + stop - start) * packet.rows]
            start = stop

    def gather(self, ids: Sequence[int]) -> Tensor:
        """Return the items `ids` in order; no copy where they lie together in one packet."""
        parts = [rows for _, _, rows in self.pieces(ids)]
        return parts[0] if len(parts) == 1 else arranged(torch.cat(parts))

    def add_into(self, ids: Sequence[int], y: Tensor) -> Tensor:
        """Add the items `ids` to `y` in place."""
        rows = int(y.shape[0]) // len(ids)
        for start, stop, part in self.pieces(ids):
            y[start * rows : stop * rows].add_(part)
        return y
