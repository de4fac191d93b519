"""What of a placement no scale moves: units, where they run and why, dtypes, subgraphs.

Fixing a scale, the most frequent edit of all, then costs the scale groups alone. Whether a unit has a fixed scale at
all does move things at the tail; which units were asked for that is remembered, and asked again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from qworkbench.graph.fusion import FusedGroup
from qworkbench.march.table import Support
from qworkbench.placement.anatomy import Anatomy
from qworkbench.placement.context import Context, Decision, decide
from qworkbench.placement.dtypes import Dtypes, resolve_dtypes
from qworkbench.placement.reasons import fused_reason, reason_for
from qworkbench.placement.regions import subgraph_ids
from qworkbench.placement.scale_groups import Drafts, drafts_of
from qworkbench.placement.tail import tail_cuts, tail_units
from qworkbench.placement.types import NodePlacement, Overrides, Unit
from qworkbench.placement.units import Keep

KEPT = 4


@dataclass(frozen=True, eq=False)
class Skeleton:
    """A placement without its scale groups.

    Attributes
    ----------
    context : Context
    dtypes : Dtypes
    nodes : Mapping of node name to NodePlacement
        All but the markers.
    on_bpu : Mapping of unit name to bool
    floats, float_readers : frozenset of str
        BPU values that are no codes, and units that take none.
    subgraphs : int
    drafts : Drafts
        Of the scale groups.
    """

    context: Context
    dtypes: Dtypes
    nodes: Mapping[str, NodePlacement]
    on_bpu: Mapping[str, bool]
    floats: frozenset[str]
    float_readers: frozenset[str]
    subgraphs: int
    drafts: Drafts

    def holds(self, context: Context) -> bool:
        """Tell whether the fixed scales of `context` leave it as it is."""
        return all(context.pinned(unit) == answer for unit, answer in self.context.asked.items())

    def under(self, overrides: Overrides) -> Context:
        """Return the context with the scales of `overrides`, which differ from its own in nothing else."""
        context = replace(self.context, overrides=overrides, asked={})
        vars(context).update(forms=self.context.forms, consumers=self.context.consumers)
        return context


def skeleton_of(anatomy: Anatomy, overrides: Overrides) -> Skeleton:
    """Return the skeleton under `overrides`, one that was made before where only values of scales differ."""
    wishes = (tuple(sorted(overrides.on.items())), tuple(sorted(overrides.dtypes.items(), key=lambda item: item[0])))
    known: list[Skeleton] = anatomy.once(("skeletons", wishes), list)
    for skeleton in known:
        if skeleton.holds(skeleton.under(overrides)):
            return skeleton
    made = _assembled(*_settled(anatomy, overrides), anatomy)
    known[:] = [made, *known[: KEPT - 1]]
    return made


def _settled(anatomy: Anatomy, overrides: Overrides) -> tuple[Context, dict[str, Decision]]:
    """Apply the rules until the tail settles."""
    graph, march, groups, supports = anatomy.graph, anatomy.march, anatomy.groups, anatomy.supports
    keep = _user_cuts(groups, overrides)
    loose = frozenset(group.add for group in groups if group.add and keep.get(group.name) == "none")
    on_cpu: frozenset[str] = frozenset()
    asked: dict[Unit, bool] = {}
    while True:
        units = anatomy.units(keep)
        broken = _broken_cuts(units, supports, graph.training.integer)
        if broken:
            keep = {**keep, **broken}
            continue
        context = Context(graph, march, units, supports, overrides, on_cpu, loose, anatomy.masked, asked)
        decisions = decide(context)
        cuts, to_cpu = tail_cuts(context, decisions)
        if not cuts and to_cpu <= on_cpu:
            return context, decisions
        keep, on_cpu = {**keep, **cuts}, on_cpu | to_cpu


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


def _assembled(context: Context, decisions: dict[str, Decision], anatomy: Anatomy) -> Skeleton:
    units = context.units
    on_bpu = {unit.name: decisions[unit.name].on == "BPU" for unit in units}
    tails = tail_units(context, decisions)
    dtypes = resolve_dtypes(context, decisions, tails, anatomy.canonical)
    ids = subgraph_ids(units, on_bpu)
    nodes: dict[str, NodePlacement] = {}
    for unit in units:
        decision = decisions[unit.name]
        if decision.code == "requested_tail" and unit.name not in tails:
            decision = replace(decision, code="active")
        for placed in _place_members(context, unit, decision, dtypes, ids.get(unit.name), anatomy):
            nodes[placed.name] = placed
    order = [node.name for node in context.graph.nodes if node.name in nodes]
    return Skeleton(
        context=context,
        dtypes=dtypes,
        nodes={name: nodes[name] for name in order},
        on_bpu=on_bpu,
        floats=frozenset(v for v, dtype in dtypes.made.items() if dtype in ("int64", "float16", "float32")),
        float_readers=frozenset(unit.name for unit in units if not context.reads_codes(unit)),
        subgraphs=len(set(ids.values())),
        drafts=drafts_of(context, decisions, dtypes.values, anatomy.canonical),
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
    return anatomy.of_members(unit, (heard, dtype, input_dtype, weight_dtype, subgraph, notes), make)
