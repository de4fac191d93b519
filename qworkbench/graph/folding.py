"""Weight and bias as the hardware sees them: batch normalisation absorbed, matrices the right way round.

``w' = w * scale / sqrt(var + eps)`` per output channel and ``b' = (b - mean) * scale / sqrt(var + eps) + beta``,
computed in float64 and rounded once to float32. The user's model is not touched.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qworkbench.errors import QWorkbenchError
from qworkbench.graph.fusion import ANCHORS, FusedGroup
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


def folded_weight_bias(
    graph: Graph, group_or_node: FusedGroup | Node | str, *, copy: bool = True
) -> tuple[Float32, Float32 | None]:
    r"""Return weight and bias of a Conv, ConvTranspose or Gemm with the group's batch normalisation absorbed.

    Parameters
    ----------
    graph : Graph
    group_or_node : FusedGroup, Node or str
        A group, or a node (or its name) taken alone.
    copy : bool
        Whether a weight that nothing is absorbed into is copied; else it may be the module's own memory, read-only.

    Returns
    -------
    weight : float32 array
        Conv (out, in/group, \*kernel); ConvTranspose (in, out/group, \*kernel); Gemm (out, in), transposed if the
        node keeps it the other way round.
    bias : float32 array of shape (out,) or None
        None if the node has no bias and nothing was absorbed.

    Raises
    ------
    QWorkbenchError
        If the node is none of the three or its weight is computed from the model's input.
    """
    bn = None
    if isinstance(group_or_node, FusedGroup):
        node = graph.nodes[group_or_node.anchor]
        bn = None if group_or_node.bn is None else graph.nodes[group_or_node.bn]
    else:
        node = graph.nodes[group_or_node] if isinstance(group_or_node, str) else group_or_node
    if node.op not in ANCHORS:
        raise QWorkbenchError(f"{node.name!r} is a {node.op}; only {', '.join(ANCHORS)} have a weight to fold")
    weight = _content(graph, node, node.inputs[1])
    bias = _array(graph, node, node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else None
    if node.op == "Gemm" and not node.attrs.get("transB", True):
        weight = weight.T
    if bn is None:
        folded = weight.astype(np.float32, order="C", copy=copy)[...]
        folded.flags.writeable = copy
    else:
        folded = np.empty(weight.shape, np.float32)
        factor, bias = _absorbed(graph, bn, bias)
        # in float64 and rounded once, without a copy of the weight in float64
        np.multiply(weight, _along(node, weight, factor), out=folded, dtype=np.float64, casting="same_kind")
    return folded, None if bias is None else bias.reshape(-1).astype(np.float32)


def _absorbed(graph: Graph, bn: Node, bias: Float64 | None) -> tuple[Float64, Float64]:
    """Return by what `bn` multiplies each output channel, and the bias behind it."""
    _, scale_name, beta_name, mean_name, var_name = bn.inputs
    mean, var = _array(graph, bn, mean_name), _array(graph, bn, var_name)
    factor = 1.0 / np.sqrt(var + float(bn.attrs["epsilon"]))
    if scale_name is not None:
        factor = factor * _array(graph, bn, scale_name)
    shift = (0.0 if bias is None else bias) - mean
    beta = _array(graph, bn, beta_name) if beta_name is not None else 0.0
    return factor, shift * factor + beta


def _along(node: Node, weight: NDArray[Any], factor: Float64) -> Float64:
    """Return a factor per output channel in a form that multiplies `weight`."""
    if node.op != "ConvTranspose":
        return factor.reshape(-1, *(1,) * (weight.ndim - 1))
    group = int(node.attrs["group"])
    inputs, each = weight.shape[:2]
    per_input = np.repeat(factor.reshape(group, each), inputs // group, axis=0)
    return per_input.reshape(inputs, each, *(1,) * (weight.ndim - 2))


def _array(graph: Graph, node: Node, value: str | None) -> Float64:
    return _content(graph, node, value).astype(np.float64)


def _content(graph: Graph, node: Node, value: str | None) -> NDArray[Any]:
    if value is None or graph.is_activation(value):
        raise QWorkbenchError(f"{node.name!r} has no constant weight: {value!r} is computed from the model's input")
    return np.asarray(graph.tensor(value).detach().cpu().numpy())
