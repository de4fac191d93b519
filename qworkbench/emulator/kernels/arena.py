"""Room for many results at once: one block of memory in which each has its place.

What is computed together lies together, so that it takes one loan instead of one for each result; a result that nobody
asks for is an address and no object. Knows no kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from qworkbench.emulator.kernels.memory import LINE, SLACK, block_size, borrowed
from qworkbench.emulator.kernels.values import Layout, Value


class ArenaLayout:
    """Where results of some layouts begin; made by :func:`arena_layout` only.

    Attributes
    ----------
    starts : tuple of int
        Distances from the start of the arena, in bytes.
    room : int
        Where room begins for other data of a run.
    block : int
        Size of the block that holds all.
    """

    __slots__ = ("block", "room", "starts")

    def __init__(self, layouts: Sequence[Layout], room: int) -> None:
        starts, size = [], 0
        for layout in layouts:
            starts.append(size)
            size += -(-(layout.size + SLACK) // LINE) * LINE
        self.starts, self.room, self.block = tuple(starts), size, block_size(size + room)


@lru_cache(256)
def arena_layout(layouts: tuple[Layout, ...], room: int) -> ArenaLayout:
    """Return how results of `layouts` lie one behind the other, and `room` bytes; equal ones are the same object."""
    return ArenaLayout(layouts, room)


class Arena:
    """Memory for results, whose margins are zero.

    Parameters
    ----------
    layout : ArenaLayout

    Attributes
    ----------
    origin, room : int
        Address of the start, and of the room for other data.
    nbytes : int
        Size of the block; it is free when the arena and every value in it are gone.
    """

    __slots__ = ("_memory", "_offset", "nbytes", "origin", "room")

    def __init__(self, layout: ArenaLayout) -> None:
        self._memory, self._offset, self.origin = borrowed(layout.block, layout)
        self.room, self.nbytes = self.origin + layout.room, layout.block
        if self._memory.clean is not layout:
            self._memory.fill(0)
            self._memory.clean = layout  # nobody writes to a margin, so it stays so for the next arena of this layout

    def value(self, start: int, layout: Layout) -> Value:
        """Return the result of `layout` that begins at `start`, read-only since others share it."""
        value = Value(layout, self.origin + start + layout.first, self._memory, self._offset + start)
        value.freeze()
        return value
