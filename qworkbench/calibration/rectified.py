"""The sketch of a Relu or Relu6 without looking at its values: it follows from the one of what is rectified."""

from __future__ import annotations

import numpy as np

from qworkbench.calibration.average import Average
from qworkbench.calibration.bins import INFINITY_BIN, SHIFT, channel_table
from qworkbench.calibration.sketch import Sketch


class Rectified:
    """The sketch of ``min(max(x, 0), ceiling)`` (Relu, Relu6), from the pass that the sketch of x makes anyway.

    Counts and extremes follow from those of x, since a bin is either kept whole or moved whole; only the largest values
    per sample and a histogram per channel are taken as the values come.

    Parameters
    ----------
    ceiling : float
        > 0; infinity for Relu.
    channels : bool
        Keep the per-channel histogram.

    Attributes
    ----------
    ceiling : int
        Bit pattern of the bound.
    average : Average
        Moving average of the samples' maxima.
    """

    def __init__(self, ceiling: float = float("inf"), *, channels: bool = False) -> None:
        self.ceiling = int(np.float32(ceiling).view(np.int32))
        self.average = Average()
        self._wants_channels = channels
        self._channel_table: np.ndarray | None = None

    def room(self, channels: int, dtype: np.dtype) -> np.ndarray:
        """Return the table per channel to count into; without rows where none is kept."""
        if not self._wants_channels:
            return channel_table(None, 0, dtype)
        self._channel_table = channel_table(self._channel_table, channels, dtype)
        return self._channel_table

    def sketch(self, source: Sketch) -> Sketch:
        """Return the sketch of the rectified values; `source` is the one of the values, over the same batches."""
        limit = self.ceiling >> SHIFT
        table = source.table.copy()
        nan = slice(INFINITY_BIN + 1, None)
        table[0, 0] += table[1, : INFINITY_BIN + 1].sum()
        table[0, nan] += table[1, nan]
        table[1] = 0
        if limit < INFINITY_BIN:
            table[0, limit] += table[0, limit + 1 : INFINITY_BIN + 1].sum()
            table[0, limit + 1 : INFINITY_BIN + 1] = 0
        bound = float(np.int32(self.ceiling).view(np.float32))
        tops = source.tops
        return Sketch.of_counts(
            source.total,
            table,
            ends=(min(max(source.low, 0.0), bound), min(max(source.high, 0.0), bound)),
            average=self.average,
            tops=None if tops is None else np.minimum(tops * np.array([[1], [0]], np.int32), self.ceiling),
            channel_table=None if tops is None else self._channel_table,
        )
