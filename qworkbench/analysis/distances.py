"""The distances that analyses rank by: the guide's names, which direction is worse, and a user's own function.

Distances of a stream are merged from sums (:mod:`qworkbench.analysis.metrics`), so that they equal those of the whole
tensor at once. Knows arrays only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from qworkbench.analysis.metrics import merged, metrics_of, sums
from qworkbench.errors import AnalysisError, unknown_name

Function = Callable[[np.ndarray, np.ndarray], float]

LARGER_IS_WORSE = {"COSINE": False, "L1": True, "MSE": True, "ATOL": True, "RTOL": True, "SQNR": False, "KL": True}
LOWEST = {"COSINE": -1.0, "SQNR": -math.inf}  # of others 0
HIGHEST = {"COSINE": 1.0}


@dataclass(frozen=True, slots=True)
class Metric:
    """A distance by name, or a user's function of (float output, quantized output), where larger is worse."""

    name: str
    function: Function | None = None

    @property
    def larger_is_worse(self) -> bool:
        """Tell which end of a ranking is the bad one."""
        return LARGER_IS_WORSE.get(self.name, True)

    def badness(self, value: float) -> float:
        """Return a number that grows as things get worse; NaN is worst."""
        if math.isnan(value):
            return math.inf
        return value if self.larger_is_worse else -value

    def check_target(self, target: float) -> None:
        """Refuse a target that no outputs can have.

        Raises
        ------
        AnalysisError
        """
        low, high = (LOWEST.get(self.name, 0.0), HIGHEST.get(self.name, math.inf))
        if self.function is None and not low <= target <= high:
            known = f"between {low:g} and {high:g}" if math.isfinite(high) else f"at least {low:g}"
            raise AnalysisError(f"no {self.name} is {target:g}: it is {known}, where it is a number")


def metric_of(given: str | Function | Metric) -> Metric:
    """Return the metric that a user names (``"L1"``, any case) or hands over as a callable.

    Raises
    ------
    UnknownNameError
    """
    if isinstance(given, Metric):
        return given
    if callable(given):
        return Metric(getattr(given, "__name__", "custom").strip("<>"), given)
    name = str(given).upper()
    if name not in LARGER_IS_WORSE:
        raise unknown_name("metric", str(given), LARGER_IS_WORSE)
    return Metric(name)


def metrics_given(given: str | Function | Metric | Sequence[str | Function | Metric]) -> tuple[Metric, ...]:
    """Return one or several metrics as a tuple without repeats."""
    many = [given] if isinstance(given, (str, Metric)) or callable(given) else list(given)
    if not many:
        raise AnalysisError(f"at least one metric is needed; there are {', '.join(LARGER_IS_WORSE)} and callables")
    found = [metric_of(item) for item in many]
    return tuple({metric.name: metric for metric in found}.values())


def kl_divergence(reference: np.ndarray, analysed: np.ndarray) -> float:
    """Return the mean over all elements of ``p log(p / q)``, p and q being softmax over the last axis.

    The vendor's formula is not public; this one gives the size of the numbers in the guide's table. float32 arrays of
    one shape; 0-d arrays have distance 0.
    """
    if reference.ndim == 0 or reference.size == 0:
        return 0.0
    p, q = (_log_softmax(array.astype(np.float64, order="C")) for array in (reference, analysed))
    return float(np.mean(np.exp(p) * (p - q)))


def _log_softmax(x: np.ndarray) -> np.ndarray:
    shifted = x - x.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


@dataclass
class Distance:
    """Distances between two tensors that come in parts.

    Attributes
    ----------
    total : numpy.ndarray or None
        Merged :func:`~qworkbench.analysis.metrics.sums`.
    means : dict of str to (float, float)
        For KL and user functions, which no sums can tell: (weighted sum over the parts, number of samples).
    """

    total: np.ndarray | None = None
    means: dict[str, tuple[float, float]] = field(default_factory=dict)

    def add(self, reference: np.ndarray, analysed: np.ndarray, metrics: Sequence[Metric]) -> None:
        """Take in one part (float32 or anything that compares as numbers, same shapes)."""
        part = sums(reference, analysed)
        self.total = part if self.total is None else merged(self.total, part)
        weight = float(reference.shape[0]) if reference.ndim else 1.0
        for metric in metrics:
            if metric.function is not None:
                value = _user_value(metric, reference, analysed)
            elif metric.name == "KL":
                value = kl_divergence(np.asarray(reference, np.float32), np.asarray(analysed, np.float32))
            else:
                continue
            old = self.means.get(metric.name, (0.0, 0.0))
            self.means[metric.name] = (old[0] + weight * value, old[1] + weight)

    def merge(self, other: Distance) -> None:
        """Take in what `other` saw."""
        if other.total is not None:
            self.total = other.total if self.total is None else merged(self.total, other.total)
        for name, (value, weight) in other.means.items():
            old = self.means.get(name, (0.0, 0.0))
            self.means[name] = (old[0] + value, old[1] + weight)

    def value(self, metric: Metric) -> float:
        """Return the distance by `metric`; KL and user functions are means over the samples."""
        if metric.name in self.means:
            value, weight = self.means[metric.name]
            return value / weight
        if self.total is None:
            return math.nan
        return float(getattr(metrics_of(self.total), metric.name.lower()))


def _user_value(metric: Metric, reference: np.ndarray, analysed: np.ndarray) -> float:
    assert metric.function is not None
    try:
        return float(metric.function(reference, analysed))
    except Exception as error:
        raise AnalysisError(
            f"the metric {metric.name!r} failed on outputs of shape {reference.shape}: {error}; it is called with "
            "(float array, quantized array) and returns one number, larger being worse"
        ) from error
