"""Mixed precision on a workbench: what raising an op means as edits, and what a set of edits is worth.

Trials run on configurations of their own; the history is not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qworkbench.analysis.comparable import targets_of
from qworkbench.analysis.distances import Distance, Function, metric_of
from qworkbench.analysis.emulated import emulate, key_of, real
from qworkbench.analysis.mixed import MixedPrecision, Op, Outcome, ranked_ops, search
from qworkbench.analysis.quantizers import flops_of
from qworkbench.emulator.cache import ResultCache
from qworkbench.errors import EmulationError
from qworkbench.graph.execute import run_float
from qworkbench.workbench.edits import Edit, SetDtype
from qworkbench.workbench.run import emulate_config

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from qworkbench.graph.ir import Graph
    from qworkbench.workbench.config import Config
    from qworkbench.workbench.stages import Stages

Evaluate = Callable[[Callable[[Any], Any]], float]


def edits_for(graph: Graph, ops: Sequence[Op]) -> tuple[Edit, ...]:
    """Return the edits that raise `ops` to int16; a model input is raised at the ops that read it."""
    found: dict[Edit, None] = {}
    for name, kind in ops:
        if name in graph.nodes:
            edit = SetDtype(name, weight="int16") if kind == "weight" else SetDtype(name, "int16")
            found[edit] = None
        else:
            found.update((SetDtype(node.name, input="int16"), None) for node, _ in graph.users(name))
    return tuple(found)


def mixed_of(
    stages: Stages,
    config: Config,
    feeds: Mapping[str, torch.Tensor],
    tables: pd.DataFrame | Sequence[pd.DataFrame],
    target: float,
    *,
    metric: str | Function = "COSINE",
    evaluate: Evaluate | None = None,
    kinds: Sequence[str] = ("activation",),
    **options: Any,
) -> MixedPrecision:
    """Search the smallest share of int16 that reaches `target`; see :func:`qworkbench.analysis.mixed.search`.

    `evaluate` gets a function from inputs to emulated outputs and returns an accuracy, larger being better; without it
    `metric` of the worst output on `feeds` counts.
    """
    distance = metric_of(metric)
    graph = stages.graph(config)
    targets = targets_of(graph)
    reference = {} if evaluate is not None else run_float(graph, feeds, keep={t.value for t in targets})
    arrays = {name: tensor.numpy() for name, tensor in feeds.items()}

    def value_of(trial: Config) -> float:
        if evaluate is not None:
            return float(evaluate(lambda inputs: emulate_config(stages, trial, inputs, ResultCache(0))))
        plan, placement = stages.plan(trial), stages.placement(trial)
        keys = {t.name: key_of(plan, placement, t.value) for t in targets}
        execution = emulate(plan, arrays, [key for key in keys.values() if key is not None])
        values = []
        for item in targets:
            key = keys[item.name]
            if key is None:
                raise EmulationError(f"output {item.name!r} has no emulated tensor to compare")
            found = Distance()
            found.add(
                reference[item.value].detach().numpy(),
                real(execution.arrays[key], plan.quantities.get(key)),
                [distance],
            )
            values.append(found.value(distance))
        return max(values, key=distance.badness)

    def measure(ops: tuple[Op, ...]) -> Outcome:
        edits = edits_for(graph, ops)
        trial = config
        for edit in edits:
            trial = edit.apply(trial)
        cost, raised = cost_of(stages, trial)
        return Outcome(value_of(trial), cost, edits, raised)

    name = getattr(evaluate, "__name__", "accuracy").strip("<>") if evaluate is not None else distance.name
    worse = evaluate is None and distance.larger_is_worse
    return search(ranked_ops(tables, kinds), measure, target, metric=name, larger_is_worse=worse, **options)


def cost_of(stages: Stages, config: Config) -> tuple[float, int]:
    """Return 1 + the share of arithmetic that reads or weighs int16, and how many tensors are int16 in effect.

    An int16 multiply-accumulate counts as two of int8: an assumption, the hardware's ratio is not public.
    """
    graph, placement = stages.graph(config), stages.placement(config)
    whole = wide = 0
    for unit in placement.units:
        flops = flops_of(graph, unit, 1)
        placed = placement[unit.anchor]
        whole += flops
        if placed.on == "BPU" and "int16" in (placed.input_dtype, placed.weight_dtype):
            wide += flops
    raised = sum(group.dtype == "int16" for group in placement.groups)
    return 1.0 + wide / max(whole, 1), raised
