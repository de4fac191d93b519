"""The samples on which quantization hurts most, found in a stream.

Every sample runs in float and through the integer plan; per output and metric the worst one is kept. Memory does not
grow with the stream: beside the figures only the worst samples themselves are held, so that the next analyses can use
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from qworkbench.analysis.comparable import Target, targets_of
from qworkbench.analysis.distances import Distance, Function, Metric, metrics_given
from qworkbench.analysis.emulated import emulate, key_of, real
from qworkbench.analysis.program import follows_batch
from qworkbench.analysis.spread import spread
from qworkbench.analysis.text import text_table
from qworkbench.errors import AnalysisError, Cancelled, QWorkbenchError
from qworkbench.graph.execute import run_float
from qworkbench.graph.feeds import feeds_of

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import torch

    from qworkbench.emulator.plan import Plan
    from qworkbench.graph.ir import Graph
    from qworkbench.placement.types import Placement

DEFAULT_METRICS = ("COSINE", "L1", "ATOL")


@dataclass
class BadCases:
    """The worst samples so far.

    Attributes
    ----------
    outputs : tuple of str
        What was compared, by output name.
    metrics : tuple of Metric
    found : dict of (output, metric) to (int, float)
        Index of the worst sample in the stream, and its distance.
    seen : int
        Samples compared so far.
    finished : bool
        Whether the stream came to its end (or to the limit that was asked for).
    samples : dict of int to dict of str to torch.Tensor
        The worst samples themselves, by index.
    replaced : dict of str to str
        Outputs that cannot be compared -> the ranking node whose input stands for them.
    """

    outputs: tuple[str, ...]
    metrics: tuple[Metric, ...]
    found: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)
    seen: int = 0
    finished: bool = False
    samples: dict[int, dict[str, torch.Tensor]] = field(default_factory=dict)
    replaced: dict[str, str] = field(default_factory=dict)

    @property
    def indices(self) -> pd.DataFrame:
        """Index of the worst sample per output and metric."""
        return self._frame(0).astype("int64")

    @property
    def values(self) -> pd.DataFrame:
        """Distance of the worst sample per output and metric."""
        return self._frame(1)

    @property
    def worst(self) -> pd.DataFrame:
        """Index of the worst sample over all outputs, its output and distance, per metric."""
        rows = []
        for metric in self.metrics:
            ranked = [(metric.badness(self.found[o, metric.name][1]), o) for o in self.outputs]
            output = max(ranked, key=lambda pair: pair[0])[1]
            index, value = self.found[output, metric.name]
            rows.append({"metric": metric.name, "index": index, "output": output, "value": value})
        return pd.DataFrame(rows).set_index("metric")

    def sample(self, metric: str | None = None, output: str | None = None) -> dict[str, torch.Tensor]:
        """Return the worst sample by `metric` (default: the first), of `output` or over all of them, as feeds."""
        name = self.metrics[0].name if metric is None else metric.upper() if metric.isascii() else metric
        known = {m.name: m for m in self.metrics} | {m.name.upper(): m for m in self.metrics}
        if name not in known:
            raise AnalysisError(
                f"bad cases were not searched by {metric!r}; there are {', '.join(self.values.columns)}"
            )
        if output is not None and output not in self.outputs:
            raise AnalysisError(f"no output {output!r} was compared; there are {', '.join(self.outputs)}")
        exact = known[name].name
        index = int(self.worst["index"][exact]) if output is None else self.found[output, exact][0]
        return self.samples[index]

    def take(self, index: int, output: str, distance: Distance, feeds: Mapping[str, torch.Tensor]) -> None:
        """Compare sample `index` with the worst so far."""
        for metric in self.metrics:
            value = distance.value(metric)
            old = self.found.get((output, metric.name))
            if old is None or metric.badness(value) > metric.badness(old[1]):
                self.found[output, metric.name] = (index, value)
                self.samples[index] = {name: tensor.clone() for name, tensor in feeds.items()}

    def forget_others(self) -> None:
        """Drop samples that are no longer the worst of anything."""
        kept = {index for index, _ in self.found.values()}
        self.samples = {index: feeds for index, feeds in self.samples.items() if index in kept}

    def _frame(self, part: int) -> pd.DataFrame:
        names = [metric.name for metric in self.metrics]
        rows = {o: [self.found[o, m][part] for m in names] for o in self.outputs}
        frame = pd.DataFrame.from_dict(rows, orient="index", columns=names)
        return frame.rename_axis("output")

    def __str__(self) -> str:
        if not self.seen:
            return "no sample was compared"
        headings = ["Name/Index", *(metric.name for metric in self.metrics)]
        parts = [
            "The bad case input index of each output:",
            text_table(headings, [[name, *map(int, row)] for name, row in self.indices.iterrows()]),
            "",
            "The metric results of each badcase:",
            text_table(headings, [[name, *map(float, row)] for name, row in self.values.iterrows()]),
            "",
            "The bad case input index of the worst output:",
            text_table(["metric", "dataloader index"], [[m, int(i)] for m, i in self.worst["index"].items()]),
        ]
        parts += [
            f"\n{name!r} holds a ranking; the input of {node!r} was compared" for name, node in self.replaced.items()
        ]
        if not self.finished:
            parts.append(f"\nstopped after {self.seen} samples; pass resume= to go on")
        return "\n".join(parts)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        titles = ("Worst sample", "Its distance", "Worst over all outputs")
        frames = (self.indices, self.values, self.worst) if self.seen else ()
        return "".join(f"<b>{t}</b>{f.to_html()}" for t, f in zip(titles, frames, strict=False)) or str(self)


def find_bad_cases(
    graph: Graph,
    placement: Placement,
    plan: Plan,
    data: Iterable[Any],
    *,
    metrics: str | Function | Sequence[str | Function] = DEFAULT_METRICS,
    limit: int | None = None,
    resume: BadCases | None = None,
    stop: Callable[[BadCases], bool] = lambda _: False,
    progress: Callable[[str, int, int], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    executor: Executor | None = None,
) -> BadCases:
    """Return the worst samples of a stream. Source: quantization accuracy tuning guide, "Find Badcase".

    Parameters
    ----------
    graph, placement, plan
        Of one configuration.
    data : iterable
        Items as the model takes them; an item with several samples counts as several where the model follows the
        batch. Indices count samples from the beginning of the stream.
    metrics : str, callable, or several
        Of (float output, emulated output); for a callable larger is worse.
    limit : int, optional
        Look at this many samples at most.
    resume : BadCases, optional
        What a stopped search over the same stream found; the samples it has seen are skipped.
    stop : callable
        Asked after every item with the result so far; True ends the search early.
    progress : callable, optional
        Called with (text, samples seen, total or 0).
    cancelled : callable
        Asked after every item; the result so far is returned with ``finished`` False.
    executor : concurrent.futures.Executor, optional
        Compares items on its workers; the result is that of the serial run, item by item.

    Raises
    ------
    AnalysisError
        An empty stream, or outputs that nothing can be compared by.
    CalibrationError
        A sample that does not fit the model.
    """
    targets = targets_of(graph)
    wanted = metrics_given(metrics)
    names = tuple(target.name for target in targets)
    result = resume
    if result is None:
        replaced = {target.name: target.replaced for target in targets if target.replaced is not None}
        result = BadCases(names, wanted, replaced=replaced)
    elif result.outputs != names or [m.name for m in result.metrics] != [m.name for m in wanted]:
        raise AnalysisError("the search to resume compared other outputs or metrics; give the same ones, or start anew")
    result.finished = False
    total = (len(data) if isinstance(data, Sized) else 0) if limit is None else limit
    follows = all(follows_batch(graph, name) for name in graph.inputs)
    keys: dict[str, str] = {}
    for target in targets:
        key = key_of(plan, placement, target.value)
        if key is None:
            raise QWorkbenchError(f"output {target.name!r} has no emulated tensor to compare; its node is fused away")
        keys[target.value] = key
    common = Comparison(graph, plan, targets, keys, wanted)
    items = _items(graph, data, follows, result.seen, limit)
    for feeds, samples, distances in _compared(common, items, executor, cancelled):
        for number, by_output in enumerate(distances):
            part = {n: t[number : number + 1] for n, t in feeds.items()} if samples else feeds
            for name, distance in by_output.items():
                result.take(result.seen + number, name, distance, part)
        result.seen += samples or 1
        result.forget_others()
        if progress is not None:
            progress("samples", result.seen, total)
        if cancelled() or stop(result):
            return result
    if cancelled():
        return result
    if not result.seen:
        raise AnalysisError("there is no sample to compare; give an array of samples or an iterable of batches")
    result.finished = True
    return result


@dataclass(frozen=True, eq=False)
class Comparison:
    """What the comparison of every item needs; travels to workers."""

    graph: Graph
    plan: Plan
    targets: Sequence[Target]
    keys: Mapping[str, str]
    metrics: tuple[Metric, ...]


Item = tuple[dict[str, "torch.Tensor"], int]
Distances = list[dict[str, Distance]]


def _items(graph: Graph, data: Iterable[Any], follows: bool, seen: int, limit: int | None) -> Iterator[Item]:
    """Yield (feeds, samples) beyond the first `seen` samples; samples 0: one sample that cannot be cut."""
    passed = 0
    for item in data:
        if limit is not None and seen >= limit:
            return
        feeds = feeds_of(graph, item)
        count = next(iter(feeds.values())).shape[0] if follows else 1
        first = max(0, seen - passed)
        passed += count
        if first >= count:
            continue
        last = count if limit is None else min(count, first + limit - seen)
        if follows:
            feeds = {name: tensor[first:last] for name, tensor in feeds.items()}
        seen += last - first
        yield feeds, (last - first) if follows else 0


def _compared(
    common: Comparison, items: Iterator[Item], executor: Executor | None, cancelled: Callable[[], bool]
) -> Iterator[tuple[dict[str, torch.Tensor], int, Distances]]:
    """Yield every item with its distances, in order; ends early when cancelled."""
    try:
        if executor is None:
            for feeds, samples in items:
                yield feeds, samples, _compare(common, feeds, samples, cancelled)
            return
        sent: dict[int, Item] = {}

        def tasks() -> Iterator[tuple[Comparison, Item]]:
            for number, item in enumerate(items):
                sent[number] = item
                yield common, item

        early: dict[int, Distances] = {}
        turn = 0
        for number, distances in spread(compare_item, tasks(), executor, cancelled):
            early[number] = distances
            while turn in early:
                yield *sent.pop(turn), early.pop(turn)
                turn += 1
    except Cancelled:
        return


def compare_item(task: tuple[Comparison, Item]) -> Distances:
    """Compare one item on a worker."""
    common, (feeds, samples) = task
    return _compare(common, feeds, samples, lambda: False)


def _compare(
    common: Comparison, feeds: Mapping[str, torch.Tensor], samples: int, cancelled: Callable[[], bool]
) -> Distances:
    """Return the distances of each sample of an item by output; `samples` 0: one sample that cannot be cut."""
    reference = run_float(common.graph, feeds, keep=set(common.keys))
    arrays = {name: tensor.numpy() for name, tensor in feeds.items()}
    execution = emulate(common.plan, arrays, tuple(common.keys.values()), cancelled=cancelled)
    found: Distances = [{} for _ in range(max(1, samples))]
    for target in common.targets:
        key = common.keys[target.value]
        ours = reference[target.value].detach().numpy()
        theirs = real(execution.arrays[key], common.plan.quantities.get(key))
        cut = samples > 0 and follows_batch(common.graph, target.value)
        for number in range(max(1, samples)):
            rows = _rows(ours, number, samples) if cut else slice(None)
            distance = found[number][target.name] = Distance()
            distance.add(ours[rows], theirs[rows], common.metrics)
    return found


def _rows(array: np.ndarray, number: int, samples: int) -> slice:
    each = array.shape[0] // samples
    return slice(number * each, (number + 1) * each)
