"""The choice of calibration method, and thresholds from sketches.

Names follow the PTQ configuration: ``max``, and ``max-percentile`` with ``max_percentile``; ``per_channel`` is about
feature-map channels, since weights are always per output channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from qworkbench.calibration.sketch import Sketch
from qworkbench.errors import CalibrationError, unknown_name

METHODS = ("max", "max-percentile")
DEFAULT_PERCENTILE = 0.99995


@dataclass(frozen=True, slots=True)
class CalibrationMethod:
    """How a threshold is read off the statistics.

    Attributes
    ----------
    name : "max" | "max-percentile"
    percentile : float
        Fraction in (0, 1]; used by ``max-percentile``.
    per_channel : bool
        One threshold per feature-map channel where the tensor's neighbours allow it (convolutions on both sides).
    """

    name: str = "max"
    percentile: float = DEFAULT_PERCENTILE
    per_channel: bool = False

    def __post_init__(self) -> None:
        if self.name not in METHODS:
            raise unknown_name("calibration method", self.name, METHODS)
        if not 0.0 < self.percentile <= 1.0:
            raise CalibrationError(
                f"max_percentile must be in (0, 1], got {self.percentile}; typical: 0.9999, 0.99995, 0.99999"
            )

    @property
    def fraction(self) -> float:
        """The percentile in effect: 1.0 for ``max``."""
        return 1.0 if self.name == "max" else self.percentile

    def describe(self) -> str:
        """Return one phrase, e.g. ``max-percentile 0.99995, per channel``."""
        number = "" if self.name == "max" else f" {self.percentile:g}"
        return f"{self.name}{number}{', per channel' if self.per_channel else ''}"


@dataclass(frozen=True)
class Statistics:
    """What calibration learned: a sketch per value, and how many samples it saw.

    ``saved`` holds thresholds read from a file, for which no sketch exists; they answer only for the method they were
    saved with.
    """

    sketches: Mapping[str, Sketch]
    samples: int
    saved: Mapping[str, float] | None = None
    saved_method: CalibrationMethod | None = None

    def threshold(self, value: str, method: CalibrationMethod) -> float:
        """Return the per-tensor threshold of `value`.

        Raises
        ------
        CalibrationError
            When the value was never observed, or only saved thresholds of another method exist.
        """
        sketch = self.sketches.get(value)
        if sketch is not None:
            return sketch.percentile(method.fraction)
        if self.saved is not None and value in self.saved:
            if self.saved_method is not None and self.saved_method.fraction != method.fraction:
                raise CalibrationError(
                    f"the saved thresholds are of {self.saved_method.describe()!r}; calibrate with data to use "
                    f"{method.describe()!r}"
                )
            return self.saved[value]
        raise CalibrationError(f"no calibration data for {value!r}; call calibrate with a calibration set")

    def channel_thresholds(self, value: str, method: CalibrationMethod) -> np.ndarray | None:
        """Return per-channel thresholds of `value` (float32), or None where only per-tensor ones are known."""
        sketch = self.sketches.get(value)
        if sketch is None or sketch.channel_max is None:
            return None
        if method.fraction < 1.0 and sketch.channel_counts is None:
            return None
        return sketch.channel_percentile(method.fraction)
