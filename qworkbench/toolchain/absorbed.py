"""Nodes that leave no row in the vendor's table, because the converter takes them out before it places anything.

Three rewrites are visible in the printed tables: a Transpose at an end of the model is removed; a Transpose moves down
through elementwise, table and keepdims-reduce operators and merges with the Transposes that it meets there (the one
below keeps its name, and goes as well where the two cancel); a Flatten or Reshape in front of a Gemm on the BPU
disappears into the convolution that the Gemm becomes. Knows nothing of marches.
"""

from __future__ import annotations

from collections.abc import Collection

from qworkbench.graph.ir import Graph, Node
from qworkbench.graph.vocabulary import family
from qworkbench.placement.units import is_marker

ENDS = ("Transpose",)


def absorbed_nodes(graph: Graph, on_bpu: Collection[str], ends: tuple[str, ...] = ENDS) -> frozenset[str]:
    """Return the names of the nodes that disappear.

    Parameters
    ----------
    graph : Graph
    on_bpu : collection of str
        Names of the nodes placed there.
    ends : tuple of str
        Operators removed where they touch a model input or output (the ``remove_node_type`` of the configuration).
    """
    gone = {node.name for node in graph.nodes if node.op in ends and _at_an_end(graph, node)}
    for node in graph.nodes:
        if node.op == "Transpose" and node.name not in gone:
            gone |= _merged(graph, node)
        elif node.op in ("Flatten", "Reshape") and _only_feeds_gemms(graph, node, on_bpu):
            gone.add(node.name)
    return frozenset(gone)


def _at_an_end(graph: Graph, node: Node) -> bool:
    users = graph.users(node.output)
    return node.inputs[0] in graph.inputs or (node.output in graph.outputs and not users)


def _only_feeds_gemms(graph: Graph, node: Node, on_bpu: Collection[str]) -> bool:
    """Tell whether every reader, seen through what is removed at inference, is a Gemm on the BPU."""
    waiting, found = [node.output], 0
    if len(graph.values[node.output].shape) != 2:
        return False
    while waiting:
        value = waiting.pop()
        if value in graph.outputs:
            return False
        for user, _ in graph.users(value):
            if is_marker(user.op):
                waiting.append(user.output)
            elif user.op == "Gemm" and user.name in on_bpu:
                found += 1
            else:
                return False
    return found > 0


def _merged(graph: Graph, node: Node) -> set[str]:
    """Return what goes when the Transpose `node` sinks into those below it; nothing where it cannot."""
    cone, below = {node.name}, list[Node]()
    waiting = [node.output]
    while waiting:
        value = waiting.pop()
        if value in graph.outputs or not graph.users(value):
            return set()
        for user, _ in graph.users(value):
            if user.op == "Transpose":
                below.append(user)
            elif not _indifferent(user):
                return set()
            elif user.name not in cone:
                cone.add(user.name)
                waiting += user.outputs
    if any(_has_foreign_operand(graph, graph.nodes[name], cone, node) for name in cone):
        return set()
    first = tuple(node.attrs["perm"])
    cancelled = {b.name for b in below if tuple(first[axis] for axis in b.attrs["perm"]) == tuple(range(len(first)))}
    return {node.name} | cancelled


def _indifferent(node: Node) -> bool:
    """Tell whether `node` may be computed in another layout (its axes are renumbered, nothing else changes)."""
    if family(node.op) == "reduce":
        return bool(node.attrs.get("keepdims")) and node.op.startswith("Reduce")
    return family(node.op) in ("lut", "elementwise")


def _has_foreign_operand(graph: Graph, node: Node, cone: set[str], top: Node) -> bool:
    """Tell whether `node` reads a tensor that does not come in the layout that `top` makes."""
    if node is top:
        return False
    for value in node.inputs:
        producer = graph.producer(value)
        if value is None or (producer is not None and producer.name in cone):
            continue
        if graph.is_activation(value) or len(graph.values[value].shape) > 0:
            return True
    return False
