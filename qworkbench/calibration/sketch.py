"""A mergeable summary of one tensor's values, from which thresholds follow without keeping activations.

A histogram on the float's own bit pattern: |x| as float32 is ordered like its bits, so the upper 15 bits (8 exponent,
7 mantissa) index 32,768 bins of 0.8 % relative width over the whole range, apart for each sign. Adding batches in any
order and any size gives the same counts. Knows nothing of graphs; :mod:`qworkbench.calibration.observe` feeds it, and
:mod:`qworkbench.calibration.thresholds` reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

BINS = 1 << 15
_SHIFT = 16
_INFINITY_BIN = 0x7F80
_FULL = 2**32 - 1

CHANNEL_BINS = 512
_CHANNEL_SHIFT = 19
_CHANNEL_FIRST = (127 - 20) << 4  # 2**-20; 16 bins to each factor of two, up to 2**12

AVERAGING_CONSTANT = 0.01


@dataclass(frozen=True, slots=True)
class Bins:
    """Occupied bins of magnitudes, ascending: edges `low` and `high`, `counts` (all float64), and the maximum."""

    low: np.ndarray
    high: np.ndarray
    counts: np.ndarray
    top: float


@dataclass
class Average:
    """An exponential moving average of the samples' largest magnitudes, in the order they came.

    ``value = value + 0.01 (top - value)``, the averaging constant of the training plugin's observers. It counts
    samples, not batches, so only the order of the data decides.
    """

    samples: int = 0
    first: float = 0.0
    value: float = 0.0

    def add(self, top: float) -> None:
        """Add the largest magnitude of the next sample."""
        if not self.samples:
            self.first = self.value = top
        else:
            self.value += AVERAGING_CONSTANT * (top - self.value)
        self.samples += 1

    def extend(self, later: Average) -> None:
        """Add every sample of `later` behind the own ones."""
        if not self.samples:
            self.samples, self.first, self.value = later.samples, later.first, later.value
        elif later.samples:
            faded = (1 - AVERAGING_CONSTANT) ** later.samples
            self.value = faded * (self.value - later.first) + later.value
            self.samples += later.samples


@dataclass
class Sketch:
    """Counts of values by bit pattern, and the exact extremes.

    Attributes
    ----------
    table : numpy.ndarray
        uint32 (int64 beyond 4e9 elements), shape (2, 32768): values >= 0, then values < 0.
    total : int
        Number of elements seen.
    low, high : float
        Smallest and largest value seen.
    average : Average
        Moving average of the samples' maxima (axis 0 holds the samples; a tensor of rank < 2 is one sample).
    channel_max : numpy.ndarray or None
        float32, largest |x| per entry of axis 1; None for tensors of rank < 2.
    channel_counts : numpy.ndarray or None
        uint32 or int64, shape (channels, 512): coarser histogram per channel, only where it was asked for.
    """

    table: np.ndarray = field(default_factory=lambda: np.zeros((2, BINS), np.uint32))
    total: int = 0
    low: float = np.inf
    high: float = -np.inf
    average: Average = field(default_factory=Average)
    channel_max: np.ndarray | None = None
    channel_counts: np.ndarray | None = None

    @property
    def counts(self) -> np.ndarray:
        """Counts of |x|, int64, shape (32768,)."""
        return np.asarray(self.table.sum(axis=0, dtype=np.int64))

    @property
    def absmax(self) -> float:
        """Largest |x| seen (0.0 before any data)."""
        return max(abs(self.low), abs(self.high)) if np.isfinite(self.low) else 0.0

    @property
    def finite(self) -> bool:
        """Tell whether every element seen was finite."""
        return not self.table[:, _INFINITY_BIN:].any()

    @property
    def has_nan(self) -> bool:
        """Tell whether an element seen was NaN."""
        return bool(self.table[:, _INFINITY_BIN + 1 :].any())

    def update(self, values: np.ndarray, *, channels: bool = False, rectified: Rectified | None = None) -> None:
        """Add a batch.

        Parameters
        ----------
        values : numpy.ndarray
            float32, any shape; axis 1 is the channel axis where the rank is 2 or more.
        channels : bool
            Keep the per-channel histogram, too.
        rectified : Rectified, optional
            Told what a sketch of the rectified values needs beside this one.
        """
        from qworkbench.calibration.sketch_kernel import count_channels, observe

        x = np.ascontiguousarray(values, np.float32)
        if x.size == 0:
            return
        rows, columns = x.shape[:2] if x.ndim >= 2 else (1, 1)
        self._make_room(x.size)
        tops = np.empty((2, rows, columns), np.int32)
        bits = x.view(np.int32).reshape(rows, columns, -1)
        low, high = observe(bits, self.table.reshape(-1), tops).view(np.float32)
        self.total += x.size
        self.low, self.high = min(self.low, float(low)), max(self.high, float(high))
        self._add_tops(tops.max(axis=0).view(np.float32), x.ndim >= 2)
        if channels and x.ndim >= 2:
            count_channels(bits, self._channel_table(columns))
        if rectified is not None:
            rectified.add(bits, tops[0].view(np.float32), x.ndim >= 2)

    def _add_tops(self, tops: np.ndarray, has_channels: bool) -> None:
        """Add the largest magnitudes per sample and channel, shape (samples, channels)."""
        for top in tops.max(axis=1):
            self.average.add(float(top))
        if has_channels:
            top = tops.max(axis=0)
            self.channel_max = top if self.channel_max is None else np.maximum(self.channel_max, top)

    def _channel_table(self, channels: int) -> np.ndarray:
        if self.channel_counts is None:
            self.channel_counts = np.zeros((channels, CHANNEL_BINS), self.table.dtype)
        return self.channel_counts

    def _make_room(self, size: int) -> None:
        if self.table.dtype == np.uint32 and self.total + size > _FULL:
            self.table = self.table.astype(np.int64)
            if self.channel_counts is not None:
                self.channel_counts = self.channel_counts.astype(np.int64)

    def merge(self, other: Sketch) -> None:
        """Add everything that `other` saw, behind the own samples; only the moving average depends on that order."""
        self._make_room(other.total)
        self.total += other.total
        self.table += other.table.astype(self.table.dtype)
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.average.extend(other.average)
        if other.channel_max is not None:
            mine = self.channel_max
            self.channel_max = other.channel_max if mine is None else np.maximum(mine, other.channel_max)
        if other.channel_counts is not None:
            added = other.channel_counts.astype(self.table.dtype)
            self.channel_counts = added if self.channel_counts is None else self.channel_counts + added

    def bins(self, sign: int = 0) -> Bins:
        """Return the occupied bins of |x|; `sign` +1 or -1 leaves only values of that sign (0 counts as positive)."""
        counts = self.counts if sign == 0 else self.table[0 if sign > 0 else 1]
        top = self.absmax if sign == 0 else max(0.0, sign * (self.high if sign > 0 else self.low))
        return _occupied(counts, np.arange(BINS + 1) << _SHIFT, top)

    def channel_bins(self) -> list[Bins] | None:
        """Return the occupied bins of |x| of every channel, or None where they were not kept."""
        if self.channel_max is None or self.channel_counts is None:
            return None
        pattern = (np.arange(CHANNEL_BINS + 1) + _CHANNEL_FIRST) << _CHANNEL_SHIFT
        pattern[0] = 0
        return [
            _occupied(row, pattern, float(top)) for row, top in zip(self.channel_counts, self.channel_max, strict=True)
        ]

    def percentile(self, fraction: float) -> float:
        """Return the magnitude below which `fraction` of all elements lie; 1.0 is the exact maximum.

        Interpolated linearly inside a bin, so the relative error is below 0.8 %.
        """
        from qworkbench.calibration.thresholds import percentile

        return percentile(self.bins(), fraction)

    def channel_percentile(self, fraction: float) -> np.ndarray:
        """Return the per-channel magnitude below which `fraction` lies, float32, shape (channels,)."""
        from qworkbench.calibration.thresholds import percentile

        assert self.channel_max is not None
        if fraction >= 1.0:
            return self.channel_max
        bins = self.channel_bins()
        assert bins is not None
        return np.asarray([percentile(channel, fraction) for channel in bins], np.float32)


class Rectified:
    """The sketch of ``min(max(x, 0), ceiling)`` (Relu, Relu6), from the passes that the sketch of x makes anyway.

    Counts and extremes follow from those of x, since a bin is either kept whole or moved whole; the largest values per
    sample and channel are clipped as they come. Only a histogram per channel reads the values once more.

    Parameters
    ----------
    ceiling : float
        > 0; infinity for Relu.
    channels : bool
        Keep the per-channel histogram.
    """

    def __init__(self, ceiling: float = float("inf"), *, channels: bool = False) -> None:
        self._ceiling, self._channels = np.float32(ceiling), channels
        self._found = Sketch()

    def add(self, bits: np.ndarray, tops: np.ndarray, has_channels: bool) -> None:
        """Add a batch: bit patterns (samples, channels, rest), and the largest value >= 0 per sample and channel."""
        self._found._make_room(bits.size)
        self._found.total += bits.size
        self._found._add_tops(np.minimum(tops, self._ceiling), has_channels)
        if self._channels and has_channels:
            from qworkbench.calibration.sketch_kernel import count_rectified

            ceiling = int(self._ceiling.view(np.int32))
            count_rectified(bits, self._found._channel_table(bits.shape[1]), ceiling)

    def sketch(self, source: Sketch) -> Sketch:
        """Return the sketch of the rectified values; `source` is the one of the values, over the same batches."""
        found = self._found
        limit = int(self._ceiling.view(np.int32)) >> _SHIFT
        table = source.table.copy()
        nan = slice(_INFINITY_BIN + 1, None)
        table[0, 0] += table[1, : _INFINITY_BIN + 1].sum()
        table[0, nan] += table[1, nan]
        table[1] = 0
        if limit < _INFINITY_BIN:
            table[0, limit] += table[0, limit + 1 : _INFINITY_BIN + 1].sum()
            table[0, limit + 1 : _INFINITY_BIN + 1] = 0
        found.table = table
        ceiling = float(self._ceiling)
        found.low, found.high = min(max(source.low, 0.0), ceiling), min(max(source.high, 0.0), ceiling)
        return found


def _occupied(counts: np.ndarray, pattern: np.ndarray, top: float) -> Bins:
    index = np.flatnonzero(counts)
    edges = np.minimum(pattern, 0x7F7FFFFF).astype(np.int32).view(np.float32).astype(np.float64)
    return Bins(np.minimum(edges[index], top), np.minimum(edges[index + 1], top), counts[index].astype(np.float64), top)
