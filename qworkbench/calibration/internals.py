"""Tensors inside an op that the BPU runs as several: they have thresholds, but no value in the graph.

Softmax: the shifted input, the sum of exponentials, its reciprocal. Div: the reciprocal of the divisor.
GroupNormalization: the steps of its definition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node

if TYPE_CHECKING:
    import torch

Internal = tuple[str, "Callable[[torch.Tensor], torch.Tensor]"]


def internals_of(graph: Graph) -> dict[str, list[Internal]]:
    """Map each value to the (name, function of that value) pairs that calibration must watch, too."""
    found: dict[str, list[Internal]] = {}
    for node in graph.nodes:
        if node.op == "Softmax" and node.inputs[0] is not None:
            found.setdefault(node.inputs[0], []).extend(_softmax(node.name, node.attrs["axis"]))
        elif node.op == "Div" and node.inputs[1] is not None:
            found.setdefault(node.inputs[1], []).append((f"{node.name}.reciprocal", _reciprocal))
        elif node.op == "GroupNormalization" and node.inputs[0] is not None:
            found.setdefault(node.inputs[0], []).extend(_group_norm(graph, node))
    return found


def _group_norm(graph: Graph, node: Node) -> list[Internal]:
    groups, epsilon = node.attrs["num_groups"], node.attrs["epsilon"]
    weight = node.inputs[1] if len(node.inputs) > 1 else None

    def centred(x: torch.Tensor) -> torch.Tensor:
        grouped = x.reshape(x.shape[0], groups, -1)
        return grouped - grouped.mean(2, keepdim=True)

    def variance(x: torch.Tensor) -> torch.Tensor:
        return centred(x).square().mean(2, keepdim=True)

    def inverse(x: torch.Tensor) -> torch.Tensor:
        inner: torch.Tensor = variance(x) + epsilon
        return inner.rsqrt()

    def normal(x: torch.Tensor) -> torch.Tensor:
        return centred(x) * inverse(x)

    def scaled(x: torch.Tensor) -> torch.Tensor:
        assert weight is not None
        shape = (1, -1, *(1 for _ in x.shape[2:]))
        return normal(x).reshape(x.shape) * graph.tensor(weight).detach().reshape(shape)

    parts: list[Internal] = [
        ("mean", lambda x: x.reshape(x.shape[0], groups, -1).mean(2, keepdim=True)),
        ("centred", centred),
        ("square", lambda x: centred(x).square()),
        ("variance", variance),
        ("inverse", inverse),
        ("normal", normal),
    ]
    parts += [] if weight is None else [("scaled", scaled)]
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
