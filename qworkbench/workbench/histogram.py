"""The values of one tensor as a histogram to draw: equal bins over the range that calibration saw."""

from __future__ import annotations

from typing import Any

import numpy as np

from qworkbench.calibration.sketch import Sketch

BINS = 72


def histogram(sketch: Sketch, bins: int = BINS) -> dict[str, Any] | None:
    """Return ``low``, ``high``, ``counts`` (`bins` whole numbers) and ``total``, or None without finite data.

    The sketch's bins are 0.8 % wide, so a value lands at most one bin from its own.
    """
    low, high = float(sketch.low), float(sketch.high)
    if not sketch.total or not sketch.finite or not low <= high:
        return None
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        high = low + 1.0
    counts = np.zeros(bins)
    for sign in (1, -1):
        part = sketch.bins(sign)
        middle = sign * (part.low + part.high) / 2
        counts += np.histogram(np.clip(middle, low, high), bins, (low, high), weights=part.counts)[0]
    return {"low": low, "high": high, "counts": [int(count) for count in counts], "total": int(sketch.total)}
