"""The captured graph must compute what the model computes, or the user is told which node differs first."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from qworkbench.errors import CaptureError
from qworkbench.graph.execute import run_float
from qworkbench.graph.ir import Graph
from qworkbench.graph.structure import leaves
from qworkbench.graph.torch_frontend.location import WAYS_OUT, at
from qworkbench.graph.torch_frontend.running import Example, reference, trace

TOLERANCE = 1e-5
"""Largest accepted ``max |graph - model| / max |model|``."""


def tensors_in(result: Any) -> list[Tensor]:
    """Return the tensors at the leaves of `result`."""
    return [leaf for _, leaf in leaves(result) if isinstance(leaf, Tensor)]


def difference(got: Tensor, want: Tensor) -> float:
    """Return ``max |got - want| / max |want|``; infinite where shapes, dtypes or non-finite places differ."""
    if got.shape != want.shape or got.dtype != want.dtype:
        return float("inf")
    if want.numel() == 0 or torch.equal(got, want):
        return 0.0
    if not want.is_floating_point():
        return float("inf") if want.dtype == torch.bool else float((got.double() - want.double()).abs().max())
    finite = torch.isfinite(want)
    if not torch.allclose(got[~finite], want[~finite], equal_nan=True) or not bool(torch.isfinite(got[finite]).all()):
        return float("inf")
    scale = float(want[finite].abs().max()) if bool(finite.any()) else 1.0
    return float((got[finite] - want[finite]).abs().max()) / (scale or 1.0) if bool(finite.any()) else 0.0


def feeds(graph: Graph, example: Example) -> dict[str, Tensor]:
    """Return the example's tensors by input name."""
    return dict(zip(graph.inputs, tensors_in(example.copies()), strict=True))


def worst(graph: Graph, example: Example, want: Any) -> float:
    """Return the largest difference between the graph's outputs and what the model returned."""
    env = run_float(graph, feeds(graph, example), keep=graph.outputs)
    return max((difference(env[n], w) for n, w in zip(graph.outputs, tensors_in(want), strict=True)), default=0.0)


def disagreement(graph: Graph, model: nn.Module, example: Example, want: Any, found: float) -> CaptureError:
    """Build the error for a graph that is wrong by `found`: the first node that differs, or a random model."""
    again, _ = reference(model, example)
    for first, second in zip(tensors_in(want), tensors_in(again), strict=True):
        if difference(first, second) > TOLERANCE:
            return CaptureError(
                "the model returns different results for the same input in evaluation mode (random numbers or state "
                "that it changes); make it repeatable, or wrap that code with @qworkbench.wrap"
            )
    seen: dict[str, Tensor] = {}

    def observe(name: str, result: Any) -> None:
        if isinstance(result, Tensor):
            seen[name] = result.detach().clone()

    trace(model, example, batch=None, fake=False, observe=observe)
    env = run_float(graph, feeds(graph, example))
    for node in graph.nodes:
        value = node.outputs[0]
        if node.name in seen and value in env and difference(env[value], seen[node.name]) > TOLERANCE:
            return CaptureError(
                f"the captured graph differs from the model by {found:.2g} (relative to the largest output); the first "
                f"node that differs is {node.name!r} ({node.source_op}){at(node.location)}; {WAYS_OUT}"
            )
    return CaptureError(
        f"the captured graph differs from the model by {found:.2g} (relative to the largest output), though no single "
        f"node does; {WAYS_OUT}"
    )
