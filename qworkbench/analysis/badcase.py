"""The samples on which quantization hurts most, found in a stream.

Every sample runs in float and through the integer plan; per output and metric the worst one is kept. Memory does not
grow with the stream: beside the figures only the worst samples themselves are held, so that the next analyses can use
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from qworkbench.analysis.comparable import Target, targets_of
from qworkbench.analysis.distances import Distance, Function, Metric, metrics_given
from qworkbench.analysis.emulated import emulate, key_of, real
from qworkbench.analysis.program import follows_batch
from qworkbench.analysis.text import text_table
from qworkbench.errors import AnalysisError, Cancelled, QWorkbenchError
from qworkbench.graph.execute import run_float
from qworkbench.graph.feeds import feeds_of

if TYPE_CHECKING:
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
    passed = 0
    for item in data:
        if limit is not None and result.seen >= limit:
            break
        feeds = feeds_of(graph, item)
        count = next(iter(feeds.values())).shape[0] if follows else 1
        first = max(0, result.seen - passed)
        passed += count
        if first >= count:
            continue
        last = count if limit is None else min(count, first + limit - result.seen)
        if follows:
            feeds = {name: tensor[first:last] for name, tensor in feeds.items()}
        try:
            _compare(graph, placement, plan, targets, feeds, result, (last - first) if follows else 0, cancelled)
        except Cancelled:
            return result
        if progress is not None:
            progress("samples", result.seen, total)
        if cancelled() or stop(result):
            return result
    if not result.seen:
        raise AnalysisError("there is no sample to compare; give an array of samples or an iterable of batches")
    result.finished = True
    return result


def _compare(
    graph: Graph,
    placement: Placement,
    plan: Plan,
    targets: Sequence[Target],
    feeds: Mapping[str, torch.Tensor],
    result: BadCases,
    samples: int,
    cancelled: Callable[[], bool],
) -> None:
    """Compare the samples of one item; `samples` 0: the item is one sample that cannot be cut."""
    keys: dict[str, str] = {}
    for target in targets:
        key = key_of(plan, placement, target.value)
        if key is None:
            raise QWorkbenchError(f"output {target.name!r} has no emulated tensor to compare; its node is fused away")
        keys[target.value] = key
    reference = run_float(graph, feeds, keep=set(keys))
    arrays = {name: tensor.numpy() for name, tensor in feeds.items()}
    execution = emulate(plan, arrays, tuple(keys.values()), cancelled=cancelled)
    for target in targets:
        ours = reference[target.value].detach().numpy()
        theirs = real(execution.arrays[keys[target.value]], plan.quantities.get(keys[target.value]))
        cut = samples if samples and follows_batch(graph, target.value) else 0
        for number in range(max(1, cut)):
            rows = slice(None) if not cut else _rows(ours, number, samples)
            distance = Distance()
            distance.add(ours[rows], theirs[rows], result.metrics)
            part = {n: t[number : number + 1] for n, t in feeds.items()} if cut else feeds
            result.take(result.seen + number, target.name, distance, part)
    result.seen += samples or 1
    result.forget_others()


def _rows(array: np.ndarray, number: int, samples: int) -> slice:
    each = array.shape[0] // samples
    return slice(number * each, (number + 1) * each)
