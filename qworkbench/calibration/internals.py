"""Tensors inside an op that the BPU runs as several: they have thresholds, but no value in the graph.

Softmax: the shifted input, the sum of exponentials, its reciprocal. Div: the reciprocal of the divisor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qworkbench.graph.ir import Graph

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
    return found


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
