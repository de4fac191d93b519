"""Subgraphs and boundaries: which BPU units form one segment, and where numbers change form on an edge.

Segments are found by levels (a node's level rises with each device switch before it), so that contracting each
segment to a point always leaves an acyclic graph. Boundary cost is proportional to the elements that cross.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from qworkbench.graph.ir import Graph
from qworkbench.placement.types import Boundary, BoundaryKind
from qworkbench.placement.unit_table import UnitTable


def subgraph_ids(table: UnitTable, on_bpu: Mapping[str, bool]) -> dict[str, int]:
    """Return the subgraph id of every BPU unit, numbered in topological order from 0."""
    makers = table.makers
    level: dict[str, int] = {}
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader[name] != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    for unit in table.units:
        name = unit.name
        on = on_bpu[name]
        before = [makers[value].name for value in unit.inputs if value in makers]
        highest = 0
        for other in before:
            height = level[other] + (on_bpu[other] != on)
            highest = max(highest, height)
        level[name] = highest
        leader[name] = name
        for other in before:
            if level[other] == highest and on_bpu[other] == on:
                leader[find(name)] = find(other)
    ids: dict[str, int] = {}
    return {unit.name: ids.setdefault(find(unit.name), len(ids)) for unit in table.units if on_bpu[unit.name]}


def boundaries(
    graph: Graph,
    table: UnitTable,
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
    makers = table.makers
    found: list[Boundary] = []

    def add(value: str, target: str, kind: BoundaryKind) -> None:
        source = makers[value].name if value in makers else value
        found.append(Boundary(value, source, target, kind, math.prod(graph.shape(value))))

    for unit in table.units:
        on = on_bpu[unit.name]
        for value in unit.inputs if len(unit.inputs) == 1 else dict.fromkeys(unit.inputs):
            from_bpu = value in makers and on_bpu[makers[value].name]
            if on and not from_bpu:
                if unit.name not in float_readers:
                    add(value, unit.name, "quantize")
            elif not on and from_bpu and value not in float_outputs:
                add(value, unit.name, "dequantize")
            elif requantized and (value, unit.name) in requantized:
                add(value, unit.name, "requantize")
    for name, value in zip(graph.output_names, graph.outputs, strict=True):
        source = canonical[value]
        if source in makers and on_bpu[makers[source].name] and source not in float_outputs:
            add(source, name, "dequantize")
    return tuple(found)
