"""Whether the samples look like the calibration data: swapped inputs, and preprocessing done twice or not at all.

Both are mistakes of the pipeline, not of quantization, yet they show first as truncated inputs. Compares mean and
standard deviation per input with the histograms that calibration kept. Knows neither graphs nor plans.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from qworkbench.calibration.sketch import Sketch

SPREAD = 1.6  # ratio of ranges that different samples of one distribution do not reach
SHIFT = 1.0  # in standard deviations of the calibration data
ALIKE = 0.5


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean, standard deviation and largest magnitude of a tensor."""

    mean: float
    std: float
    largest: float

    def distance(self, other: Moments) -> float:
        """Return how different two distributions are: 0 for equal moments, about 1 for twice the spread."""
        if self.std <= 0 or other.std <= 0:
            return 0.0 if self == other else math.inf
        return abs(math.log2(self.std / other.std)) + abs(self.mean - other.mean) / max(self.std, other.std)


def moments_of(x: np.ndarray) -> Moments:
    """Return the moments of an array."""
    number = x.astype(np.float64)
    return Moments(float(number.mean()), float(number.std()), float(np.abs(number).max(initial=0.0)))


def moments_of_sketch(sketch: Sketch) -> Moments:
    """Return the moments of what a sketch saw; bins are 0.8 % wide, their centres stand for the values."""
    count = total = square = 0.0
    for sign in (1, -1):
        bins = sketch.bins(sign)
        centre = sign * (bins.low + bins.high) / 2
        count += float(bins.counts.sum())
        total += float((bins.counts * centre).sum())
        square += float((bins.counts * centre * centre).sum())
    mean = total / max(count, 1.0)
    return Moments(mean, math.sqrt(max(square / max(count, 1.0) - mean * mean, 0.0)), sketch.absmax)


def audit_inputs(feeds: Mapping[str, np.ndarray], sketches: Mapping[str, Sketch]) -> dict[str, str]:
    """Return a finding per input that does not look like its calibration data.

    Parameters
    ----------
    feeds : Mapping of str to numpy.ndarray
        Samples by input name; inputs that are not float are passed over.
    sketches : Mapping of str to Sketch
        Of the calibration data, by input name; inputs without one are passed over.
    """
    ours = {n: moments_of(x) for n, x in feeds.items() if n in sketches and x.dtype.kind == "f" and x.size}
    calibrated = {name: moments_of_sketch(sketches[name]) for name in ours}
    found: dict[str, str] = {}
    for first, second in combinations(ours, 2):
        if feeds[first].shape[1:] != feeds[second].shape[1:]:
            continue
        straight = ours[first].distance(calibrated[first]) + ours[second].distance(calibrated[second])
        crossed = ours[first].distance(calibrated[second]) + ours[second].distance(calibrated[first])
        if straight > 2 * SHIFT and crossed < ALIKE * straight:
            for name, other in ((first, second), (second, first)):
                found[name] = (
                    f"swapped inputs: the values of {name!r} (mean {ours[name].mean:.4g}, std {ours[name].std:.4g}) "
                    f"look like calibration data of {other!r} (mean {calibrated[other].mean:.4g}, std "
                    f"{calibrated[other].std:.4g}); check the order of the inputs"
                )
    for name, here in ours.items():
        if name not in found and (text := _preprocessing(here, calibrated[name])):
            found[name] = text
    return found


def _preprocessing(here: Moments, calibrated: Moments) -> str:
    if here.std <= 0 or calibrated.std <= 0:
        return ""
    gain = here.std / calibrated.std
    wider = gain > SPREAD and here.largest > SPREAD * calibrated.largest
    narrower = gain < 1 / SPREAD and here.largest < calibrated.largest / SPREAD
    if not wider and not narrower:
        return ""
    figures = (
        f"mean {here.mean:.4g}, std {here.std:.4g}; calibration data had mean {calibrated.mean:.4g}, std "
        f"{calibrated.std:.4g}"
    )
    offset = calibrated.mean - here.mean / gain
    step = f"(x - {offset:.3g}) / {1 / gain:.3g}"
    if wider:
        return f"other preprocessing than in calibration: {figures}; as if {step} came on top: is it normalised twice?"
    return (
        f"other preprocessing than in calibration: {figures}; as if {step} came on top: is the normalisation missing "
        "here, or were calibration data normalised twice?"
    )
