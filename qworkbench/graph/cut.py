"""Cut a graph in two: what some nodes lead to, and everything else.

The first part hands over every value that the second one reads; both keep names, weights and the batch. Knows nothing
of units, scales or placement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from qworkbench.errors import EditError, nearest, unknown_name
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node, NodeTable, Value


@dataclass(frozen=True, eq=False)
class Cut:
    """The two parts.

    Attributes
    ----------
    first, second : Graph
    crossing : tuple of str
        Values that `first` makes and `second` reads, in topological order: outputs of one, inputs of the other.
    """

    first: Graph
    second: Graph
    crossing: tuple[str, ...]


def cut(graph: Graph, names: Sequence[str]) -> Cut:
    """Cut `graph` behind the nodes `names`.

    The second part is what lies downstream of them, except for what leads to one of them (so several levels of a
    pyramid can be cut together).

    Raises
    ------
    UnknownNameError
        A name that is no node.
    EditError
        Nothing lies behind the cut.
    """
    import networkx as nx

    for name in names:
        if name not in graph.nodes:
            raise unknown_name("node", name, graph.nodes.names())
    behind = graph.cone(names) - set(names)
    before = {up for name in names for up in nx.ancestors(graph.nx, name)}
    second = [node for node in graph.nodes if node.name in behind and node.name not in before]
    if not second:
        ways = [n.name for n in graph.nodes if graph.nx.out_degree(n.name)]
        near = nearest(names[0], ways) or ways[-1:]
        hint = f"; cut earlier, at {near[0]!r} for example" if near else ""
        raise EditError(f"nothing lies behind {', '.join(map(repr, names))}, so there is no second stage{hint}")
    late = {node.name for node in second}
    first = [node for node in graph.nodes if node.name not in late]
    read = {v for node in second for v in node.inputs if v is not None}
    read |= {v for v in graph.outputs if (p := graph.producer(v)) is not None and p.name in late}
    crossing = tuple(v for node in first for v in node.outputs if v in read)
    kept_outputs = [v for v in graph.outputs if (p := graph.producer(v)) is None or p.name not in late]
    one = _part(graph, first, (), tuple(dict.fromkeys((*crossing, *kept_outputs))), "stage1")
    two = _part(graph, second, crossing, tuple(v for v in graph.outputs if v not in kept_outputs), "stage2")
    return Cut(one, two, crossing)


def _part(graph: Graph, nodes: list[Node], given: tuple[str, ...], outputs: tuple[str, ...], name: str) -> Graph:
    """Return the graph of `nodes`, which reads the values `given` as inputs."""
    used = {v for node in nodes for v in (*node.inputs, *node.outputs) if v is not None} | set(outputs)
    values: dict[str, Value] = {v: graph.values[v] for v in graph.values if v in used}
    for value in given:
        values[value] = replace(graph.values[value], kind="input", producer=None)
    inputs = tuple(v for v in graph.inputs if v in used)
    named = dict(zip(graph.outputs, graph.output_names, strict=True))
    own = {node.name for node in nodes}
    training = replace(
        graph.training,
        kept=graph.training.kept & used,
        weight_scales={n: s for n, s in graph.training.weight_scales.items() if n in own},
        integer=graph.training.integer & own,
    )
    made = replace(
        graph,
        nodes=NodeTable(nodes),
        values=values,
        inputs=(*given, *inputs),
        outputs=outputs,
        output_names=tuple(named.get(v, v) for v in outputs),
        in_spec=None,
        out_spec=None,
        name=f"{graph.name}.{name}",
        training=training,
    )
    made.check()
    return made
