"""The model in float with every quantized tensor and weight rounded to its grid, also to an asymmetric one.

For what the integer emulator has no form: the board's arithmetic of asymmetric quantization is not described in public,
so here ``x -> s (clamp(round(x / s) + z, qmin, qmax) - z)`` with ``s = (high - low) / (qmax - qmin)`` and an integer
zero point z. Knows placement and thresholds, and nothing of integer plans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np

from qworkbench.errors import Cancelled
from qworkbench.graph.execute import batch_of, run_node
from qworkbench.numerics.dtypes import QMAX, QMIN
from qworkbench.numerics.weights import quantize_weight

if TYPE_CHECKING:
    import torch

    from qworkbench.graph.ir import Graph
    from qworkbench.graph.node import Node
    from qworkbench.placement.types import Placement, ScaleGroup

_WEIGHT_SLOT = {"Conv": 0, "ConvTranspose": 1, "Gemm": 0}


class Ranges(Protocol):
    """Where ranges are read: a value name gives a threshold, or (low, high)."""

    def threshold(self, name: str) -> float:
        """Return the symmetric threshold of `name`."""

    def range_of(self, name: str) -> tuple[float, float]:
        """Return the asymmetric range (low <= 0 <= high) of `name`."""


def fake_quantized(
    graph: Graph,
    placement: Placement,
    ranges: Ranges,
    feeds: Mapping[str, torch.Tensor],
    *,
    asymmetric: bool,
    cancelled: Callable[[], bool] = lambda: False,
) -> dict[str, np.ndarray]:
    """Return the model's outputs by name, in fake quantization.

    Parameters
    ----------
    graph, placement
        A placement of exactly this graph: what runs on the CPU stays float.
    ranges : Ranges
    feeds : Mapping of str to Tensor
    asymmetric : bool
        False rounds to the symmetric grid of the same thresholds, for comparison.

    Raises
    ------
    CalibrationError
        When a range is not known.
    Cancelled
    """
    made = {value for unit in placement.units for value in unit.outputs}
    env: dict[str, torch.Tensor] = {}

    def keep(name: str, tensor: torch.Tensor) -> None:
        group = placement.groups[placement.group_of[name]] if name in placement.group_of else None
        quantized = group is not None and (name in made or name in graph.inputs)
        env[name] = _rounded(tensor, group, ranges, asymmetric) if group is not None and quantized else tensor

    for name, tensor in feeds.items():
        keep(name, tensor)
    batch = batch_of(graph, feeds)
    for node in graph.nodes:
        if cancelled():
            raise Cancelled("the search was cancelled; the thresholds are as before")
        operands = [_operand(graph, placement, node, slot, env) for slot in range(len(node.inputs))]
        for name, tensor in zip(node.outputs, run_node(graph, node, operands, batch), strict=False):
            keep(name, tensor)
    return {
        name: np.asarray((env[value] if value in env else graph.tensor(value)).detach())
        for name, value in zip(graph.output_names, graph.outputs, strict=True)
    }


def _operand(
    graph: Graph, placement: Placement, node: Node, slot: int, env: Mapping[str, torch.Tensor]
) -> torch.Tensor | None:
    import torch

    value = node.inputs[slot]
    if value is None:
        return None
    if value in env:
        return env[value]
    tensor = graph.tensor(value)
    placed = placement[node.name]
    if slot != 1 or node.op not in _WEIGHT_SLOT or placed.on != "BPU":
        return tensor
    axis = _WEIGHT_SLOT[node.op]
    stored = graph.values[value].stored
    stored = stored if stored is not None and len(stored) in (1, tensor.shape[axis]) else None
    codes, scale = quantize_weight(tensor.detach().numpy(), axis, placed.weight_dtype or "int8", stored)
    shape = [1] * codes.ndim
    shape[axis] = -1
    return torch.from_numpy(codes.astype(np.float32) * scale.reshape(shape))


def _rounded(tensor: torch.Tensor, group: ScaleGroup, ranges: Ranges, asymmetric: bool) -> torch.Tensor:
    low_code, high_code = QMIN[group.dtype], QMAX[group.dtype]
    zero = 0
    if group.fixed_scale is not None:
        scale = float(group.fixed_scale)
    elif asymmetric:
        ends = [ranges.range_of(value) for value in group.threshold_from]
        low, high = min(end[0] for end in ends), max(end[1] for end in ends)
        scale = (high - low) / (high_code - low_code) or 1.0
        zero = round(low_code - low / scale)
    else:
        scale = max(ranges.threshold(value) for value in group.threshold_from) / high_code or 1.0
    return ((tensor / scale).round() + zero).clamp(low_code, high_code).sub(zero).mul(scale)
