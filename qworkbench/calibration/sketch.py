"""A mergeable summary of one tensor's values, from which thresholds follow without keeping activations.

A histogram over :mod:`qworkbench.calibration.bins`, apart for each sign: adding batches in any order and any size gives
the same counts. Knows nothing of graphs; :mod:`qworkbench.calibration.observe` feeds it, and
:mod:`qworkbench.calibration.thresholds` reads it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from qworkbench.calibration.average import Average
from qworkbench.calibration.bins import (
    BINS,
    CHANNEL_BINS,
    CHANNEL_FIRST,
    CHANNEL_SHIFT,
    INFINITY_BIN,
    ROW,
    SHIFT,
    SPREAD,
    Bins,
    channel_table,
    occupied,
)

if TYPE_CHECKING:
    from qworkbench.calibration.rectified import Rectified

_FULL = 2**32 - 1
WAITING = 1 << 18  # elements of one tensor


class Sketch:
    """Counts of values by bit pattern, and the exact extremes.

    Small tensors wait until there are enough of them to count: the histograms of a whole network exceed the processor's
    cache, and fetching one costs more than counting a few values. No result can tell.

    Attributes
    ----------
    total : int
        Number of elements counted.
    low, high : float
        Smallest and largest value seen.
    average : Average
        Moving average of the samples' maxima (axis 0 holds the samples; a tensor of rank < 2 is one sample).
    tops : numpy.ndarray or None
        int32, shape (2, channels): bit patterns of the largest magnitude per entry of axis 1 among the values >= 0, and
        among those below 0; None for tensors of rank < 2.
    """

    def __init__(self) -> None:
        self.total = 0
        self.low, self.high = np.inf, -np.inf
        self.average = Average()
        self.tops: np.ndarray | None = None
        self._table = np.zeros((2, BINS), np.uint32)
        self._channel_table: np.ndarray | None = None
        self._waiting: np.ndarray | None = None
        self._filled = 0
        self._wanted: tuple[bool, Rectified | None] = (False, None)

    @property
    def table(self) -> np.ndarray:
        """Counts, uint32 (int64 beyond 4e9 elements), shape (2, 32768): values >= 0, then values < 0."""
        self.settle()
        return self._table

    @property
    def counts(self) -> np.ndarray:
        """Counts of |x|, int64, shape (32768,)."""
        return np.asarray(self.table.sum(axis=0, dtype=np.int64))

    @property
    def channel_max(self) -> np.ndarray | None:
        """Largest |x| per entry of axis 1, float32; None for tensors of rank < 2."""
        return None if self.tops is None else np.asarray(self.tops.max(axis=0).view(np.float32))

    @property
    def channel_counts(self) -> np.ndarray | None:
        """Counts of |x| per channel, shape (channels, 512); None where they were not asked for."""
        self.settle()
        if self._channel_table is None:
            return None
        counts = self._channel_table[:, SPREAD:].copy()
        counts[:, 0] += self._channel_table[:, :SPREAD].sum(axis=1, dtype=counts.dtype)
        return np.asarray(counts)

    @property
    def absmax(self) -> float:
        """Largest |x| seen (0.0 before any data)."""
        return max(abs(self.low), abs(self.high)) if np.isfinite(self.low) else 0.0

    @property
    def finite(self) -> bool:
        """Tell whether every element seen was finite."""
        return not self.table[:, INFINITY_BIN:].any() and (not self.total or math.isfinite(self.high - self.low))

    @property
    def has_nan(self) -> bool:
        """Tell whether an element seen was NaN."""
        return bool(self.table[:, INFINITY_BIN + 1 :].any())

    @property
    def nbytes(self) -> int:
        """Bytes kept, whatever was seen."""
        return self.table.nbytes + (0 if self._channel_table is None else self._channel_table.nbytes)

    def update(
        self, values: np.ndarray, *, channels: bool = False, rectified: Rectified | None = None, step: int = 1
    ) -> None:
        """Add a batch.

        Parameters
        ----------
        values : numpy.ndarray
            float32, any shape; axis 1 is the channel axis where the rank is 2 or more.
        channels : bool
            Keep the per-channel histogram, too.
        rectified : Rectified, optional
            Told what a sketch of the rectified values needs beside this one.
        step : int
            Count only each such element along the axes behind the second. Extremes are always those of all elements.
        """
        from qworkbench.calibration.sketch_kernel import encode, observe

        x = np.ascontiguousarray(values, np.float32)
        if x.size == 0:
            return
        rows, columns = x.shape[:2] if x.ndim >= 2 else (1, 1)
        bits = x.view(np.int32).reshape(rows, columns, -1)
        tops = np.zeros((2, columns), np.int32) if self.tops is None else self.tops
        samples, ends = np.zeros((2, rows), np.int32), np.empty(2, np.float32)
        counted = (rows, columns, -(-bits.shape[2] // step))
        codes = self._room_for(counted, (channels and x.ndim >= 2, rectified))
        self.total += math.prod(counted)
        if codes is None:
            observe(bits, step, tops, samples, ends, *self._counted(columns))
        else:
            encode(bits, codes, step, tops, samples, ends)
        low, high = ends.tolist()
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.tops = tops if x.ndim >= 2 else None
        self.average.extend_by(samples.max(axis=0))
        if rectified is not None:
            rectified.average.extend_by(np.minimum(samples[0], rectified.ceiling))

    def _room_for(self, shape: tuple[int, ...], wanted: tuple[bool, Rectified | None]) -> np.ndarray | None:
        """Return the place where codes of `shape` may wait, or None where they are too many."""
        if wanted != self._wanted:
            self._count_waiting()
        self._wanted = wanted
        one = math.prod(shape[1:])
        if 2 * one * shape[0] > WAITING:
            self.settle()
            return None
        if self._waiting is None or self._waiting.shape[1:] != shape[1:]:
            self.settle()
            self._waiting = np.empty((WAITING // one, *shape[1:]), np.uint16)
        if self._filled + shape[0] > len(self._waiting):
            self._count_waiting()
        self._filled += shape[0]
        return self._waiting[self._filled - shape[0] : self._filled]

    def settle(self) -> None:
        """Count what waits, and free its place. Reading does so, too, but not from several threads at once."""
        self._count_waiting()
        self._waiting = None

    def _count_waiting(self) -> None:
        if self._filled and self._waiting is not None:
            from qworkbench.calibration.sketch_kernel import count

            codes, self._filled = self._waiting[: self._filled], 0
            count(codes, *self._counted(codes.shape[1]))

    def _counted(self, columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """Return what the kernels add to."""
        channels, rectified = self._wanted
        self._widen()
        dtype = self._table.dtype
        kept = clipped = np.zeros((0, ROW), dtype)
        if channels:
            kept = self._channel_table = channel_table(self._channel_table, columns, dtype)
        if rectified is not None:
            clipped = rectified.room(columns, dtype)
        ceiling = INFINITY_BIN << SHIFT if rectified is None else rectified.ceiling
        return self._table.reshape(-1), kept, clipped, ceiling

    def _widen(self) -> None:
        if self._table.dtype == np.uint32 and self.total > _FULL:
            self._table = self._table.astype(np.int64)
            if self._channel_table is not None:
                self._channel_table = self._channel_table.astype(np.int64)

    def merge(self, other: Sketch) -> None:
        """Add everything that `other` saw, behind the own samples; only the moving average depends on that order."""
        self.settle()
        other.settle()
        self.total += other.total
        self._widen()
        self._table += other._table.astype(self._table.dtype)
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.average.extend(other.average)
        if other.tops is not None:
            self.tops = other.tops.copy() if self.tops is None else np.maximum(self.tops, other.tops)
        if other._channel_table is not None:
            added = other._channel_table.astype(self._table.dtype)
            self._channel_table = added if self._channel_table is None else self._channel_table + added

    @classmethod
    def of_counts(
        cls,
        total: int,
        table: np.ndarray,
        *,
        ends: tuple[float, float],
        average: Average,
        tops: np.ndarray | None = None,
        channel_table: np.ndarray | None = None,
    ) -> Sketch:
        """Return the sketch with these attributes and counts, which others have found."""
        found = cls()
        found.total, found.average, found.tops = total, average, tops
        found.low, found.high = ends
        found._table, found._channel_table = table, channel_table
        return found

    def bins(self, sign: int = 0) -> Bins:
        """Return the occupied bins of |x|; `sign` +1 or -1 leaves only values of that sign (0 counts as positive)."""
        counts = self.counts if sign == 0 else self.table[0 if sign > 0 else 1]
        top = self.absmax if sign == 0 else max(0.0, sign * (self.high if sign > 0 else self.low))
        return occupied(counts, np.arange(BINS + 1) << SHIFT, top)

    def channel_bins(self) -> list[Bins] | None:
        """Return the occupied bins of |x| of every channel, or None where they were not kept."""
        tops, counts = self.channel_max, self.channel_counts
        if tops is None or counts is None:
            return None
        pattern = (np.arange(CHANNEL_BINS + 1) + CHANNEL_FIRST) << CHANNEL_SHIFT
        pattern[0] = 0
        return [occupied(row, pattern, float(top)) for row, top in zip(counts, tops, strict=True)]
