"""The sensitivity table: what each quantizer, switched on alone, does to the model's outputs.

As the quantization accuracy tuning guide defines it: one quantization node on, everything else float, the outputs
compared with the float model; weights and activations separately, worst first. Results are kept by content, so that an
edit costs the rows that it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

import pandas as pd

from qworkbench.analysis.comparable import targets_of
from qworkbench.analysis.distances import Distance, Function, Metric, metrics_given
from qworkbench.analysis.program import FloatProgram
from qworkbench.analysis.quantizers import Quantizer, flops_of, quantizers_of
from qworkbench.analysis.sweep import DEFAULT_BUDGET, Sweep, can_stack
from qworkbench.emulator.fingerprint import digest
from qworkbench.errors import AnalysisError, unknown_name

if TYPE_CHECKING:
    import torch

    from qworkbench.emulator.plan import Plan
    from qworkbench.graph.ir import Graph
    from qworkbench.numerics.arithmetic import Rounding
    from qworkbench.placement.types import Placement

Progress = Callable[[str, int, int], None]
MemoKey = tuple[bytes, bytes, str]


@dataclass
class SensitivityMemo:
    """Effects that were measured before, by (samples, quantizer, target); small numbers only, no tensors."""

    effects: dict[MemoKey, Distance] = field(default_factory=dict)
    stackable: dict[bytes, bool] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def get(self, key: MemoKey, metrics: Sequence[Metric]) -> Distance | None:
        """Return what is known under `key`, if it tells every metric."""
        with self.lock:
            found = self.effects.get(key)
        if found is None or any(metric.function is not None for metric in metrics):
            return None
        return None if any(metric.name == "KL" and "KL" not in found.means for metric in metrics) else found

    def put(self, key: MemoKey, distance: Distance) -> None:
        """Remember an effect."""
        with self.lock:
            self.effects[key] = distance


def sensitivity(
    graph: Graph,
    placement: Placement,
    plan: Plan,
    feeds: Mapping[str, torch.Tensor],
    *,
    rounding: Rounding = "half_even",
    metric: str | Function | Sequence[str | Function] = "L1",
    nodes: Collection[str] | None = None,
    budget: int = DEFAULT_BUDGET,
    memo: SensitivityMemo | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    on_rows: Callable[[pd.DataFrame], None] | None = None,
) -> pd.DataFrame:
    """Return the sensitivity of every quantizer of `plan`, worst first.

    For quantizer k with codes ``q = clamp(round(x / s), qmin, qmax)``, the model runs in float with ``x`` (a tensor, or
    a weight) replaced by ``s * q`` at that one place, and ``metric(float output, that output)`` is taken over all
    samples together. Source: quantization accuracy tuning guide, "Calculating Quantization Sensitivity".

    Parameters
    ----------
    graph, placement, plan
        Of one configuration.
    feeds : Mapping of str to Tensor
        Samples by input name, stacked along the batch axis.
    rounding : str
        Of activations; weights are rounded half to even.
    metric : str, callable, or several
        The first one orders the table.
    nodes : collection of str, optional
        Only rows of these ops.
    budget : int
        Bytes for the activations that are held at once; weights and the samples themselves come on top.
    memo : SensitivityMemo, optional
        Read and filled.
    progress : callable, optional
        Called with (unit, done, total).
    cancelled : callable
        Asked between units; what was finished stays in `memo`.
    on_rows : callable, optional
        Receives the table over the samples so far each time more of them are finished.

    Returns
    -------
    pandas.DataFrame
        op_name, sensitive_type ("activation" | "weight"), op_type, output, one column per metric, quant_dtype, flops
        (2 per multiply-accumulate, of one sample), flops_share (of the whole model, 0 to 1).

    Raises
    ------
    UnknownNameError
        An unknown metric or node.
    AnalysisError
        Nothing is quantized, nothing comparable comes out, or the budget is too small.
    Cancelled
    """
    metrics = metrics_given(metric)
    program = FloatProgram(graph, placement)
    quantizers = _chosen(quantizers_of(graph, placement, plan, rounding), nodes)
    targets = targets_of(graph)
    stacked = _stacked(program, feeds, quantizers, memo)
    whole = Sweep(program, targets, quantizers, metrics, stacked, budget)
    chunks = _chunks(feeds, whole.samples_at_once(whole.groups()) if stacked else 0)
    table = _Table(graph, placement, quantizers, tuple(target.name for target in targets), metrics)
    work = []
    for chunk in chunks:
        key = digest(list(chunk.items()))
        missing = []
        for index, quantizer in enumerate(quantizers):
            known = {t.name: memo.get((key, quantizer.content, t.value), metrics) for t in targets} if memo else {}
            held = {name: distance for name, distance in known.items() if distance is not None}
            if len(held) == len(targets):
                table.take(index, held)
            else:
                missing.append(index)
        if missing:
            sweep = Sweep(program, targets, tuple(quantizers[i] for i in missing), metrics, stacked, budget)
            work.append((chunk, key, missing, sweep))
    total = sum(len(sweep.groups()) for *_, sweep in work) * len(program.units)
    done = 0

    def tick(name: str) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(name, done, total)

    for chunk, key, indices, sweep in work:
        for group in sweep.groups():
            for local, by_target in sweep.run(chunk, group, tick=tick, cancelled=cancelled).items():
                index = indices[local]
                table.take(index, by_target)
                for target in targets:
                    if memo is not None:
                        memo.put((key, quantizers[index].content, target.value), by_target[target.name])
        if on_rows is not None:
            on_rows(table.frame())
    return table.frame()


def _chosen(quantizers: Sequence[Quantizer], nodes: Collection[str] | None) -> tuple[Quantizer, ...]:
    if not quantizers:
        raise AnalysisError("nothing is quantized, since every op runs on the CPU; send some to the BPU first")
    if nodes is None:
        return tuple(quantizers)
    known = list(dict.fromkeys(quantizer.name for quantizer in quantizers))
    for name in nodes:
        if name not in known:
            raise unknown_name("quantized op", name, known)
    return tuple(quantizer for quantizer in quantizers if quantizer.name in nodes)


def _stacked(
    program: FloatProgram,
    feeds: Mapping[str, torch.Tensor],
    quantizers: Sequence[Quantizer],
    memo: SensitivityMemo | None,
) -> bool:
    """Ask :func:`can_stack` once per graph and set of samples."""
    if memo is None:
        return can_stack(program, feeds, quantizers)
    first = {name: tensor[:1] for name, tensor in feeds.items()}
    key = digest([unit.name for unit in program.units], [quantizer.value for quantizer in quantizers], first)
    if key not in memo.stackable:
        memo.stackable[key] = can_stack(program, feeds, quantizers)
    return memo.stackable[key]


def _chunks(feeds: Mapping[str, torch.Tensor], size: int) -> list[dict[str, torch.Tensor]]:
    """Cut the samples; a size of 0 keeps them together."""
    count = next(iter(feeds.values())).shape[0] if feeds else 0
    if not size or count <= size:
        return [dict(feeds)]
    return [{name: tensor[start : start + size] for name, tensor in feeds.items()} for start in range(0, count, size)]


class _Table:
    """Rows as they come."""

    def __init__(
        self,
        graph: Graph,
        placement: Placement,
        quantizers: Sequence[Quantizer],
        outputs: Sequence[str],
        metrics: Sequence[Metric],
    ) -> None:
        self.quantizers, self.outputs, self.metrics = quantizers, outputs, metrics
        flops = {unit.name: flops_of(graph, unit, 1) for unit in placement.units}
        self.flops = [flops.get(quantizer.unit or "", 0) for quantizer in quantizers]
        self.whole = max(1, sum(flops.values()))
        self.distances: dict[int, dict[str, Distance]] = {}

    def take(self, index: int, by_target: Mapping[str, Distance]) -> None:
        held = self.distances.setdefault(index, {name: Distance() for name in self.outputs})
        for name, distance in by_target.items():
            held[name].merge(distance)

    def frame(self) -> pd.DataFrame:
        rows = [
            {
                "op_name": quantizer.name,
                "sensitive_type": quantizer.kind,
                "op_type": quantizer.op,
                "output": output,
                **{metric.name: self.distances[index][output].value(metric) for metric in self.metrics},
                "quant_dtype": quantizer.dtype,
                "flops": flops,
                "flops_share": flops / self.whole,
            }
            for index, (quantizer, flops) in enumerate(zip(self.quantizers, self.flops, strict=True))
            if index in self.distances
            for output in self.outputs
        ]
        first = self.metrics[0]
        rows.sort(key=lambda row: -first.badness(float(str(row[first.name]))))
        names = [metric.name for metric in self.metrics]
        columns = ["op_name", "sensitive_type", "op_type", "output", *names, "quant_dtype", "flops", "flops_share"]
        return pd.DataFrame(rows, columns=columns)
