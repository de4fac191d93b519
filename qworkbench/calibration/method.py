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
class SavedThresholds:
    """Thresholds that were read off by one `method`: per tensor, and per channel (float32) where it asks for that."""

    method: CalibrationMethod
    tensors: Mapping[str, float]
    channels: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Statistics:
    """What calibration learned: a sketch per value, and how many samples it saw.

    ``saved`` holds thresholds read from a file, for which no sketch exists; they answer only for the methods they were
    saved with.
    """

    sketches: Mapping[str, Sketch]
    samples: int
    saved: tuple[SavedThresholds, ...] = ()

    def check(self, method: CalibrationMethod) -> None:
        """Raise CalibrationError when `method` needs more than was learned."""
        if self.sketches:
            coarse = all(sketch.channel_counts is None for sketch in self.sketches.values())
            if method.per_channel and method.fraction < 1.0 and coarse:
                raise CalibrationError(
                    f"{method.describe()!r} needs a histogram per channel; calibrate with data and per_channel=True"
                )
        elif self._saved(method) is None:
            known = " and ".join(repr(entry.method.describe()) for entry in self.saved) or "no method"
            raise CalibrationError(
                f"the saved thresholds are of {known}; calibrate with data to use {method.describe()!r}"
            )

    def threshold(self, value: str, method: CalibrationMethod) -> float:
        """Return the per-tensor threshold of `value`.

        Raises
        ------
        CalibrationError
            When the value was never observed or becomes infinite, or only thresholds of another method were saved.
        """
        sketch = self.sketches.get(value)
        if sketch is not None:
            if not sketch.finite:
                raise CalibrationError(
                    f"{value!r} becomes infinite on the calibration data, so it has no threshold; send the ops that "
                    "make and read it to the CPU, or clamp it in the model"
                )
            return sketch.percentile(method.fraction)
        if not self.sketches and self.saved:
            self.check(method)
            saved = self._saved(method)
            if saved is not None and value in saved.tensors:
                return saved.tensors[value]
        raise CalibrationError(f"no calibration data for {value!r}; call calibrate with a calibration set")

    def channel_thresholds(self, value: str, method: CalibrationMethod) -> np.ndarray | None:
        """Return per-channel thresholds of `value` (float32), or None where only per-tensor ones are known."""
        sketch = self.sketches.get(value)
        if sketch is None:
            saved = self._saved(method)
            return None if saved is None else saved.channels.get(value)
        if sketch.channel_max is None or not sketch.finite:
            return None
        if method.fraction < 1.0 and sketch.channel_counts is None:
            return None
        return sketch.channel_percentile(method.fraction)

    def _saved(self, method: CalibrationMethod) -> SavedThresholds | None:
        fits = (
            entry
            for entry in self.saved
            if entry.method.fraction == method.fraction and (entry.method.per_channel or not method.per_channel)
        )
        return next(fits, None)

    def thresholds(self, method: CalibrationMethod) -> SavedThresholds:
        """Return every threshold by `method`; values that become infinite have none."""
        finite = [name for name, sketch in self.sketches.items() if sketch.finite]
        channels = {name: self.channel_thresholds(name, method) for name in finite if method.per_channel}
        return SavedThresholds(
            method,
            {name: self.threshold(name, method) for name in finite},
            {name: array for name, array in channels.items() if array is not None},
        )
