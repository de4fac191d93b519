"""Mixed precision on a workbench: what raising an op means as edits, and the search over sensitivity tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qworkbench.analysis.mixed import Op, ranked_ops, search
from qworkbench.analysis.mixed_result import MixedPrecision, Outcome
from qworkbench.errors import AnalysisError, unknown_name
from qworkbench.graph.vocabulary import family
from qworkbench.march import get_march
from qworkbench.workbench.edits import Edit, SetDtype
from qworkbench.workbench.trials import COSTS, Trials, tensors_in

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from qworkbench.graph.ir import Graph
    from qworkbench.workbench.config import Config
    from qworkbench.workbench.stages import Stages


def edits_for(graph: Graph, ops: Sequence[Op], dtype: str = "int16") -> tuple[Edit, ...]:
    """Return the edits that raise `ops` to `dtype`; a model input is raised at the ops that read it."""
    found: dict[Edit, None] = {}
    for name, kind in ops:
        if name in graph.nodes:
            edit = SetDtype(name, weight=dtype) if kind == "weight" else SetDtype(name, dtype)
            found[edit] = None
        else:
            found.update((SetDtype(node.name, input=dtype), None) for node, _ in graph.users(name))
    return tuple(found)


def applied(config: Config, edits: Sequence[Edit]) -> Config:
    """Return `config` after `edits`."""
    for edit in edits:
        config = edit.apply(config)
    return config


def legal_ops(stages: Stages, config: Config, ranked: Sequence[Sequence[Op]], dtype: str) -> list[list[Op]]:
    """Leave out the ops that the march cannot raise to `dtype`.

    Raises
    ------
    AnalysisError
        When none is left.
    """
    march, graph = get_march(config.march), stages.graph(config)
    if dtype not in march.dtypes:
        raise AnalysisError(f"{march.name} has no {dtype}; it has {' and '.join(march.dtypes)}")
    if dtype != "float16":
        return [list(ops) for ops in ranked]
    able = {node.name for node in graph.nodes if family(node.op) != "gemm" and _has(stages, config, node.name, dtype)}
    found = [[op for op in ops if op[0] in able and op[1] == "activation"] for ops in ranked]
    if not any(found):
        raise AnalysisError(f"no op of this model can run in {dtype} on {march.name}")
    return [ops for ops in found if ops]


def _has(stages: Stages, config: Config, name: str, dtype: str) -> bool:
    unit = stages.placement(config).unit_of(name) if stages.placement(config)[name].on != "NONE" else None
    if unit is None or family(unit.op) == "gemm":
        return False
    trial = SetDtype(name, dtype).apply(config)
    return stages.placement(trial)[name].dtype == dtype


def mixed_of(
    stages: Stages,
    config: Config,
    feeds: Mapping[str, torch.Tensor],
    tables: pd.DataFrame | Sequence[pd.DataFrame],
    target: float | None,
    *,
    kinds: Sequence[str] = ("activation",),
    dtype: str = "int16",
    budget: float | None = None,
    cost: str = "arithmetic",
    progress: Any = None,
    cancelled: Any = None,
    on_rows: Any = None,
    **options: Any,
) -> MixedPrecision:
    """Search the smallest share of `dtype` that reaches `target`; see :func:`qworkbench.analysis.mixed.search`.

    Parameters
    ----------
    tables : DataFrame or several
    target : float or None
        None: as much as `budget` allows.
    kinds : sequence of str
        "activation", "weight", or both.
    dtype : "int16" | "float16"
    budget : float, optional
        Largest cost.
    cost : "arithmetic" | "latency"
        Relative to all int8 (:func:`qworkbench.workbench.trials.cost_of`), or estimated microseconds of one inference.
    **options
        ``metric``, ``evaluate``, ``executor``: see :class:`qworkbench.workbench.trials.Trials`.
    """
    if cost not in COSTS:
        raise unknown_name("cost", cost, COSTS)
    trials = Trials(stages, config, feeds, **options)
    graph = stages.graph(config)
    ranked = legal_ops(stages, config, ranked_ops(tables, kinds), dtype)

    def measure(choices: Sequence[tuple[Op, ...]]) -> list[Outcome]:
        edits = [edits_for(graph, ops, dtype) for ops in choices]
        configs = [applied(config, some) for some in edits]
        return [
            Outcome(value, COSTS[cost](stages, trial), some, tensors_in(stages, trial, dtype))
            for value, trial, some in zip(trials.values(configs), configs, edits, strict=True)
        ]

    return search(
        ranked,
        measure,
        target,
        metric=trials.name,
        larger_is_worse=trials.larger_is_worse,
        dtype=dtype,
        budget=budget,
        unit="us, estimated" if cost == "latency" else "1: all int8",
        ahead=1 if trials.executor is None else 2,
        progress=progress,
        cancelled=cancelled or (lambda: False),
        on_rows=on_rows,
    )
