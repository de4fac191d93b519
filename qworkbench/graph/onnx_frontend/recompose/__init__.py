"""Operators that exporters take apart, put together again, so that both front ends see the same model.

One pattern per operator. Where an inner number has a second reader or is an output of the model, or a constant is
another one, the pieces stay.
"""

from __future__ import annotations

from qworkbench.graph.ir import Graph
from qworkbench.graph.onnx_frontend.recompose.activations import gelu, gelu_tanh, hard_swish, mish, swish
from qworkbench.graph.onnx_frontend.recompose.attention import projection, with_one_scale
from qworkbench.graph.onnx_frontend.recompose.layers import (
    gemm,
    group_norm,
    layer_norm,
    moved_softmax,
    pool_of_one,
)
from qworkbench.graph.onnx_frontend.recompose.match import Pattern, applied
from qworkbench.graph.repeated import live, read_directly

PATTERNS: tuple[Pattern, ...] = (
    layer_norm,
    group_norm,
    gelu,
    gelu_tanh,
    mish,
    hard_swish,
    swish,
    moved_softmax,
    pool_of_one,
    gemm,
    projection,
)
"""In the order in which they are tried: the larger ones first."""


def recomposed(graph: Graph) -> Graph:
    """Return `graph` with every pattern of :data:`PATTERNS` put together."""
    for pattern in PATTERNS:
        graph = applied(graph, pattern)
    return read_directly(live(with_one_scale(graph)))
