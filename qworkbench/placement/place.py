"""Where each op runs and why: the pure function from a graph, a march and the user's wishes to a placement.

Applies the rules of the sibling modules until the tail settles. Knows neither data nor scales' values: thresholds are
named, not computed, so a placement needs no calibration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from qworkbench.errors import unknown_name
from qworkbench.graph.fusion import FusedGroup
from qworkbench.graph.ir import Graph
from qworkbench.march.table import March, Support
from qworkbench.placement.anatomy import Anatomy, PlacementMemo
from qworkbench.placement.context import Context, Decision, decide
from qworkbench.placement.declared import still_declared
from qworkbench.placement.dtypes import Dtypes, resolve_dtypes
from qworkbench.placement.markers import marker_reason
from qworkbench.placement.reasons import fused_reason, reason_for
from qworkbench.placement.regions import boundaries, subgraph_ids
from qworkbench.placement.scale_groups import ScaleGroups, scale_groups
from qworkbench.placement.tail import tail_cuts, tail_units
from qworkbench.placement.types import NodePlacement, Overrides, Placement, Unit
from qworkbench.placement.units import Keep


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
    groups, supports = anatomy.groups, anatomy.supports
    keep = _user_cuts(groups, overrides)
    loose = frozenset(group.add for group in groups if group.add and keep.get(group.name) == "none")
    on_cpu: frozenset[str] = frozenset()
    while True:
        units = anatomy.units(keep)
        broken = _broken_cuts(units, supports, graph.training.integer)
        if broken:
            keep = {**keep, **broken}
            continue
        context = Context(graph, march, units, supports, overrides, on_cpu, loose, anatomy.masked)
        decisions = decide(context)
        cuts, to_cpu = tail_cuts(context, decisions)
        if not cuts and to_cpu <= on_cpu:
            break
        keep, on_cpu = {**keep, **cuts}, on_cpu | to_cpu
    return _assemble(context, decisions, anatomy)


def _check_names(graph: Graph, overrides: Overrides) -> None:
    for name in (*overrides.on, *overrides.dtypes):
        if name not in graph.nodes:
            raise unknown_name("node", name, graph.nodes.names())
    for name in overrides.scales:
        if name not in graph.nodes and name not in graph.inputs:
            raise unknown_name("node", name, (*graph.inputs, *graph.nodes.names()))


def _user_cuts(groups: tuple[FusedGroup, ...], overrides: Overrides) -> dict[str, Keep]:
    """Take groups apart at the members that the user sends to the CPU."""
    cuts: dict[str, Keep] = {}
    for group in groups:
        if any(overrides.on.get(name) == "cpu" for name in (group.anchor, group.bn) if name):
            cuts[group.name] = "none"
        elif group.add and overrides.on.get(group.add) == "cpu":
            cuts[group.name] = "anchor"
        elif group.activation and overrides.on.get(group.activation) == "cpu":
            cuts[group.name] = "without_activation"
    return cuts


def _broken_cuts(units: tuple[Unit, ...], supports: Mapping[str, Support], trained: frozenset[str]) -> dict[str, Keep]:
    """Cut members that the march refuses off their group, so that the rest can still run on the BPU."""
    cuts: dict[str, Keep] = {}
    for unit in units:
        if unit.anchor in trained:
            continue
        if unit.add is not None and not supports[unit.add].ok:
            cuts[unit.name] = "anchor"
        elif unit.activation is not None and not supports[unit.activation].ok:
            cuts[unit.name] = "without_activation"
    return cuts


def _assemble(context: Context, decisions: dict[str, Decision], anatomy: Anatomy) -> Placement:
    graph, units, canonical = context.graph, context.units, anatomy.canonical
    on_bpu = {unit.name: decisions[unit.name].on == "BPU" for unit in units}
    tails = tail_units(context, decisions)
    dtypes = resolve_dtypes(context, decisions, tails, canonical)
    scales = scale_groups(context, decisions, dtypes.values, canonical)
    ids = subgraph_ids(units, on_bpu)
    nodes: dict[str, NodePlacement] = {}
    for unit in units:
        decision = decisions[unit.name]
        if decision.code == "requested_tail" and unit.name not in tails:
            decision = replace(decision, code="active")
        for placed in _place_members(context, unit, decision, dtypes, ids.get(unit.name), anatomy):
            nodes[placed.name] = placed
    if anatomy.markers:
        _place_markers(context, dtypes, scales, anatomy, nodes)
    floats = frozenset(v for v, dtype in dtypes.made.items() if dtype in ("int64", "float16", "float32"))
    float_readers = frozenset(unit.name for unit in units if not context.reads_codes(unit))
    return Placement(
        march=context.march.name,
        nodes={name: nodes[name] for name in graph.nodes.names()},
        units=units,
        groups=scales.groups,
        group_of=scales.group_of,
        requantized=scales.requantized,
        canonical=canonical,
        boundaries=boundaries(graph, units, on_bpu, scales.requantized, canonical, floats, float_readers),
        subgraphs=len(set(ids.values())),
        assumptions=tuple(
            (name, str(p.value), p.basis, p.text)
            for name, p in context.march.parameters.items()
            if p.basis != "documented"
        ),
    )


def _place_members(
    context: Context, unit: Unit, decision: Decision, dtypes: Dtypes, subgraph: int | None, anatomy: Anatomy
) -> tuple[NodePlacement, ...]:
    on_bpu = decision.on == "BPU"
    dtype = dtypes.made[unit.outputs[0]] if on_bpu else "float32"
    reads = "float16" if on_bpu and not context.reads_codes(unit) else ""
    input_dtype = reads or (dtypes.values[unit.inputs[0]] if on_bpu else "float32")
    weight_dtype = dtypes.weights.get(unit.name, "")
    notes = tuple(dtypes.notes.get(unit.name, ()))

    def make() -> tuple[NodePlacement, ...]:
        tail = dtype if on_bpu and dtype in ("int32", "float32") else ""
        whole = reason_for(context, unit, decision, tail=tail)
        return tuple(
            NodePlacement(
                name=name,
                on=decision.on,
                reason=whole if name == unit.anchor else fused_reason(unit, context.graph.nodes[name], whole),
                quant_class=context.supports[name].row.quant_class,
                unit=unit.name,
                subgraph=subgraph,
                dtype=dtype,
                input_dtype=input_dtype,
                weight_dtype=weight_dtype if name == unit.anchor else "",
                notes=notes,
            )
            for name in unit.members
        )

    # what a reason speaks of: the wishes of the members, and who reads the unit
    wishes = tuple(context.overrides.on.get(name) for name in (unit.name, *unit.members))
    readers = tuple(reader for value in unit.outputs for reader in context.consumers.get(value, ()))
    heard = (decision, wishes, context.request(unit), unit.name in context.loose, readers)
    key = ("members", unit, heard, dtype, input_dtype, weight_dtype, subgraph, notes)
    return anatomy.once(key, make)


def _place_markers(
    context: Context, dtypes: Dtypes, scales: ScaleGroups, anatomy: Anatomy, nodes: dict[str, NodePlacement]
) -> None:
    """Add what is removed at inference, and the quantization stubs, to `nodes`."""
    graph, canonical = context.graph, anatomy.canonical
    declared = still_declared(graph, context.overrides.scales)
    inside = {v: u.name for u in context.units for m in u.members if m != u.tail for v in graph.nodes[m].outputs}
    for node in anatomy.markers:
        index = scales.group_of.get(canonical[node.output])
        group = None if index is None else scales.groups[index]
        around = inside.get(canonical[node.output])
        reason = marker_reason(node, declared.get(node.name), group, around)
        notes = tuple(dtypes.notes.get(node.name, ()))
        nodes[node.name] = NodePlacement(node.name, "NONE", reason, "none", node.name, notes=notes)
