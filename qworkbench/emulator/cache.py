"""Results by fingerprint, bounded in bytes, least recently used out first.

Undo costs nothing and two configurations share their common prefix because both ask here first. Thread-safe: a run on
the worker thread and a reader in a widget callback may meet.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from threading import Lock
from typing import Protocol

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


class Together(Protocol):
    """Results of several steps in one piece of memory, which is free when none of them is held any more."""

    nbytes: int
    kept: int

    def step(self, number: int) -> StepResult:
        """Return what a step gave, by its number among all."""


Held = StepResult | tuple[Together, int]


class ResultCache:
    """A byte-bounded map from fingerprint to :class:`StepResult`.

    Parameters
    ----------
    max_bytes : int
        A result larger than this is handed back but not kept.
    """

    def __init__(self, max_bytes: int = DEFAULT_BYTES) -> None:
        self.max_bytes = max_bytes
        self._held: OrderedDict[bytes, Held] = OrderedDict()
        self._coming: list[tuple[Mapping[str, bytes], Sequence[str], Together]] = []
        self._bytes = 0
        self._overflow: dict[bytes, int] = {}
        self._lock = Lock()

    def get(self, fingerprint: bytes) -> StepResult | None:
        """Return the result stored under `fingerprint`, and mark it as used."""
        with self._lock:
            if self._coming:
                self._index()
            found = self._held.get(fingerprint)
            if found is not None:
                self._held.move_to_end(fingerprint)
        return found[0].step(found[1]) if isinstance(found, tuple) else found

    def lacks(self, fingerprints: Iterable[bytes]) -> bool:
        """Tell whether none of `fingerprints` is held."""
        with self._lock:
            self._index()
            return self._held.keys().isdisjoint(fingerprints)

    def put(self, fingerprint: bytes, result: StepResult) -> None:
        """Keep `result`; its arrays are or become read-only, since others will share them."""
        for value in result.values:
            value.freeze()
        if result.overflow:
            self._overflow[fingerprint] = result.overflow
        if result.nbytes > self.max_bytes:
            return
        with self._lock:
            self._index()
            self._drop(fingerprint)
            self._held[fingerprint] = result
            self._bytes += result.nbytes
            self._shrink()

    def put_together(self, fingerprints: Mapping[str, bytes], keys: Sequence[str], results: Together) -> None:
        """Keep what steps gave together, under the fingerprints of one key of each; nothing of it overflowed."""
        if results.nbytes > self.max_bytes:
            return
        with self._lock:
            self._coming.append((fingerprints, keys, results))
            self._bytes += results.nbytes
            if self._bytes > self.max_bytes:
                self._index()
                self._shrink()

    def _index(self) -> None:
        """Enter what came together, when somebody asks: it came while the processor's caches held other things."""
        for all_prints, keys, results in self._coming:
            fingerprints = [all_prints[key] for key in keys]
            if not self._held.keys().isdisjoint(fingerprints):
                for fingerprint in fingerprints:
                    self._drop(fingerprint)
            before = len(self._held)
            self._held.update(zip(fingerprints, zip(repeat(results), range(len(keys))), strict=True))
            results.kept = len(self._held) - before
        self._coming.clear()

    def _drop(self, fingerprint: bytes) -> None:
        old = self._held.pop(fingerprint, None)
        if isinstance(old, tuple):
            together = old[0]
            together.kept -= 1
            self._bytes -= 0 if together.kept else together.nbytes
        elif old is not None:
            self._bytes -= old.nbytes

    def _shrink(self) -> None:
        while self._bytes > self.max_bytes:
            self._drop(next(iter(self._held)))

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
            self._coming.clear()
            self._overflow.clear()
            self._bytes = 0

    @property
    def nbytes(self) -> int:
        """Bytes held now."""
        return self._bytes

    def __len__(self) -> int:
        with self._lock:
            self._index()
            return len(self._held)
