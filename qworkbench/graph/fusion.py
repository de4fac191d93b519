"""Which nodes the hardware computes as one: convolution, batch normalisation, residual add, activation.

An overlay: the graph is not rewritten, a group only names its members. The value of a group is the output of its last
member; what lies inside never reaches memory, hence every inner value has exactly one user, is no model output and has
no scale of its own in a trained model. A quantizer between a convolution and its activation does not part them:
clamping and rounding to codes commute.
Folding of weights is :mod:`qworkbench.graph.folding`; whether a group may run on a march is placement's question.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node

ANCHORS = ("Conv", "ConvTranspose", "Gemm")
_TRANSPARENT = ("Identity", "Dropout")
_STUBS = ("QuantizeLinear", "DequantizeLinear")
ACTIVATIONS = ("Relu", "Clip")


@dataclass(frozen=True, slots=True)
class FusedGroup:
    """One fused unit.

    Attributes
    ----------
    name : str
        The Add's name if the group has one, else the anchor's.
    anchor : str
        The Conv, ConvTranspose or Gemm.
    bn, add, activation : str or None
        The members behind it, if any.
    residual : str or None
        Value name of the Add's other operand.
    members : tuple of str
        All nodes of the group in topological order, looked-through Identity, Dropout and stubs included.
    tail : str
        The node whose output is the value of the group.
    """

    name: str
    anchor: str
    bn: str | None
    add: str | None
    residual: str | None
    activation: str | None
    members: tuple[str, ...]
    tail: str


@dataclass(frozen=True, slots=True, eq=False)
class Grown:
    """What grew around an anchor: a group, or nothing, and every node that was looked at for it."""

    group: FusedGroup | None
    seen: frozenset[str]


def find_fusions(graph: Graph) -> tuple[FusedGroup, ...]:
    """Return every group of two or more nodes, by anchor in topological order.

    Where both operands of an Add could own it, the first anchor in topological order does; a module called several
    times fuses at each of its calls.
    """
    return tuple(grown.group for grown in grow(graph).values() if grown.group is not None)


def grow(graph: Graph, former: Mapping[str, Grown] | None = None, changed: Iterable[str] = ()) -> dict[str, Grown]:
    """Return what grows around each anchor, by its name in topological order.

    Parameters
    ----------
    graph : Graph
    former : Mapping, optional
        The same of a graph that this one was made from by an edit.
    changed : iterable of str
        Nodes with other surroundings than in that graph; see :func:`qworkbench.graph.difference.changed_nodes`.
    """
    known = former or {}
    position = {name: i for i, name in enumerate(graph.nodes.names())}
    other = set(changed)  # nodes that are different, or may be taken by another group than before
    for name, before in known.items():
        if name not in position and before.group is not None:
            other.update(before.group.members)
    taken: set[str] = set()
    found: dict[str, Grown] = {}
    for anchor in graph.nodes:
        if anchor.op not in ANCHORS or anchor.name in taken:
            continue
        grown = known.get(anchor.name)
        if grown is None or not other.isdisjoint(grown.seen):
            seen = {anchor.name}
            was, group = None if grown is None else grown.group, _grow(graph, anchor, taken, position, seen)
            if group != was:
                other.update(name for each in (group, was) if each is not None for name in each.members)
            grown = Grown(group, frozenset(seen))
        if grown.group is not None:
            taken.update(grown.group.members)
        found[anchor.name] = grown
    return found


def _grow(graph: Graph, anchor: Node, taken: set[str], position: dict[str, int], seen: set[str]) -> FusedGroup | None:
    members, tail = [anchor.name], anchor
    bn = add = activation = residual = None
    found = _next(graph, tail, taken, seen)
    if found and found[-1].op == "BatchNormalization" and found[-1].inputs[0] == _last_value(tail, found):
        tail = _extend(members, found)
        bn = tail.name
        found = _next(graph, tail, taken, seen)
    if found and found[-1].op == "Add" and _strides_allow_add(anchor):
        other = _residual(graph, found[-1], _last_value(tail, found))
        if other is not None:
            tail = _extend(members, found)
            add, residual = tail.name, other
            found = _next(graph, tail, taken, seen)
    found = (
        found if found and found[-1].op in ACTIVATIONS else _next(graph, tail, taken, seen, (*_TRANSPARENT, *_STUBS))
    )
    if found and found[-1].op in ACTIVATIONS:
        tail = _extend(members, found)
        activation = tail.name
    if len(members) == 1 or (bn is None and add is None and activation is None):
        return None
    ordered = tuple(sorted(members, key=position.__getitem__))
    return FusedGroup(add or anchor.name, anchor.name, bn, add, residual, activation, ordered, tail.name)


def _extend(members: list[str], found: list[Node]) -> Node:
    members += [node.name for node in found]
    return found[-1]


def _last_value(tail: Node, found: list[Node]) -> str:
    return found[-2].output if len(found) > 1 else tail.output


def _next(
    graph: Graph, node: Node, taken: set[str], seen: set[str], passed: tuple[str, ...] = _TRANSPARENT
) -> list[Node]:
    """Return the only user of `node` behind `passed` operators, with those before it; empty if there is none.

    What is looked at is added to `seen`.
    """
    chain: list[Node] = []
    kept = graph.training.kept
    while True:
        users = graph.users(node.output)
        if len(node.outputs) != 1 or len(users) != 1 or node.output in graph.outputs or node.output in kept:
            return []
        node = users[0][0]
        seen.add(node.name)
        if node.name in taken:
            return []
        chain.append(node)
        if node.op not in passed:
            return chain


def _residual(graph: Graph, add: Node, mine: str) -> str | None:
    """Return the other operand of `add` if both are activations of equal shape."""
    first, second = add.inputs
    other = second if first == mine else first
    if other is None or other == mine or not graph.is_activation(other):
        return None
    same = graph.values[other].shape == graph.values[mine].shape
    return other if same else None


def _strides_allow_add(anchor: Node) -> bool:
    """Tell whether a residual may enter the accumulator: a Conv must have strides of 1 or 2."""
    return anchor.op != "Conv" or all(stride in (1, 2) for stride in anchor.attrs["strides"])
