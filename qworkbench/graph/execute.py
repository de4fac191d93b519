"""Running a graph in float: one node, a whole graph, a cone on top of kept activations.

The float reference of everything downstream. Tensors are never changed in place and no gradient is recorded. A run
needs the model's inputs (:mod:`qworkbench.graph.feeds` reads what a user passes) and knows nothing of quantization.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from qworkbench.errors import QWorkbenchError, unknown_name
from qworkbench.graph.float_kernels import KERNELS
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node, Sym
from qworkbench.graph.replay import Replay


def batch_of(graph: Graph, env: Mapping[str, Tensor]) -> int:
    """Return the batch size of `env`: the size where an input's shape follows the batch, else the example's."""
    for name in graph.inputs:
        if name in env:
            for axis, dim in enumerate(graph.values[name].shape):
                if isinstance(dim, Sym):
                    return env[name].shape[axis] // dim.factor
    return graph.batch


def run_node(
    graph: Graph, node: Node, tensors: Sequence[Tensor | None], batch: int, *, gradients: bool = False
) -> tuple[Tensor, ...]:
    """Run one node.

    Parameters
    ----------
    graph : Graph
        The graph that holds `node`.
    node : Node
    tensors : sequence of Tensor or None
        One per input of the node, None where the input is absent.
    batch : int
        What ``Sym`` stands for in the node's attributes.
    gradients : bool
        Keep the history for a backward pass to `tensors`.

    Returns
    -------
    tuple of Tensor
        One per output of the node.

    Raises
    ------
    QWorkbenchError
        If the operator has neither a kernel nor a call.
    """
    del graph
    with torch.set_grad_enabled(gradients):
        return prepared(node, batch)(tensors)


def prepared(node: Node, batch: int) -> Callable[[Sequence[Tensor | None]], tuple[Tensor, ...]]:
    """Return what :func:`run_node` does with its tensors; whether gradients are kept is up to the caller."""
    call = node.call
    if isinstance(call, Replay):
        replay = call
        return lambda tensors: replay.at(batch, [t for t in tensors if t is not None])
    if call is not None:
        return lambda tensors: _as_tuple(call(*(t for t in tensors if t is not None)))
    if node.op not in KERNELS:
        raise QWorkbenchError(f"{node.name!r} is a {node.op}, which has no float kernel and no call of its own")
    kernel, attributes = KERNELS[node.op], node.attributes(batch)
    return lambda tensors: _as_tuple(kernel(attributes, *tensors))


def _as_tuple(made: Any) -> tuple[Tensor, ...]:
    return (made,) if isinstance(made, Tensor) else tuple(made)


def run_float(
    graph: Graph,
    feeds: Mapping[str, Tensor],
    *,
    keep: Collection[str] | None = None,
    only: Collection[str] | None = None,
    env: Mapping[str, Tensor] | None = None,
    on_node: Callable[[Node, tuple[Tensor, ...]], None] | None = None,
) -> dict[str, Tensor]:
    """Run `graph` in float32 by torch.

    Parameters
    ----------
    graph : Graph
    feeds : Mapping of str to Tensor
        The inputs by name; any batch size where the graph's batch is symbolic.
    keep : collection of str, optional
        Value names to return; everything else is freed as soon as its last user ran. None keeps all activations.
    only : collection of str, optional
        Node names to run; what they read from other nodes must be in `env`.
    env : Mapping of str to Tensor, optional
        Activations of an earlier run to build on; not changed.
    on_node : callable, optional
        Called after each node with its outputs.

    Returns
    -------
    dict of str to Tensor
        Inputs and activations by value name (those in `keep` if given).

    Raises
    ------
    QWorkbenchError
        If a node reads a value that is neither fed, kept in `env` nor made before.
    """
    known: dict[str, Tensor] = {**(env or {}), **feeds}
    for name in keep or ():
        if name not in graph.values:
            raise unknown_name("value", name, graph.values)
    chosen = [n for n in graph.nodes if only is None or n.name in only]
    batch = batch_of(graph, known)
    left: Counter[str] = (
        Counter(v for n in chosen for v in n.inputs if v is not None) if keep is not None else Counter()
    )
    with torch.no_grad():
        for node in chosen:
            made = run_node(graph, node, [_operand(graph, node, v, known) for v in node.inputs], batch)
            known.update(zip(node.outputs, made, strict=False))
            if on_node is not None:
                on_node(node, made)
            if keep is None:
                continue
            for value in node.inputs:
                if value is not None:
                    left[value] -= 1
                    if left[value] == 0 and value not in keep:
                        known.pop(value, None)
            for value in node.outputs:
                if left[value] == 0 and value not in keep:
                    known.pop(value, None)
    if keep is None:
        return known
    return {name: known[name] if name in known else graph.tensor(name) for name in keep}


def _operand(graph: Graph, node: Node, value: str | None, known: Mapping[str, Tensor]) -> Tensor | None:
    if value is None:
        return None
    if value in known:
        return known[value]
    if graph.values[value].kind in ("input", "activation"):
        raise QWorkbenchError(f"{node.name!r} reads {value!r}, which this run has not made; feed it or pass it in env")
    return graph.tensor(value)
