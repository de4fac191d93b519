"""Nodes that leave no row in the vendor's table, because the converter takes them out before it places anything.

Three rewrites are visible in the printed tables: a Transpose at an end of the model is removed; a Transpose moves down
through elementwise, table and keepdims-reduce operators and merges with the Transposes that it meets there (the one
below keeps its name, and goes as well where the two cancel); a Flatten or Reshape in front of a Gemm on the BPU
disappears into the convolution that the Gemm becomes. Two more are inferred from the number of rows that is published
for a model with area attention: the first of two Reshapes in a row goes, and so do two Transposes around a Reshape that
alone has the effect of all three. Knows nothing of marches.
"""

from __future__ import annotations

from collections.abc import Collection

from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node
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
    for node in graph.nodes:
        behind = _only_user(graph, node)
        if node.name in gone or behind is None or behind.name in gone:
            continue
        if node.op == behind.op == "Reshape":
            gone.add(node.name)
        elif node.op == "Transpose" and behind.op == "Reshape":
            last = _only_user(graph, behind)
            if last is not None and last.op == "Transpose" and _is_reshape(graph, node, behind, last):
                gone |= {node.name, last.name}
    return frozenset(gone)


def _only_user(graph: Graph, node: Node) -> Node | None:
    users = graph.users(node.output)
    return users[0][0] if len(users) == 1 and node.output not in graph.outputs else None


def _is_reshape(graph: Graph, first: Node, middle: Node, last: Node) -> bool:
    """Tell whether the three together only give the tensor another shape; no axis of it may change its neighbours.

    The axes are cut into the pieces that both shapes share; what is left is whether the pieces keep their order.
    """
    source = first.inputs[0]
    if source is None:
        return False
    before, turned, after = graph.shape(source), graph.shape(first.output), graph.shape(middle.output)
    pieces = _common_pieces(turned, after)
    if pieces is None:
        return False
    owners = [pieces[0][first.attrs["perm"].index(axis)] for axis in range(len(before))]
    order = [piece for owner in owners for piece in owner]
    made = [piece for axis in last.attrs["perm"] for piece in pieces[1][axis]]
    return order == made


def _common_pieces(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[list[list[int]], list[list[int]]] | None:
    """Return, by axis, the numbers of the factors into which both shapes can be cut; None where they cannot."""
    found: tuple[list[list[int]], list[list[int]]] = ([], [])
    left, right, count = list(a), list(b), 0
    i = j = 0
    rest_a, rest_b = (left[0] if left else 1), (right[0] if right else 1)
    axes_a: list[int] = []
    axes_b: list[int] = []
    while i < len(left) or j < len(right):
        if i < len(left) and rest_a == 1:
            found[0].append(axes_a)
            axes_a, i = [], i + 1
            rest_a = left[i] if i < len(left) else 1
            continue
        if j < len(right) and rest_b == 1:
            found[1].append(axes_b)
            axes_b, j = [], j + 1
            rest_b = right[j] if j < len(right) else 1
            continue
        step = min(rest_a, rest_b)
        if rest_a % step or rest_b % step:
            return None
        axes_a.append(count)
        axes_b.append(count)
        count += 1
        rest_a, rest_b = rest_a // step, rest_b // step
    return found


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
