"""A look at calibration data before it decides thresholds: layout, NaN, constant samples, normalisation done twice.

Evidence only: each finding is one sentence with the figures that led to it. Nothing is changed, and the data passes
through once, sample by sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any, Literal

import numpy as np

from qworkbench.errors import CalibrationError, Cancelled
from qworkbench.graph.feeds import feeds_of
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Sym

Code = Literal["layout", "unusable", "nan", "constant", "divided_twice", "normalised_twice", "not_normalised", "range"]

# pixels in 0 ... 1 and the usual ImageNet statistics: what a normalised image can reach, once and twice
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
ONCE = (float(((0 - MEAN) / STD).min()), float(((1 - MEAN) / STD).max()))
TWICE = (float(((ONCE[0] - MEAN) / STD).min()), float(((ONCE[1] - MEAN) / STD).max()))
SHOWN = 3
OTHER_RANGE = 4.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with the data, or looks wrong: a code, and a sentence for people."""

    code: Code
    sentence: str

    def __str__(self) -> str:
        return self.sentence


@dataclass
class _Seen:
    """What is gathered of one input."""

    channels: int
    low: float = np.inf
    high: float = -np.inf
    count: int = 0
    total: np.ndarray = field(default_factory=lambda: np.zeros(1))
    squares: float = 0.0


def check_data(
    graph: Graph, batches: Iterable[Any], example: Any = None, *, cancelled: Callable[[], bool] = lambda: False
) -> list[Finding]:
    """Return what is suspicious about `batches` as inputs of `graph`; an empty list is good news.

    Parameters
    ----------
    graph : Graph
    batches : iterable
        As :func:`qworkbench.calibration.observe.batches_of` gives them.
    example : optional
        An input known to be right; the data's range is compared with its.
    cancelled : callable
        Asked between batches.

    Raises
    ------
    Cancelled
    """
    found: list[Finding] = []
    bad: dict[Code, dict[str, list[int]]] = {"nan": {}, "constant": {}}
    seen: dict[str, _Seen] = {}
    first = 0
    for number, item in enumerate(batches, start=1):
        if cancelled():
            raise Cancelled("the check was cancelled")
        try:
            feeds = feeds_of(graph, item)
        except CalibrationError as error:
            found.append(_layout(graph, item, number) or Finding("unusable", f"batch {number}: {error}"))
            break
        size = 1
        for name, tensor in feeds.items():
            array = tensor.detach().numpy()
            size = array.shape[0] if any(isinstance(d, Sym) for d in graph.values[name].shape) else 1
            if array.dtype.kind == "f":
                for i, sample in enumerate(array if size > 1 else array.reshape(1, *array.shape[1:])):
                    _look(sample, name, first + i + 1, bad, seen)
        first += size
    found += [_numbered(code, name, which) for code, names in bad.items() for name, which in names.items()]
    reference = _extremes(graph, example)
    for name, statistics in seen.items():
        suspicion = _normalisation(name, statistics) or _range(name, statistics, reference.get(name))
        if suspicion is not None:
            found.append(suspicion)
    if first == 0 and not found:
        found.append(
            Finding("unusable", "the calibration set is empty; give at least one sample (10 to 100 are usual)")
        )
    return found


def _look(
    sample: np.ndarray, name: str, number: int, bad: dict[Code, dict[str, list[int]]], seen: dict[str, _Seen]
) -> None:
    if not np.isfinite(sample).all():
        bad["nan"].setdefault(name, []).append(number)
        return
    low, high = float(sample.min()), float(sample.max())
    if low == high and sample.size > 1:
        bad["constant"].setdefault(name, []).append(number)
        return
    channels = sample.shape[0] if sample.ndim == 3 else 1
    statistics = seen.setdefault(name, _Seen(channels, total=np.zeros(channels)))
    statistics.low, statistics.high = min(statistics.low, low), max(statistics.high, high)
    flat = sample.reshape(channels, -1).astype(np.float64)
    statistics.total += flat.sum(axis=1)
    statistics.squares += float((flat * flat).sum())
    statistics.count += flat.shape[1]


def _numbered(code: Code, name: str, which: list[int]) -> Finding:
    some = ", ".join(map(str, which[:SHOWN])) + (f" and {len(which) - SHOWN} more" if len(which) > SHOWN else "")
    if code == "nan":
        return Finding(code, f"input {name!r} holds NaN or infinite values in sample {some}; remove or repair them")
    return Finding(
        code, f"input {name!r} is one constant value in sample {some}; such a sample teaches nothing, check the reader"
    )


def _layout(graph: Graph, item: Any, number: int) -> Finding | None:
    """Tell a wrong order of axes from any other misfit: some permutation would fit, the given order does not."""
    named = item if isinstance(item, dict) else {graph.inputs[0]: item[0] if isinstance(item, (tuple, list)) else item}
    for name, array in named.items():
        shape = tuple(getattr(array, "shape", ()))
        if name not in graph.values or len(shape) != 4:
            continue
        wanted = graph.values[name].shape
        fits = [
            order
            for order in permutations(range(1, 4))
            if all(isinstance(w, Sym) or shape[axis] == w for axis, w in zip(order, wanted[1:], strict=True))
        ]
        if fits and (1, 2, 3) not in fits:
            told = ", ".join(map(str, wanted))
            if (3, 1, 2) in fits:
                return Finding(
                    "layout",
                    f"batch {number} has shape {shape}, which is NHWC where input {name!r} is NCHW ({told}); "
                    "use x.transpose(0, 3, 1, 2)",
                )
            order = (0, *fits[0])
            return Finding(
                "layout", f"batch {number} has shape {shape}, but input {name!r} is ({told}); transpose by {order} fits"
            )
    return None


def _normalisation(name: str, seen: _Seen) -> Finding | None:
    if seen.channels not in (1, 3):
        return None
    mean = seen.total / seen.count
    told = f"values of input {name!r} lie in [{seen.low:.4g}, {seen.high:.4g}]"
    if seen.low >= 0 and seen.high <= 1.01 / 255:
        return Finding("divided_twice", f"{told}: pixels look divided by 255 twice; scale them once")
    if 1.01 * TWICE[0] <= seen.low <= 0.4 * TWICE[0] and seen.high <= 1.01 * TWICE[1]:
        means = ", ".join(f"{m:.2f}" for m in mean)
        return Finding(
            "normalised_twice",
            f"{told} with channel means {means}: mean and std once leave [{ONCE[0]:.2f}, {ONCE[1]:.2f}], twice "
            f"[{TWICE[0]:.1f}, {TWICE[1]:.1f}], so they look subtracted twice, by the data and by its reader",
        )
    return None


def _range(name: str, seen: _Seen, example: tuple[float, float] | None) -> Finding | None:
    if example is None:
        return None
    here, there = max(abs(seen.low), abs(seen.high)), max(map(abs, example))
    if here == 0 or there == 0 or 1 / OTHER_RANGE <= here / there <= OTHER_RANGE:
        return None
    told = f"values of input {name!r} lie in [{seen.low:.4g}, {seen.high:.4g}]"
    theirs = f"the example in [{example[0]:.4g}, {example[1]:.4g}]"
    if seen.low >= 0 and seen.high > 100 and there < 10:
        return Finding("not_normalised", f"{told} like raw pixels, {theirs}; preprocess the calibration data as well")
    return Finding("range", f"{told}, {theirs}: one of both is preprocessed differently")


def _extremes(graph: Graph, example: Any) -> dict[str, tuple[float, float]]:
    if example is None:
        return {}
    feeds = feeds_of(graph, example)
    return {n: (float(t.min()), float(t.max())) for n, t in feeds.items() if t.is_floating_point() and t.numel()}
