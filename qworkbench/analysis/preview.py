"""Sensitivity at a glance: an estimate for every quantizer at once from a few backward passes.

To first order quantizer k moves the outputs by ``J_k e_k``, where ``e_k`` is its own rounding and truncation error and
``J_k`` the Jacobian from its tensor to an output. For a random vector r of signs, ``E (r . J_k e_k)^2 = |J_k e_k|^2``,
and ``r . J_k e_k = (J_k^T r) . e_k`` for all k out of one backward pass. An estimate: second-order effects are missing,
and few vectors make it noisy; the order is what it is good for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd
import torch
from torch import Tensor

from qworkbench.analysis.comparable import Target, targets_of
from qworkbench.analysis.distances import metric_of
from qworkbench.analysis.program import FloatProgram, arranged
from qworkbench.analysis.quantizers import Quantizer, flops_of, quantizers_of
from qworkbench.analysis.stacking import follows_batch
from qworkbench.errors import AnalysisError, Cancelled

if TYPE_CHECKING:
    from qworkbench.emulator.plan import Plan
    from qworkbench.graph.ir import Graph
    from qworkbench.numerics.arithmetic import Rounding
    from qworkbench.placement.types import Placement

ESTIMATED = ("L1", "MSE", "SQNR", "COSINE")
DRAWS = 8  # estimates per quantizer and output, over samples and random vectors


def preview(
    graph: Graph,
    placement: Placement,
    plan: Plan,
    feeds: Mapping[str, Tensor],
    *,
    rounding: Rounding = "half_even",
    metric: str = "L1",
    projections: int | None = None,
    program: FloatProgram | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> pd.DataFrame:
    """Return estimated sensitivities, worst first, in the columns of the exact table plus ``estimate`` (True).

    Parameters
    ----------
    graph, placement, plan
        Of one configuration.
    feeds : Mapping of str to Tensor
        Samples; one at a time goes through where the model follows the batch.
    rounding : str
    metric : str
        L1, MSE, SQNR or COSINE, all from the estimated mean squared error; L1 as for normally distributed errors.
    projections : int
        Random vectors, and backward passes, per output and sample; by default as many as make eight with the samples.
    program : FloatProgram, optional
        Of the same graph and placement, to be used again.
    progress, cancelled : callable

    Raises
    ------
    AnalysisError
        When the metric has no estimate, or no gradient reaches an output.
    Cancelled
    """
    chosen = metric_of(metric)
    if chosen.name not in ESTIMATED:
        raise AnalysisError(f"{chosen.name} has no gradient estimate; there are {', '.join(ESTIMATED)}")
    chunks = _one_by_one(graph, feeds)
    if projections is None:
        projections = -(-DRAWS // len(chunks))
    if projections < 1:
        raise AnalysisError(f"projections must be at least 1, got {projections}")
    program = FloatProgram(graph, placement) if program is None else program
    quantizers = quantizers_of(graph, placement, plan, rounding)
    if not quantizers:
        raise AnalysisError("nothing is quantized, since every op runs on the CPU; send some to the BPU first")
    targets = targets_of(graph)
    sites = _sites(quantizers)
    generator = torch.Generator().manual_seed(0)
    power = {(index, t.name): 0.0 for index in range(len(quantizers)) for t in targets}
    signal = {t.name: 0.0 for t in targets}
    elements = {t.name: 0 for t in targets}
    for number, chunk in enumerate(chunks):
        if cancelled():
            raise Cancelled("the preview was cancelled")
        values, errors = _forward(program, chunk, sites, quantizers)
        for target in targets:
            y = values[placement.canonical[target.value]]
            signal[target.name] += float(y.detach().double().square().sum())
            elements[target.name] += y.numel()
            if not y.requires_grad:
                continue
            for _ in range(projections):
                signs = torch.randint(0, 2, y.shape, generator=generator).to(y.dtype).mul_(2).sub_(1)
                reached = [name for name in sites if values[name].requires_grad]
                found: Sequence[Tensor | None] = torch.autograd.grad(
                    y, [values[name] for name in reached], signs, retain_graph=True, allow_unused=True
                )
                for name, gradient in zip(reached, found, strict=True):
                    if gradient is None:
                        continue
                    for index in sites[name]:
                        moved = float((gradient * errors[index]).sum())
                        power[index, target.name] += moved * moved / projections
        if progress is not None:
            progress("gradients", number + 1, len(chunks))
    if not any(value > 0 for value in power.values()):
        raise AnalysisError("no gradient reaches an output, so there is no preview; use the exact sensitivity")
    return _frame(graph, placement, quantizers, targets, chosen.name, power, signal, elements)


def _sites(quantizers: Sequence[Quantizer]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for index, quantizer in enumerate(quantizers):
        found.setdefault(quantizer.value, []).append(index)
    return found


def _one_by_one(graph: Graph, feeds: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    if not feeds or not all(follows_batch(graph, name) for name in graph.inputs):
        return [dict(feeds)]
    count = next(iter(feeds.values())).shape[0]
    return [{name: tensor[k : k + 1] for name, tensor in feeds.items()} for k in range(count)]


def _forward(
    program: FloatProgram, feeds: Mapping[str, Tensor], sites: Mapping[str, list[int]], quantizers: Sequence[Quantizer]
) -> tuple[dict[str, Tensor], dict[int, Tensor]]:
    """Return every value with its history for gradients, and the error that each quantizer makes by itself."""
    batch = next(iter(feeds.values())).shape[0] if feeds else program.graph.batch
    values: dict[str, Tensor] = {}
    errors: dict[int, Tensor] = {}

    def note(name: str, tensor: Tensor) -> None:
        if name in sites and not tensor.requires_grad and tensor.is_floating_point():
            tensor = tensor.requires_grad_()
        values[name] = tensor
        for index in sites.get(name, ()):
            if quantizers[index].kind == "activation":
                exact = tensor.detach()
                errors[index] = quantizers[index].apply(exact).sub_(exact)

    for name, tensor in feeds.items():
        note(name, arranged(tensor).detach().clone())
    for unit in program.units:
        made = program.run(unit, values, batch, gradients=True)
        for value, tensor in zip(unit.outputs, made, strict=False):
            note(value, tensor)
        for index in sites.get(unit.outputs[0], ()):
            if quantizers[index].kind == "weight":
                plain = {value: values[value].detach() for value in unit.inputs}
                weight = arranged(torch.from_numpy(quantizers[index].weight())).to(program.dtype)
                errors[index] = program.run(unit, plain, batch, weight=weight)[0].sub_(values[unit.outputs[0]].detach())
    return values, errors


def _frame(
    graph: Graph,
    placement: Placement,
    quantizers: Sequence[Quantizer],
    targets: Sequence[Target],
    metric: str,
    power: Mapping[tuple[int, str], float],
    signal: Mapping[str, float],
    elements: Mapping[str, int],
) -> pd.DataFrame:
    flops = {unit.name: flops_of(graph, unit, 1) for unit in placement.units}
    whole = max(1, sum(flops.values()))
    rows = []
    for index, quantizer in enumerate(quantizers):
        for target in targets:
            squared = power[index, target.name]
            mse = squared / max(1, elements[target.name])
            share = squared / signal[target.name] if signal[target.name] > 0 else math.inf
            value = {
                "L1": math.sqrt(2 / math.pi * mse),
                "MSE": mse,
                "SQNR": -10 * math.log10(share) if share > 0 else math.inf,
                "COSINE": 1 / math.sqrt(1 + share),
            }[metric]
            own = flops.get(quantizer.unit or "", 0)
            rows.append(
                [
                    quantizer.name,
                    quantizer.kind,
                    quantizer.op,
                    target.name,
                    value,
                    quantizer.dtype,
                    own,
                    own / whole,
                    True,
                ]
            )
    chosen = metric_of(metric)
    rows.sort(key=lambda row: -chosen.badness(float(str(row[4]))))
    columns = [
        "op_name",
        "sensitive_type",
        "op_type",
        "output",
        metric,
        "quant_dtype",
        "flops",
        "flops_share",
        "estimate",
    ]
    return pd.DataFrame(rows, columns=columns)
