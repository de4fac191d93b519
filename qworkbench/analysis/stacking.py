"""Whether variants of a model may be laid side by side along the batch axis, and how samples are cut for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from qworkbench.analysis.program import FloatProgram
from qworkbench.analysis.quantizers import Quantizer
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Sym

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "BatchNormalization")
SAMPLE_BY_SAMPLE = {
    *("MaxPool", "AveragePool", "GlobalAveragePool", "Relu", "Clip"),
    *("Sigmoid", "Tanh", "LeakyRelu", "HardSwish", "HardSigmoid", "Silu", "Gelu", "QuantizeLinear", "DequantizeLinear"),
    *("Add", "Sub", "Mul", "Identity", "Dropout", "Flatten", "Resize"),
}


def follows_batch(graph: Graph, value: str) -> bool:
    """Tell whether the first axis of `value`, and no other, follows the batch."""
    shape = graph.values[value].shape
    return bool(shape) and isinstance(shape[0], Sym) and not any(isinstance(dim, Sym) for dim in shape[1:])


def can_stack(program: FloatProgram, feeds: Mapping[str, Tensor], quantizers: Sequence[Quantizer]) -> bool:
    """Tell whether variants may be laid side by side along the batch axis.

    Every input and every quantized value must follow the batch with its first axis alone, and two different samples
    run together must give what each gives alone: tested where it is not plain from the ops, since a model may well mix
    the entries of its batch.
    """
    graph = program.graph
    if not all(follows_batch(graph, v) for v in (*graph.inputs, *(quantizer.value for quantizer in quantizers))):
        return False
    depends = reached_from(program, [quantizer.value for quantizer in quantizers])
    if not depends <= {value for value in graph.values if follows_batch(graph, value)}:
        return False
    if all(_sample_by_sample(graph, node) for unit in program.units for node in unit.members):
        return True
    single = {name: tensor[:1] for name, tensor in feeds.items()}
    other = {name: t * 0.5 if t.is_floating_point() else t for name, t in single.items()}
    pair = {name: torch.cat([single[name], other[name]]) for name in single}
    try:
        alone, together = program.reference(single, 1), program.reference(pair, 2)
    except RuntimeError:
        return False
    return all(_agree(alone[name], together[name]) for name in depends)


def _sample_by_sample(graph: Graph, name: str) -> bool:
    """Tell whether a node, all of whose values follow the batch with axis 0, treats each sample by itself."""
    node = graph.nodes[name]
    if node.op == "ReduceMean":
        return all(axis > 0 for axis in node.attrs.get("axes") or (0,))
    if node.op in WEIGHTED and any(value is not None and graph.is_activation(value) for value in node.inputs[1:]):
        return False
    return node.op in (*SAMPLE_BY_SAMPLE, *WEIGHTED) and node.attrs.get("axis", 1) > 0


def reached_from(program: FloatProgram, values: Sequence[str]) -> set[str]:
    """Return `values` and all that is computed from them."""
    reached = set(values)
    for unit in program.units:
        if reached.intersection(unit.inputs):
            reached.update(unit.outputs)
    return reached


def chunks_of(feeds: Mapping[str, Tensor], block: int, most: int) -> list[tuple[int, int, dict[str, Tensor]]]:
    """Cut the samples: (first, behind the last, samples).

    Parameters
    ----------
    feeds : Mapping of str to Tensor
    block : int
        Samples of the first chunk, which soon gives a first table; 0 keeps all samples together.
    most : int
        Samples of every other one, a multiple of `block`; the second makes up for the first.
    """
    count = next(iter(feeds.values())).shape[0] if feeds else 0
    if not block or count <= block:
        return [(0, count, dict(feeds))]
    stops = [block, *range(most, count, most), count]
    edges = sorted({0, *(stop for stop in stops if stop <= count)})
    return [
        (start, stop, {name: tensor[start:stop] for name, tensor in feeds.items()}) for start, stop in pairwise(edges)
    ]


def _agree(alone: Tensor, together: Tensor) -> bool:
    part = together[: alone.shape[0]]
    if part.shape != alone.shape:
        return False
    if not alone.is_floating_point():
        return bool(torch.equal(part, alone))
    size = float(alone.abs().max()) if alone.numel() else 0.0
    return bool(torch.allclose(part, alone, rtol=1e-4, atol=1e-5 * max(size, 1e-30), equal_nan=True))
