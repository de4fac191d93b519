"""Where each op runs and why: the pure function from a graph, a march and the user's wishes to a placement.

Applies the rules of the sibling modules until the tail settles. Knows neither data nor scales' values: thresholds are
named, not computed, so a placement needs no calibration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from qworkbench.errors import unknown_name
from qworkbench.graph.ir import Graph
from qworkbench.march.table import March
from qworkbench.numerics.stored import StoredScale
from qworkbench.placement.anatomy import Anatomy, PlacementMemo
from qworkbench.placement.context import Context
from qworkbench.placement.declared import still_declared
from qworkbench.placement.markers import marker_reason
from qworkbench.placement.scale_groups import ScaleGroups, scale_groups
from qworkbench.placement.skeleton import Skeleton, skeleton_of
from qworkbench.placement.types import NodePlacement, Overrides, Placement


def place(
    graph: Graph, march: March, overrides: Overrides | None = None, memo: PlacementMemo | None = None
) -> Placement:
    """Decide where every node of `graph` runs on `march`.

    Parameters
    ----------
    graph : Graph
        Captured model, edits such as unit convs included.
    march : March
    overrides : Overrides, optional
        run_on_bpu / run_on_cpu, dtypes and fixed scales by node name.
    memo : PlacementMemo, optional
        Kept between placements of one model, so that an edit pays for what it changes.

    Returns
    -------
    Placement
        A refused wish is a reason (and a note), not an error.

    Raises
    ------
    UnknownNameError
        When `overrides` names a node that the graph does not have.
    EditError
        When two fixed scales meet in one scale group.
    """
    overrides = overrides or Overrides()
    _check_names(graph, overrides)
    anatomy = (memo or PlacementMemo()).anatomy(graph, march)
    skeleton, context = skeleton_of(anatomy, overrides)
    canonical = anatomy.canonical
    declared = still_declared(anatomy.declared, overrides.scales) if anatomy.declared else {}
    scales = scale_groups(context, skeleton.drafts, canonical, declared)
    nodes = skeleton.nodes
    if declared:
        nodes = {**nodes, **dict(_declaring(context, skeleton, scales, anatomy, declared))}
    return Placement(
        march=march.name,
        nodes=nodes,
        units=context.units,
        groups=scales.groups,
        group_of=scales.group_of,
        requantized=scales.requantized,
        canonical=canonical,
        boundaries=skeleton.boundaries(scales.requantized, canonical),
        subgraphs=skeleton.subgraphs,
        assumptions=anatomy.assumptions,
    )


def _check_names(graph: Graph, overrides: Overrides) -> None:
    for name in (*overrides.on, *overrides.dtypes):
        if name not in graph.nodes:
            raise unknown_name("node", name, graph.nodes.names())
    for name in overrides.scales:
        if name not in graph.nodes and name not in graph.inputs:
            raise unknown_name("node", name, (*graph.inputs, *graph.nodes.names()))


def _declaring(
    context: Context, skeleton: Skeleton, scales: ScaleGroups, anatomy: Anatomy, declared: Mapping[str, StoredScale]
) -> Iterator[tuple[str, NodePlacement]]:
    """Yield the stubs whose `declared` scale is in force, by name."""
    graph, canonical = context.graph, anatomy.canonical
    inside = {v: u.name for u in context.units for m in u.members if m != u.tail for v in graph.nodes[m].outputs}
    for node in anatomy.markers:
        if node.name in declared:
            index = scales.group_of.get(canonical[node.output])
            group = None if index is None else scales.groups[index]
            reason = marker_reason(node, declared[node.name], group, inside.get(canonical[node.output]))
            yield node.name, replace(skeleton.nodes[node.name], reason=reason)
