"""Subgraphs and boundaries: which BPU units form one segment, and where numbers change form on an edge.

Segments are found by levels (a node's level rises with each device switch before it), so that contracting each
segment to a point always leaves an acyclic graph. Boundary cost is proportional to the elements that cross.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from qworkbench.graph.ir import Graph
from qworkbench.placement.types import Boundary, BoundaryKind, Unit


def subgraph_ids(units: tuple[Unit, ...], on_bpu: Mapping[str, bool]) -> dict[str, int]:
    """Return the subgraph id of every BPU unit, numbered in topological order from 0."""
    producer = {value: unit.name for unit in units for value in unit.outputs}
    level: dict[str, int] = {}
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader[name] != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    for unit in units:
        before = [producer[v] for v in unit.inputs if v in producer]
        level[unit.name] = max((level[p] + (on_bpu[p] != on_bpu[unit.name]) for p in before), default=0)
        leader[unit.name] = unit.name
        for name in before:
            if on_bpu[name] == on_bpu[unit.name] and level[name] == level[unit.name]:
                leader[find(unit.name)] = find(name)
    ids: dict[str, int] = {}
    return {unit.name: ids.setdefault(find(unit.name), len(ids)) for unit in units if on_bpu[unit.name]}


def boundaries(
    graph: Graph,
    units: tuple[Unit, ...],
    on_bpu: Mapping[str, bool],
    requantized: Mapping[tuple[str, str], int],
    canonical: Mapping[str, str],
    float_outputs: frozenset[str],
    float_readers: frozenset[str] = frozenset(),
) -> tuple[Boundary, ...]:
    """Return every edge with a Quantize, Dequantize or Requantize, in topological order.

    `float_outputs` are BPU values that leave without a Dequantize (indices of ArgMax, floats); `float_readers` are BPU
    units that take floats, so that nothing is quantized in front of them.
    """
    producer = {value: unit.name for unit in units for value in unit.outputs}
    found: list[Boundary] = []

    def add(value: str, target: str, kind: BoundaryKind) -> None:
        source = producer.get(value, value)
        found.append(Boundary(value, source, target, kind, math.prod(graph.shape(value))))

    for unit in units:
        for value in dict.fromkeys(unit.inputs):
            from_bpu = value in producer and on_bpu[producer[value]]
            if on_bpu[unit.name] and not from_bpu:
                if unit.name not in float_readers:
                    add(value, unit.name, "quantize")
            elif not on_bpu[unit.name] and from_bpu and value not in float_outputs:
                add(value, unit.name, "dequantize")
            elif (value, unit.name) in requantized:
                add(value, unit.name, "requantize")
    for name, value in zip(graph.output_names, graph.outputs, strict=True):
        source = canonical[value]
        if source in producer and on_bpu[producer[source]] and source not in float_outputs:
            add(source, name, "dequantize")
    return tuple(found)
