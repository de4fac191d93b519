"""Tensors inside an op that the BPU runs as several: they have thresholds, but no value in the graph.

Softmax: the shifted input, the sum of exponentials, its reciprocal. Div: the reciprocal of the divisor.
GroupNormalization and LayerNormalization: the steps of their definition.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node

if TYPE_CHECKING:
    import torch

Internal = tuple[str, "Callable[[torch.Tensor], torch.Tensor]"]


def internals_of(graph: Graph, apart: Collection[str] = ("LayerNormalization",)) -> dict[str, list[Internal]]:
    """Map each value to the (name, function of that value) pairs that calibration must watch, too.

    `apart` are the operators that run as pieces only where a parameter of the march says so.
    """
    found: dict[str, list[Internal]] = {}
    for node in graph.nodes:
        if node.op == "Softmax" and node.inputs[0] is not None:
            found.setdefault(node.inputs[0], []).extend(_softmax(node.name, node.attrs["axis"]))
        elif node.op == "Div" and node.inputs[1] is not None:
            found.setdefault(node.inputs[1], []).append((f"{node.name}.reciprocal", _reciprocal))
        elif node.op == "GroupNormalization" and node.inputs[0] is not None:
            found.setdefault(node.inputs[0], []).extend(_group_norm(graph, node))
        elif node.op in apart and node.op == "LayerNormalization" and node.inputs[0] is not None:
            found.setdefault(node.inputs[0], []).extend(_layer_norm(graph, node))
    return found


def _group_norm(graph: Graph, node: Node) -> list[Internal]:
    groups = node.attrs["num_groups"]

    def grouped(x: torch.Tensor) -> torch.Tensor:
        return x.reshape(x.shape[0], groups, -1)

    def scaled(normal: torch.Tensor, weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return normal.reshape(x.shape) * weight.reshape(1, -1, *(1 for _ in x.shape[2:]))

    return _norm(graph, node, grouped, (2,), scaled)


def _layer_norm(graph: Graph, node: Node) -> list[Internal]:
    axes = tuple(range(-len(node.attrs["normalized_shape"]), 0))
    return _norm(graph, node, lambda x: x, axes, lambda normal, weight, _: normal * weight)


def _norm(
    graph: Graph,
    node: Node,
    arranged: Callable[[torch.Tensor], torch.Tensor],
    axes: tuple[int, ...],
    scaled: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
) -> list[Internal]:
    """Return the pieces of a normalization of ``arranged(x)`` along `axes`; `scaled` takes (normal, weight, x)."""
    epsilon = node.attrs["epsilon"]
    weight = node.inputs[1] if len(node.inputs) > 1 else None

    def centred(x: torch.Tensor) -> torch.Tensor:
        whole = arranged(x)
        return whole - whole.mean(axes, keepdim=True)

    def variance(x: torch.Tensor) -> torch.Tensor:
        return centred(x).square().mean(axes, keepdim=True)

    def inverse(x: torch.Tensor) -> torch.Tensor:
        inner: torch.Tensor = variance(x) + epsilon
        return inner.rsqrt()

    def normal(x: torch.Tensor) -> torch.Tensor:
        return centred(x) * inverse(x)

    def multiplied(x: torch.Tensor) -> torch.Tensor:
        assert weight is not None
        return scaled(normal(x), graph.tensor(weight).detach(), x)

    parts: list[Internal] = [
        ("mean", lambda x: arranged(x).mean(axes, keepdim=True)),
        ("centred", centred),
        ("square", lambda x: centred(x).square()),
        ("variance", variance),
        ("inverse", inverse),
        ("normal", normal),
    ]
    parts += [] if weight is None else [("scaled", multiplied)]
    return [(f"{node.name}.{part}", function) for part, function in parts]


def _reciprocal(x: torch.Tensor) -> torch.Tensor:
    return x[x != 0].reciprocal()


def _softmax(name: str, axis: int) -> list[Internal]:
    def shifted(x: torch.Tensor) -> torch.Tensor:
        return x - x.amax(axis, keepdim=True)

    def total(x: torch.Tensor) -> torch.Tensor:
        return shifted(x).exp().sum(axis, keepdim=True)

    return [
        (f"{name}.sub", shifted),
        (f"{name}.sum", total),
        (f"{name}.reciprocal", lambda x: total(x).reciprocal()),
    ]
