"""What a configuration is worth: its distance from float (or a user's accuracy) and its relative cost.

Trials run on configurations of their own, here or on an executor's workers; the history is not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from qworkbench.analysis.comparable import targets_of
from qworkbench.analysis.distances import Distance, Function, Metric, metric_of
from qworkbench.analysis.emulated import emulate, key_of, real
from qworkbench.analysis.quantizers import flops_of
from qworkbench.analysis.spread import spread
from qworkbench.emulator.cache import ResultCache
from qworkbench.errors import EmulationError
from qworkbench.graph.execute import run_float
from qworkbench.graph.vocabulary import family
from qworkbench.workbench.run import emulate_plan

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import torch

    from qworkbench.emulator.plan import Plan
    from qworkbench.graph.ir import Graph
    from qworkbench.workbench.config import Config
    from qworkbench.workbench.stages import Stages

Evaluate = Callable[[Callable[[Any], Any]], float]
Task = TypeVar("Task")


def check_target(
    target: float, *, metric: str | Function = "COSINE", evaluate: Evaluate | None = None, **_: Any
) -> None:
    """Refuse a target that the metric can never have; an accuracy of the user's own may be any number.

    Raises
    ------
    AnalysisError
    """
    if evaluate is None:
        metric_of(metric).check_target(target)


@dataclass(frozen=True, eq=False)
class Trial:
    """One plan with the samples and the float outputs that it is compared with; travels to a worker."""

    plan: Plan
    keys: Mapping[str, str]
    feeds: Mapping[str, np.ndarray]
    reference: Mapping[str, np.ndarray]
    metric: Metric


def run_trial(trial: Trial) -> float:
    """Return the distance of the worst output."""
    execution = emulate(trial.plan, trial.feeds, list(trial.keys.values()))
    values = []
    for name, key in trial.keys.items():
        found = Distance()
        found.add(trial.reference[name], real(execution.arrays[key], trial.plan.quantities.get(key)), [trial.metric])
        values.append(found.value(trial.metric))
    return max(values, key=trial.metric.badness)


@dataclass(frozen=True, eq=False)
class Judged:
    """One plan with the user's function that judges it; travels to a worker where that function can be pickled."""

    graph: Graph
    plan: Plan
    evaluate: Evaluate


def run_judged(judged: Judged) -> float:
    """Return the accuracy that the user's function finds."""
    return float(judged.evaluate(lambda inputs: emulate_plan(judged.graph, judged.plan, inputs, ResultCache(0))))


class Trials:
    """Measures configurations of one model on one set of samples.

    Parameters
    ----------
    stages : Stages
    config : Config
        Whose float outputs are the reference.
    feeds : Mapping of str to Tensor
    metric : str or callable
        Of the worst output, unless `evaluate` is given.
    evaluate : callable, optional
        Gets a function from inputs to emulated outputs and returns an accuracy, larger being better.
    executor : concurrent.futures.Executor, optional
        Measures several configurations at once; an `evaluate` that its workers cannot load runs here.
    """

    def __init__(
        self,
        stages: Stages,
        config: Config,
        feeds: Mapping[str, torch.Tensor],
        metric: str | Function = "COSINE",
        evaluate: Evaluate | None = None,
        executor: Executor | None = None,
    ) -> None:
        self.stages, self.evaluate = stages, evaluate
        self.executor = executor
        self.metric = metric_of(metric)
        self.name = self.metric.name
        if evaluate is not None:
            self.name = getattr(evaluate, "__name__", "accuracy").strip("<>")
        self.larger_is_worse = evaluate is None and self.metric.larger_is_worse
        self.targets = targets_of(stages.graph(config))
        self.feeds = {name: tensor.numpy() for name, tensor in feeds.items()}
        found = (
            {} if evaluate is not None else run_float(stages.graph(config), feeds, keep={t.value for t in self.targets})
        )
        self.reference = {t.name: found[t.value].detach().numpy() for t in self.targets} if evaluate is None else {}

    def meets(self, value: float, target: float) -> bool:
        """Tell whether `value` is at least as good as `target`."""
        return value <= target if self.larger_is_worse else value >= target

    def value(self, config: Config) -> float:
        """Return what `config` reaches."""
        return self.values([config])[0]

    def values(self, configs: Sequence[Config]) -> list[float]:
        """Return what each of `configs` reaches."""
        if self.evaluate is not None:
            return self._each(
                run_judged, [Judged(self.stages.base, self.stages.plan(c), self.evaluate) for c in configs]
            )
        return self._each(run_trial, [self._trial(config) for config in configs])

    def _each(self, function: Callable[[Task], float], tasks: Sequence[Task]) -> list[float]:
        if self.executor is None or len(tasks) == 1:
            return [function(task) for task in tasks]
        found = dict(spread(function, tasks, self.executor))
        return [found[number] for number in range(len(tasks))]

    def _trial(self, config: Config) -> Trial:
        plan, placement = self.stages.plan(config), self.stages.placement(config)
        keys = {}
        for item in self.targets:
            key = key_of(plan, placement, item.value)
            if key is None:
                raise EmulationError(f"output {item.name!r} has no emulated tensor to compare")
            keys[item.name] = key
        return Trial(plan, keys, self.feeds, self.reference, self.metric)


def cost_of(stages: Stages, config: Config) -> float:
    """Return the arithmetic of `config` in units of all of it in int8, by the rates that the march states or assumes.

    An op counts ``operations / rate``: rate 1 in int8, ``int16_rate`` with int16 on one side, ``dual_int16_rate`` on
    both, ``float16_rate`` in float16 (parameters of the march). Ops on the CPU are left out of both sides.
    """
    graph, placement = stages.graph(config), stages.placement(config)
    figures = config.machine.figures
    int16, dual, half = (float(figures[f"{name}_rate"].value) for name in ("int16", "dual_int16", "float16"))
    whole = spent = 0.0
    for unit in placement.units:
        placed = placement[unit.anchor]
        if placed.on != "BPU":
            continue
        flops = flops_of(graph, unit, 1)
        sides = (placed.input_dtype, placed.weight_dtype or placed.dtype)
        if placed.input_dtype == "float16" or (placed.dtype == "float16" and family(unit.op) != "gemm"):
            rate = half
        elif sides == ("int16", "int16"):
            rate = dual if family(unit.op) == "gemm" else int16
        else:
            rate = int16 if "int16" in sides else 1.0
        whole += flops
        spent += flops / rate
    return spent / whole if whole else 1.0


def latency_of(stages: Stages, config: Config) -> float:
    """Return the estimated microseconds of one inference; see :func:`qworkbench.estimate.estimate.estimate`."""
    from qworkbench.estimate.estimate import estimate

    graph, placement = stages.graph(config), stages.placement(config)
    return estimate(graph, placement, config.machine, level="O1", batch=config.batching.compiled).microseconds


COSTS: Mapping[str, Callable[[Stages, Config], float]] = {"arithmetic": cost_of, "latency": latency_of}


def tensors_in(stages: Stages, config: Config, dtype: str) -> int:
    """Return how many tensors are `dtype` in effect: scale groups in int8 or int16, op outputs in float16."""
    placement = stages.placement(config)
    if dtype == "float16":
        return sum(placed.dtype == "float16" for placed in placement.values() if placed.on == "BPU")
    return sum(group.dtype == dtype for group in placement.groups)
