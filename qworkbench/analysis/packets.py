"""Many variants of one tensor, stacked along the batch axis in packets of bounded size.

A variant is the tensor as it is with one quantizer on; those that a quantizer does not reach equal the reference and
are not stored. Packets fit the processor's cache: large tensors go through alone, small ones together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qworkbench.analysis.program import arranged

PACKET_BYTES = 4 * 1024**2


@dataclass(frozen=True, slots=True, eq=False)
class Packet:
    """Variants `ids` of a tensor, one after the other along axis 0, ``rows`` entries each."""

    ids: tuple[int, ...]
    tensor: Tensor

    @property
    def rows(self) -> int:
        """Entries of axis 0 per variant."""
        return int(self.tensor.shape[0]) // len(self.ids)


class Stack:
    """All stored variants of one value.

    Parameters
    ----------
    reference : Tensor, or callable that returns one
        The value with every quantizer off; a callable is asked when it is needed.

    Attributes
    ----------
    packets : list of Packet
        Each variant is in one of them.
    """

    def __init__(self, reference: Tensor | Callable[[], Tensor]) -> None:
        self._reference = reference
        self.packets: list[Packet] = []

    @property
    def reference(self) -> Tensor:
        """The value with every quantizer off."""
        if not isinstance(self._reference, Tensor):
            self._reference = self._reference()
        return self._reference

    @property
    def ids(self) -> tuple[int, ...]:
        """The stored variants."""
        return tuple(i for packet in self.packets for i in packet.ids)

    def add(self, packet: Packet, *, merge: bool) -> None:
        """Append `packet`, joined to the last one where both are small."""
        if merge and self.packets:
            last = self.packets[-1]
            if last.tensor.nbytes + packet.tensor.nbytes <= PACKET_BYTES:
                joined = torch.cat([last.tensor, packet.tensor])
                self.packets[-1] = Packet(last.ids + packet.ids, joined)
                return
        self.packets.append(packet)

    def pieces(self, ids: Sequence[int]) -> Iterator[tuple[int, int, Tensor | None]]:
        """Yield (start, stop, rows) over `ids`: rows of one packet, or None where the reference stands for them."""
        place = {i: (packet, k) for packet in self.packets for k, i in enumerate(packet.ids)}
        start = 0
        while start < len(ids):
            found = place.get(ids[start])
            stop = start + 1
            if found is None:
                while stop < len(ids) and ids[stop] not in place:
                    stop += 1
                yield start, stop, None
            else:
                packet, first = found
                while stop < len(ids) and place.get(ids[stop]) == (packet, first + stop - start):
                    stop += 1
                yield start, stop, packet.tensor[first * packet.rows : (first + stop - start) * packet.rows]
            start = stop

    def gather(self, ids: Sequence[int]) -> Tensor:
        """Return the variants `ids` in order; no copy where they lie together in one packet."""
        parts = []
        for start, stop, rows in self.pieces(ids):
            if rows is None:
                repeats = (stop - start,) + (1,) * (self.reference.dim() - 1)
                parts.append(self.reference if stop - start == 1 else self.reference.repeat(repeats))
            else:
                parts.append(rows)
        return parts[0] if len(parts) == 1 else arranged(torch.cat(parts))

    def add_into(self, ids: Sequence[int], y: Tensor) -> Tensor:
        """Add the variants `ids` to `y` in place."""
        rows = int(y.shape[0]) // len(ids)
        for start, stop, part in self.pieces(ids):
            target = y[start * rows : stop * rows]
            if part is None:
                for first in range(0, len(target), rows):
                    target[first : first + rows].add_(self.reference)
            else:
                target.add_(part)
        return y
