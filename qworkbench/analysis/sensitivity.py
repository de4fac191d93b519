"""The sensitivity table: what each quantizer, switched on alone, does to the model's outputs.

As the quantization accuracy tuning guide defines it: one quantization node on, everything else float, the outputs
compared with the float model; weights and activations separately, worst first. Results are kept by content, so that an
edit costs the rows that it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from qworkbench.analysis.comparable import Target, targets_of
from qworkbench.analysis.distances import Function, Metric, metrics_given
from qworkbench.analysis.parts import Part, joined_parts, run_part, run_task
from qworkbench.analysis.program import FloatProgram
from qworkbench.analysis.quantizers import Quantizer, quantizers_of
from qworkbench.analysis.sensitivity_memo import SensitivityMemo
from qworkbench.analysis.sensitivity_table import SensitivityTable
from qworkbench.analysis.spread import spread
from qworkbench.analysis.stacking import can_stack, chunks_of
from qworkbench.analysis.sweep import DEFAULT_BUDGET, Effects, Sweep
from qworkbench.emulator.fingerprint import digest
from qworkbench.errors import AnalysisError, unknown_name

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import torch

    from qworkbench.emulator.plan import Plan
    from qworkbench.graph.ir import Graph
    from qworkbench.numerics.arithmetic import Rounding
    from qworkbench.placement.types import Placement

Progress = Callable[[str, int, int], None]


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
    executor: Executor | None = None,
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
        Bytes for the activations that are held at once, half of them at most for float values that stay for the next
        call with `memo`; weights and the samples themselves come on top.
    memo : SensitivityMemo, optional
        Read and filled.
    progress : callable, optional
        Called with (unit, done, total).
    cancelled : callable
        Asked between units; what was finished stays in `memo`.
    on_rows : callable, optional
        Receives the table over the samples so far each time more of them are finished.
    executor : concurrent.futures.Executor, optional
        Sweeps the chunks of samples on its workers; rows are those of the serial run.

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
    held = SensitivityMemo() if memo is None else memo
    program = held.references.program(graph, placement)
    quantizers = _chosen(quantizers_of(graph, placement, plan, rounding, held.quantizers), nodes)
    targets = targets_of(graph)
    samples = held.digest_of(feeds)
    stacked = _stacked(program, feeds, samples, quantizers, held)
    kept_budget, room = _shares(program, targets, quantizers, metrics, stacked, budget, memo is not None)
    whole = Sweep(program, targets, quantizers, metrics, stacked, room)
    size = whole.samples_at_once() if stacked else (0, 0)
    table = SensitivityTable(program.flops, quantizers, tuple(target.name for target in targets), metrics)
    by_name = {target.name: target.value for target in targets}
    left = []
    for index, quantizer in enumerate(quantizers):
        known = held.known(samples, quantizer.content, by_name, metrics)
        if known is None:
            left.append(index)
        else:
            table.take(index, known)
    work = _parts(whole, feeds, samples, size, left, held, table)
    held.references.shrink(kept_budget)
    steps = len(program.units) * sum(len(part.sweep.groups()) for part in work)
    done = 0

    def tick(name: str) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(name, done, steps)

    def finish(part: Part, effects: Effects) -> None:
        for local, by_target in effects.items():
            index = part.indices[local]
            table.take(index, by_target)
            if part.key is not None:
                for name, distance in by_target.items():
                    held.put((part.key, quantizers[index].content, by_name[name]), distance)

    if executor is None:
        for part in work:
            run_part(part, held.references, kept_budget, finish, tick, cancelled)
            if on_rows is not None:
                on_rows(table.frame())
    else:
        tasks = [part.task(graph, placement) for part in work]
        for place, effects in spread(run_task, tasks, executor, cancelled):
            finish(work[place], effects)
            for unit in program.units * len(work[place].sweep.groups()):
                tick(unit.name)
            if on_rows is not None:
                on_rows(table.frame())
    for index in left:
        for name, distance in table.distances.get(index, {}).items():
            held.put((samples, quantizers[index].content, by_name[name]), distance)
    return table.frame()


def _parts(
    whole: Sweep,
    feeds: Mapping[str, torch.Tensor],
    samples: bytes,
    size: tuple[int, int],
    left: Sequence[int],
    memo: SensitivityMemo,
    table: SensitivityTable,
) -> list[Part]:
    """Cut the samples into chunks, each with the quantizers that are not known on it; take what is known."""
    by_name = {target.name: target.value for target in whole.targets}
    sweeps: dict[tuple[int, ...], Sweep] = {}
    parts = []
    for start, stop, chunk in chunks_of(feeds, *size):
        key = digest(samples, start, stop)
        missing = []
        for index in left:
            known = memo.known(key, whole.quantizers[index].content, by_name, whole.metrics)
            if known is None:
                missing.append(index)
            else:
                table.take(index, known)
        if missing:
            wanted = tuple(missing)
            if wanted not in sweeps:
                sweeps[wanted] = replace(whole, quantizers=tuple(whole.quantizers[i] for i in wanted))
            parts.append(Part(sweeps[wanted], wanted, chunk, key, size[0]))
    return joined_parts(parts, memo.references)


def _shares(
    program: FloatProgram,
    targets: Sequence[Target],
    quantizers: Sequence[Quantizer],
    metrics: Sequence[Metric],
    stacked: bool,
    budget: int,
    keeps: bool,
) -> tuple[int, int]:
    """Return the bytes for float values that stay and for the sweep itself: half each, where half is enough for one."""
    half = budget // 2
    trial = Sweep(program, tuple(targets), tuple(quantizers), tuple(metrics), stacked, half)
    enough = keeps and 2 * trial.peak([]) <= half  # one quantizer on doubles it at most
    return (half, budget - half) if enough else (0, budget)


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
    samples: bytes,
    quantizers: Sequence[Quantizer],
    memo: SensitivityMemo,
) -> bool:
    """Ask :func:`can_stack` once per graph and set of samples."""
    key = (samples, tuple(unit.name for unit in program.units), tuple(quantizer.value for quantizer in quantizers))
    if key not in memo.stackable:
        memo.stackable[key] = can_stack(program, feeds, quantizers)
    return memo.stackable[key]
