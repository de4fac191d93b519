"""Tensors that follow the batch only by being repeated: positions counted from a mask of ones, queries per image.

Both front ends compute such a tensor once and keep it as a constant with an Expand behind it. Where an elementwise
operator reads it beside a full tensor, broadcasting does the same, and the constant is read directly.
"""

from __future__ import annotations

from dataclasses import replace

from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node, Sym

ONCE = ".once"
"""Ending of the name of a content that is kept for one batch element."""


def read_directly(graph: Graph) -> Graph:
    """Return `graph` with the Expand of such a constant left out where an elementwise operator needs none."""
    changed = {node.name: inputs for node in graph.nodes if (inputs := _inputs(graph, node)) != node.inputs}
    if not changed:
        return graph
    nodes = [replace(n, inputs=changed[n.name]) if n.name in changed else n for n in graph.nodes]
    return live(graph.with_nodes(nodes))


def _inputs(graph: Graph, node: Node) -> tuple[str | None, ...]:
    if node.op not in ("Add", "Sub", "Mul", "Div") or node.call is not None or len(node.inputs) != 2:
        return node.inputs
    found = list(node.inputs)
    for slot, other in ((0, 1), (1, 0)):
        beside, maker = found[other], graph.producer(found[slot])
        if beside is None or maker is None or maker.op != "Expand" or not graph.is_activation(beside):
            continue
        once = maker.inputs[0]
        if once is None or not once.endswith(ONCE) or graph.is_activation(once):
            continue
        full = graph.values[beside].shape == graph.values[node.output].shape
        follows = any(isinstance(dim, Sym) for dim in graph.values[beside].shape)
        if full and follows:
            found[slot] = once
    return tuple(found)


def live(graph: Graph) -> Graph:
    """Return `graph` without nodes whose outputs nothing reads."""
    needed, kept = set(graph.outputs), []
    for node in reversed(list(graph.nodes)):
        if any(out in needed for out in node.outputs):
            kept.append(node)
            needed.update(v for v in node.inputs if v is not None)
    if len(kept) == len(graph.nodes):
        return graph
    made = graph.with_nodes(kept[::-1])
    return replace(made, tensor_names={k: v for k, v in graph.tensor_names.items() if k in made.values})
