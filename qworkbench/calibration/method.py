"""The choice of calibration method, and thresholds from sketches.

Names follow the PTQ configuration: ``max``, ``max-percentile`` with ``max_percentile``, ``kl``; ``per_channel`` is
about feature-map channels, since weights are always per output channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from qworkbench.calibration.bins import Bins
from qworkbench.calibration.sketch import Sketch
from qworkbench.calibration.thresholds import least_divergence, least_entropy, least_squares, percentile
from qworkbench.errors import CalibrationError, unknown_name

METHODS = ("max", "max-percentile", "kl", "mse", "moving-average", "entropy")
DEFAULT_PERCENTILE = 0.99995
NUM_BIN, MAX_NUM_BIN = 1024, 16384


@dataclass(frozen=True, slots=True)
class CalibrationMethod:
    """How a threshold is read off the statistics.

    Attributes
    ----------
    name : "max" | "max-percentile" | "kl" | "mse" | "moving-average" | "entropy"
        Largest magnitude; percentile of magnitudes; least Kullback-Leibler divergence; least squared error; moving
        average of the samples' largest magnitudes; what ONNX Runtime's entropy calibrator takes on the same histogram.
    percentile : float
        Fraction in (0, 1]; used by ``max-percentile``.
    per_channel : bool
        One threshold per feature-map channel where the tensor's neighbours allow it (convolutions on both sides).
    num_bin, max_num_bin : int
        Linear bins of ``kl``, as the vendor's logs print them, and of ``entropy``.
    """

    name: str = "max"
    percentile: float = DEFAULT_PERCENTILE
    per_channel: bool = False
    num_bin: int = NUM_BIN
    max_num_bin: int = MAX_NUM_BIN

    def __post_init__(self) -> None:
        if self.name not in METHODS:
            raise unknown_name("calibration method", self.name, METHODS)
        if not 0.0 < self.percentile <= 1.0:
            raise CalibrationError(
                f"max_percentile must be in (0, 1], got {self.percentile}; typical: 0.9999, 0.99995, 0.99999"
            )
        if not 256 <= self.num_bin <= self.max_num_bin <= 1 << 17:
            raise CalibrationError(
                f"num_bin and max_num_bin must rise within [256, 131072], got {self.num_bin} and {self.max_num_bin}; "
                f"usual are {NUM_BIN} and {MAX_NUM_BIN}"
            )

    @property
    def fraction(self) -> float:
        """The percentile in effect: 1.0 unless the method is ``max-percentile``."""
        return self.percentile if self.name == "max-percentile" else 1.0

    @property
    def rule(self) -> tuple[str, float, int, int]:
        """What decides a threshold: methods with equal rules give equal ones (``max`` is percentile 1.0)."""
        if self.fraction < 1.0:
            return ("max-percentile", self.percentile, 0, 0)
        if self.name in ("kl", "entropy"):
            return (self.name, 1.0, self.num_bin, self.max_num_bin)
        return (self.name.replace("max-percentile", "max"), 1.0, 0, 0)

    def describe(self) -> str:
        """Return one phrase, e.g. ``max-percentile 0.99995, per channel``."""
        detail = f" {self.percentile:g}" if self.name == "max-percentile" else ""
        if self.name in ("kl", "entropy"):
            detail = f":num_bin={self.num_bin},max_num_bin={self.max_num_bin}"
        return f"{self.name}{detail}{', per channel' if self.per_channel else ''}"

    def of(self, bins: Bins) -> float:
        """Return the threshold that `bins` of magnitudes give; not for ``moving-average``, which needs the order."""
        if self.name == "kl":
            return least_divergence(bins, self.num_bin, self.max_num_bin)
        if self.name == "entropy":
            return least_entropy(bins, bins, self.num_bin, self.max_num_bin)
        if self.name == "mse":
            return least_squares(bins)
        return percentile(bins, self.fraction)

    def of_sketch(self, sketch: Sketch) -> float:
        """Return the per-tensor threshold."""
        if self.name == "moving-average":
            return sketch.average.value
        if self.name == "entropy":
            return least_entropy(sketch.bins(1), sketch.bins(-1), self.num_bin, self.max_num_bin)
        return sketch.absmax if self.rule[0] == "max" else self.of(sketch.bins())

    def range_of(self, sketch: Sketch) -> tuple[float, float]:
        """Return an asymmetric range (low <= 0 <= high): the method applied to each sign's values alone.

        A percentile cuts its share of *all* elements from either end. The moving average knows magnitudes only, and
        gives the exact extremes here.
        """
        ends = []
        for sign in (-1, 1):
            bins = sketch.bins(sign)
            if self.name == "max-percentile" and bins.counts.size:
                beyond = (1.0 - self.percentile) * sketch.total / float(bins.counts.sum())
                ends.append(percentile(bins, 1.0 - beyond) if beyond < 1.0 else 0.0)
            else:
                ends.append(bins.top if self.name == "moving-average" else self.of(bins))
        return -ends[0], ends[1]


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
    saved with. ``first`` is the first sample, input by input, on which searches measure.
    """

    sketches: Mapping[str, Sketch]
    samples: int
    saved: tuple[SavedThresholds, ...] = ()
    first: Mapping[str, np.ndarray] | None = None
    _known: dict[tuple[str, tuple[str, float, int, int], bool], np.ndarray] = field(
        default_factory=dict, repr=False, compare=False
    )

    def check(self, method: CalibrationMethod) -> None:
        """Raise CalibrationError when `method` needs more than was learned."""
        if not self.sketches and self._saved(method) is None:
            known = " and ".join(repr(entry.method.describe()) for entry in self.saved) or "no method"
            raise CalibrationError(
                f"the saved thresholds are of {known}; calibrate with data to use {method.describe()!r}"
            )

    def sketch(self, value: str) -> Sketch | None:
        """Return the sketch of `value`, or None where only thresholds were saved.

        Raises
        ------
        CalibrationError
            When the value becomes infinite.
        """
        found = self.sketches.get(value)
        if found is not None and not found.finite:
            raise CalibrationError(
                f"{value!r} becomes infinite on the calibration data, so it has no threshold; send the ops that "
                "make and read it to the CPU, or clamp it in the model"
            )
        return found

    def threshold(self, value: str, method: CalibrationMethod) -> float:
        """Return the per-tensor threshold of `value`.

        Raises
        ------
        CalibrationError
            When the value was never observed or becomes infinite, or only thresholds of another method were saved.
        """
        sketch = self.sketch(value)
        if sketch is not None:
            key = (value, method.rule, False)
            if key not in self._known:
                self._known[key] = np.asarray(method.of_sketch(sketch))
            return float(self._known[key])
        if not self.sketches and self.saved:
            self.check(method)
            saved = self._saved(method)
            if saved is not None and value in saved.tensors:
                return saved.tensors[value]
        raise CalibrationError(
            f"no calibration data for {value!r}; calibrate with data: %qwb calibrate DATA, or wb.calibrate(data)"
        )

    def channel_thresholds(self, value: str, method: CalibrationMethod) -> np.ndarray | None:
        """Return per-channel thresholds of `value` (float32), or None where only per-tensor ones are known."""
        sketch = self.sketches.get(value)
        if sketch is None:
            saved = self._saved(method)
            return None if saved is None else saved.channels.get(value)
        if sketch.channel_max is None or not sketch.finite or method.name == "moving-average":
            return None
        if method.rule[0] == "max":
            return sketch.channel_max
        key = (value, method.rule, True)
        if key not in self._known:
            channels = sketch.channel_bins()
            if channels is None:
                return None
            self._known[key] = np.asarray([method.of(bins) for bins in channels], np.float32)
        return self._known[key]

    def _saved(self, method: CalibrationMethod) -> SavedThresholds | None:
        fits = (
            entry
            for entry in self.saved
            if entry.method.rule == method.rule and (entry.method.per_channel or not method.per_channel)
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
