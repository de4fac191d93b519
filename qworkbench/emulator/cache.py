"""Results by fingerprint, bounded in bytes, least recently used out first.

Undo costs nothing and two configurations share their common prefix because both ask here first. Thread-safe: a run on
the worker thread and a reader in a widget callback may meet.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

import numpy as np

DEFAULT_BYTES = 2 * 1024**3


@dataclass(frozen=True, slots=True, eq=False)
class StepResult:
    """What a step gave: its arrays, and how many accumulators left the int32 range."""

    outputs: tuple[np.ndarray, ...]
    overflow: int = 0

    @property
    def nbytes(self) -> int:
        """Size of the arrays in bytes."""
        return sum(array.nbytes for array in self.outputs)


class ResultCache:
    """A byte-bounded map from fingerprint to :class:`StepResult`.

    Parameters
    ----------
    max_bytes : int
        A result larger than this is handed back but not kept.
    """

    def __init__(self, max_bytes: int = DEFAULT_BYTES) -> None:
        self.max_bytes = max_bytes
        self._held: OrderedDict[bytes, StepResult] = OrderedDict()
        self._bytes = 0
        self._overflow: dict[bytes, int] = {}
        self._lock = Lock()

    def get(self, fingerprint: bytes) -> StepResult | None:
        """Return the result stored under `fingerprint`, and mark it as used."""
        with self._lock:
            found = self._held.get(fingerprint)
            if found is not None:
                self._held.move_to_end(fingerprint)
            return found

    def put(self, fingerprint: bytes, result: StepResult) -> None:
        """Keep `result`; the arrays become read-only, since others will share them."""
        for array in result.outputs:
            array.flags.writeable = False
        if result.overflow:
            self._overflow[fingerprint] = result.overflow
        if result.nbytes > self.max_bytes:
            return
        with self._lock:
            old = self._held.pop(fingerprint, None)
            if old is not None:
                self._bytes -= old.nbytes
            self._held[fingerprint] = result
            self._bytes += result.nbytes
            while self._bytes > self.max_bytes:
                _, dropped = self._held.popitem(last=False)
                self._bytes -= dropped.nbytes

    def overflow(self, fingerprint: bytes) -> int:
        """Return how many accumulators overflowed in this step; the count outlives the arrays."""
        return self._overflow.get(fingerprint, 0)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._held.clear()
            self._overflow.clear()
            self._bytes = 0

    @property
    def nbytes(self) -> int:
        """Bytes held now."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._held)
