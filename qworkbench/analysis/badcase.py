"""The samples on which quantization hurts most, found in a stream.

Every sample runs in float and through the integer plan; per output and metric the worst one is kept. Memory does not
grow with the stream: beside the figures only the worst samples themselves are held, so that the next analyses can use
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from qworkbench.analysis.comparable import Target, targets_of
from qworkbench.analysis.distances import Distance, Function, Metric, metrics_given
from qworkbench.analysis.emulated import emulate, key_of, real
from qworkbench.analysis.spread import spread
from qworkbench.analysis.stacking import follows_batch
from qworkbench.analysis.worst import BadCases
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
