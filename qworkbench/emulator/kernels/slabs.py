"""Memory for what stays: packed weights one behind the other, on large pages where the system has them.

A run reads every weight once. On pages of 4 KiB their addresses alone fall out of the processor's tables between two
runs, which costs a convolution some percent. Knows no kernel.
"""

from __future__ import annotations

import mmap
from contextlib import suppress
from threading import Lock
from typing import Any

import numpy as np

from qworkbench.emulator.kernels.memory import LINE, SLACK

PAGE = 2 * 1024**2
SLAB = 4 * PAGE  # is free when nothing in it is held any more


class _Slab:
    """A stretch of memory that is given out from the front."""

    def __init__(self, size: int) -> None:
        mapped = mmap.mmap(-1, size + PAGE)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            with suppress(OSError):  # a system without them
                mapped.madvise(mmap.MADV_HUGEPAGE)
        whole = np.frombuffer(mapped, np.uint8)
        start = -whole.ctypes.data % PAGE
        self._memory, self._used = whole[start : start + size], 0

    def taken(self, size: int) -> np.ndarray | None:
        """Return the next `size` bytes; None where there are not so many."""
        begin = self._used
        self._used = begin + -(-(size + SLACK) // LINE) * LINE
        return self._memory[begin : begin + size] if self._used <= self._memory.size else None


_lock = Lock()
_current: list[_Slab] = []


def lasting(count: int, dtype: Any) -> np.ndarray:
    """Return memory for `count` numbers that begins on a vector line, may be over-read and is to be kept."""
    size = np.dtype(dtype).itemsize * count
    with _lock:
        found = _current[0].taken(size) if _current else None
        if found is None:
            slab = _Slab(max(-(-(size + SLACK + LINE) // PAGE) * PAGE, SLAB))
            found = slab.taken(size)
            _current[:] = [slab]
    assert found is not None
    return found.view(dtype)
