"""Memory of feature maps, handed on from those that nobody holds any more to those that come.

A fresh large block costs a page fault per 4 KiB, which is more than many a convolution takes. Blocks come in few sizes;
what lies idle is bounded in bytes. Thread-safe: a list's ``append`` and ``pop`` are atomic.
"""

from __future__ import annotations

from typing import Any

import numpy as np

LINE = 64  # bytes of a vector; memory begins on one
SLACK = 512  # bytes behind the end that vector loads may touch
IDLE_BYTES = 256 * 1024**2
BYTE = np.dtype(np.uint8)
STEPS = 8  # block sizes between one power of two and the next

_idle: dict[object, list[tuple[Block, int]]] = {}  # blocks with their addresses, by what is clean there, or size
_idle_bytes = [0]


class Block(np.ndarray[Any, Any]):
    """Bytes that are lent again and again.

    A view forgets every array between it and the owner of its bytes as long as the next one is of its own type: a plain
    array over a loan of a plain block would hold the block and not the loan. Hence a type for either.
    """


class Memory(np.ndarray[Any, Any]):
    """Bytes on loan: they return when the last array over them is gone."""

    address: int  # of the block
    clean: object  # the layout whose margin is zero here, through one use after the other

    def __del__(self) -> None:
        block = self.base
        if type(block) is not Block or block.nbytes > IDLE_BYTES:
            return
        size = block.nbytes
        if _idle_bytes[0] + size > IDLE_BYTES:
            _idle.clear()  # what lies there fits nobody
            _idle_bytes[0] = 0
        _idle_bytes[0] += size
        key = size if self.clean is None else self.clean
        found = _idle.get(key)
        if found is None:
            found = _idle.setdefault(key, [])
        found.append((block, self.address))


def block_size(size: int) -> int:
    """Return the size of the block that `size` bytes are lent from, with room for alignment and slack."""
    size += LINE + SLACK
    step = 1 << max((size - 1).bit_length() - STEPS.bit_length(), 12)
    return -(-size // step) * step


def _taken(key: object) -> tuple[Block, int] | None:
    blocks = _idle.get(key)
    try:
        return blocks.pop() if blocks else None
    except IndexError:  # another thread was faster
        return None


def borrowed(whole: int, layout: object) -> tuple[Memory, int, int]:
    """Return a block of a :func:`block_size`, uninitialized, the offset of its first line, and that line's address.

    A block whose margin is clean for `layout` goes first.
    """
    clean, found = layout, _taken(layout)
    if found is None:
        clean, found = None, _taken(whole)
    if found is None:
        new = np.empty(whole, np.uint8).view(Block)
        found = new, int(new.ctypes.data)
    else:
        _idle_bytes[0] -= whole
    block, address = found
    offset = -address % LINE
    memory = Memory(whole, BYTE, block)
    memory.address, memory.clean = address, clean
    return memory, offset, address + offset


def idle_bytes() -> int:
    """Return how many bytes wait for their next use."""
    return _idle_bytes[0]
