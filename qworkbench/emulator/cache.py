"""Results by fingerprint, bounded in bytes, least recently used out first.

Undo costs nothing and two configurations share their common prefix because both ask here first. Thread-safe: a run on
the worker thread and a reader in a widget callback may meet.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from threading import Lock

import numpy as np

from qworkbench.emulator.kernels.values import Value, value_of

DEFAULT_BYTES = 2 * 1024**3


class StepResult:
    """What a step gave, its bytes, and how many accumulators left the int32 range.

    Parameters
    ----------
    results : iterable of numpy.ndarray or Value
    overflow : int
    """

    __slots__ = ("nbytes", "overflow", "values")

    def __init__(self, results: Iterable[np.ndarray | Value], overflow: int = 0) -> None:
        self.values: list[Value] = []
        self.overflow, self.nbytes = overflow, 0
        for one in results:
            value = one if isinstance(one, Value) else value_of(one)
            self.values.append(value)
            self.nbytes += value.nbytes

    @property
    def outputs(self) -> tuple[np.ndarray, ...]:
        """The arrays, made when they are first asked for."""
        return tuple([value.array for value in self.values])


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
        """Keep `result`; its arrays are or become read-only, since others will share them."""
        for value in result.values:
            value.freeze()
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

    @property
    def overflows(self) -> bool:
        """Tell whether any accumulator did."""
        return bool(self._overflow)

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
