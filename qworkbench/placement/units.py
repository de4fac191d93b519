"""Cut a graph into units: single nodes, and fused groups as far as they may stay together.

A group may be cut short (the user sends a member to the CPU, or the tail rule keeps an int32 convolution alone); what
is cut off becomes units of its own. Knows nothing of marches or reasons.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from qworkbench.graph.fusion import FusedGroup
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node
from qworkbench.graph.vocabulary import family
from qworkbench.placement.types import Unit

Keep = Literal["all", "without_activation", "anchor", "none"]


def canonical_values(graph: Graph) -> dict[str, str]:
    """Map every value to the one it is an alias of: Identity, Dropout and stubs hand their input through."""
    canonical = {name: name for name in graph.values}
    for node in graph.nodes:
        if is_marker(node.op) and node.inputs[0] is not None:
            canonical[node.output] = canonical[node.inputs[0]]
    return canonical


def is_marker(op: str) -> bool:
    """Tell whether `op` computes nothing on the device: removed at inference, or a quantization stub."""
    return family(op) in ("transparent", "stub")


def single_unit(graph: Graph, node: Node, canonical: Mapping[str, str]) -> Unit:
    """Return the unit of a node that nothing is fused with."""
    inputs = tuple(canonical[v] for v in graph.data_inputs(node))
    return Unit(node.name, node.op, node.name, (node.name,), node.name, inputs, node.outputs)


def group_units(
    graph: Graph, group: FusedGroup, canonical: Mapping[str, str], keep: Keep, order: Mapping[str, int]
) -> tuple[Unit, ...]:
    """Return the units that the nodes of `group` run in where `keep` says how much of it stays together.

    Parameters
    ----------
    graph : Graph
    group : FusedGroup
        As :func:`qworkbench.graph.fusion.find_fusions` returns it.
    canonical : Mapping
        As :func:`canonical_values` returns it.
    keep : Keep
    order : Mapping of node name to int
        Topological position.
    """
    whole = _fused_unit(graph, group, canonical, keep, order)
    inside = () if whole is None else whole.members
    rest = (graph.nodes[name] for name in group.members if name not in inside)
    alone = tuple(single_unit(graph, node, canonical) for node in rest if not is_marker(node.op))
    return alone if whole is None else (whole, *alone)


def _fused_unit(
    graph: Graph, group: FusedGroup, canonical: Mapping[str, str], keep: Keep, order: Mapping[str, int]
) -> Unit | None:
    add = group.add if keep in ("all", "without_activation") else None
    activation = group.activation if keep == "all" else None
    bn = None if keep == "none" else group.bn
    parts = (name for name in (group.anchor, bn, add, activation) if name is not None)
    members = tuple(sorted(parts, key=order.__getitem__))
    if len(members) < 2:
        return None
    residual = canonical[group.residual] if add is not None and group.residual is not None else None
    inputs = tuple(canonical[v] for v in graph.data_inputs(graph.nodes[group.anchor]))
    tail = next(name for name in (activation, add, bn, group.anchor) if name is not None)
    return Unit(
        name=add or group.anchor,
        op=graph.nodes[group.anchor].op,
        anchor=group.anchor,
        members=members,
        tail=tail,
        inputs=inputs if residual is None else (*inputs, residual),
        outputs=graph.nodes[tail].outputs,
        bn=bn,
        add=add,
        residual=residual,
        activation=activation,
    )
