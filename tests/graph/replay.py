"""What the tests of capture share: a module out of a function, and the run of a graph beside the eager model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from qworkbench.graph.execute import run_float
from qworkbench.graph.feeds import feeds_of, outputs_of
from qworkbench.graph.ir import Graph
from qworkbench.graph.structure import leaves, map_leaves


def module_of(forward: Callable[..., Any], **modules: Any) -> nn.Module:
    """Return a module in evaluation mode whose ``forward`` is `forward` and which owns `modules`."""

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, module in modules.items():
                setattr(self, name, module)

    Model.forward = forward  # type: ignore[method-assign]
    return Model().eval()


def replayed(graph: Graph, sample: Any) -> Any:
    """Return what the graph gives for `sample`, in the structure of the model's result."""
    return outputs_of(graph, run_float(graph, feeds_of(graph, sample), keep=graph.outputs))


def largest_difference(got: Any, want: Any) -> float:
    """Return the largest absolute difference between the tensors of two results of the same structure."""
    pairs = list(zip(leaves(got), leaves(want), strict=True))
    for (path, a), (other, b) in pairs:
        assert path == other
        assert isinstance(a, Tensor) == isinstance(b, Tensor)
        if isinstance(a, Tensor):
            assert (a.shape, a.dtype) == (b.shape, b.dtype), path
        else:
            assert a == b, path
    return max(
        (float((a.double() - b.double()).abs().max()) for (_, a), (_, b) in pairs if isinstance(a, Tensor)), default=0.0
    )


def difference_on(graph: Graph, model: nn.Module, sample: Any) -> float:
    """Return the largest difference between graph and model on `sample` (a tensor or a tuple of arguments)."""
    args = sample if isinstance(sample, tuple) else (sample,)
    copies = map_leaves(lambda v: v.clone() if isinstance(v, Tensor) else v, args)
    with torch.no_grad():
        want = model(*copies)
    return largest_difference(replayed(graph, sample), want)


def ops(graph: Graph) -> list[str]:
    """Return the operators in order."""
    return [node.op for node in graph.nodes]
