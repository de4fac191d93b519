"""Reading a graph backward from a node, and replacing what was matched by one operator.

A match names the nodes that it takes in. It holds only if nothing outside reads what lies between them, so that the
replacement changes no number that anyone sees. The new node carries the name of the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node, Value

CLOSE = 1e-4
"""Relative difference up to which a constant counts as the pattern's."""


@dataclass(frozen=True)
class Match:
    """What a pattern found: the last node, everything it takes in, and the operator that stands for it.

    ``constants`` are new contents by name; inputs may name them.
    """

    last: Node
    taken: tuple[Node, ...]
    op: str
    inputs: tuple[str | None, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    constants: Mapping[str, torch.Tensor] = field(default_factory=dict)


class Reader:
    """Questions that patterns ask of a graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def maker(self, value: str | None, *ops: str) -> Node | None:
        """Return the node that makes `value` if its operator is one of `ops`."""
        node = self.graph.producer(value)
        return node if node is not None and node.op in ops and node.call is None else None

    def constant(self, value: str | None) -> torch.Tensor | None:
        """Return the content of `value` if it is a constant."""
        return None if value is None or self.graph.is_activation(value) else self.graph.tensor(value)

    def number(self, value: str | None) -> float | None:
        """Return the content of `value` if it is a constant of one element."""
        content = self.constant(value)
        return float(content.reshape(-1)[0]) if content is not None and content.numel() == 1 else None

    def is_number(self, value: str | None, wanted: float) -> bool:
        """Tell whether `value` is the constant `wanted`, within 1e-4 of it."""
        found = self.number(value)
        return found is not None and abs(found - wanted) <= CLOSE * max(abs(wanted), 1e-12)

    def parted(self, node: Node, wanted: float) -> str | None:
        """Return the operand of a commutative `node` whose other operand is the constant `wanted`."""
        first, second = node.inputs[:2]
        if self.is_number(second, wanted):
            return first
        return second if self.is_number(first, wanted) else None

    def only_user(self, node: Node) -> Node | None:
        """Return the one node that reads the output of `node`; None if several do, or the model returns it."""
        users = {user.name: user for user, _ in self.graph.users(node.output)}
        if len(users) != 1 or node.output in self.graph.outputs:
            return None
        return next(iter(users.values()))

    def factors(self, value: str | None, taken: list[Node]) -> list[str | None]:
        """Return the factors of the product that makes `value`; products inside are opened and added to `taken`."""
        node = self.maker(value, "Mul")
        if node is None or (taken and self.only_user(node) is None):
            return [value]
        taken.append(node)
        return [f for operand in node.inputs[:2] for f in self.factors(operand, taken)]

    def closed(self, last: Node, taken: Iterable[Node]) -> bool:
        """Tell whether only nodes of the match read what lies inside of it."""
        names = {node.name for node in taken} | {last.name}
        inner = [out for node in taken if node.name != last.name for out in node.outputs]
        return not any(out in self.graph.outputs for out in inner) and all(
            user.name in names for out in inner for user, _ in self.graph.users(out)
        )


Pattern = Callable[[Reader, Node], Match | None]


def applied(graph: Graph, pattern: Pattern) -> Graph:
    """Return `graph` with every closed match of `pattern` replaced; matches do not overlap."""
    reader = Reader(graph)
    gone: set[str] = set()
    new: dict[str, Node] = {}
    values: list[Value] = []
    for node in graph.nodes:
        match = pattern(reader, node) if node.call is None else None
        if match is None or not reader.closed(match.last, match.taken):
            continue
        names = {n.name for n in match.taken} | {match.last.name}
        if names & gone or names & set(new) or set(match.constants) & set(graph.values):
            continue
        gone |= names - {match.last.name}
        new[match.last.name] = replace(match.last, op=match.op, inputs=match.inputs, attrs=dict(match.attrs))
        values += [
            Value(name, "constant", tuple(t.shape), str(t.dtype).removeprefix("torch."), data=t)
            for name, t in match.constants.items()
        ]
    if not new:
        return graph
    nodes = [new.get(node.name, node) for node in graph.nodes if node.name not in gone]
    made = graph.with_nodes(nodes, values)
    return replace(made, tensor_names={k: v for k, v in graph.tensor_names.items() if k in made.values})
