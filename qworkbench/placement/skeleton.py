"""What of a placement no scale moves: units, where they run and why, dtypes, subgraphs.

Fixing a scale, the most frequent edit of all, then costs the scale groups alone. Whether a unit has a fixed scale at
all does move things at the tail; which units were asked for that is remembered, and asked again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from qworkbench.graph.fusion import FusedGroup
from qworkbench.placement.anatomy import Anatomy, Cut
from qworkbench.placement.context import Context, Decision, decide
from qworkbench.placement.dtypes import Dtypes, resolve_dtypes
from qworkbench.placement.markers import marker_reason
from qworkbench.placement.reasons import fused_reason, reason_for
from qworkbench.placement.regions import boundaries, subgraph_ids
from qworkbench.placement.scale_groups import Drafts, drafts_of
from qworkbench.placement.tail import tail_cuts, tail_units
from qworkbench.placement.types import Boundary, NodePlacement, Overrides, Unit
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
        In the order of the graph; markers as if none of them declared a scale.
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
    _crossed: dict[tuple[tuple[str, str], ...], tuple[Boundary, ...]] = field(default_factory=dict, repr=False)

    def boundaries(
        self, requantized: Mapping[tuple[str, str], int], canonical: Mapping[str, str]
    ) -> tuple[Boundary, ...]:
        """Return the edges where numbers change form; the same ones as long as the same edges are `requantized`."""
        key = tuple(requantized)
        found = self._crossed.get(key)
        if found is None:
            graph, table = self.context.graph, self.context.table
            if len(self._crossed) >= KEPT:
                self._crossed.clear()
            found = self._crossed[key] = boundaries(
                graph, table, self.on_bpu, requantized, canonical, self.floats, self.float_readers
            )
        return found

    def holds(self, context: Context) -> bool:
        """Tell whether the fixed scales of `context` leave it as it is."""
        return all(context.pinned(unit) == answer for unit, answer in self.context.asked.items())

    def under(self, overrides: Overrides) -> Context:
        """Return the context with the scales of `overrides`, which differ from its own in nothing else."""
        context = replace(self.context, overrides=overrides, asked={})
        vars(context).update({name: vars(self.context)[name] for name in ("forms", "wished", "touched")})
        return context


def skeleton_of(anatomy: Anatomy, overrides: Overrides) -> tuple[Skeleton, Context]:
    """Return the skeleton and the context under `overrides`, a skeleton made before where only scales differ."""
    wishes = (tuple(sorted(overrides.on.items())), tuple(sorted(overrides.dtypes.items(), key=lambda item: item[0])))
    known: list[Skeleton] = anatomy.skeletons(wishes)
    for skeleton in known:
        context = skeleton.under(overrides)
        if skeleton.holds(context):
            return skeleton, context
    made = _assembled(*_settled(anatomy, overrides), anatomy)
    known[:] = [made, *known[: KEPT - 1]]
    return made, made.under(overrides)


def _settled(anatomy: Anatomy, overrides: Overrides) -> tuple[Context, dict[str, Decision]]:
    """Apply the rules until the tail settles."""
    keep = _user_cuts(anatomy.group_of, overrides)
    loose = frozenset(add for name, how in keep.items() if how == "none" and (add := anatomy.group_of[name].add))
    on_cpu: frozenset[str] = frozenset()
    asked: dict[Unit, bool] = {}
    while True:
        cut = anatomy.cut(keep)
        broken = _broken(anatomy, cut)
        if broken:
            keep = {**keep, **broken}
            continue
        context = Context(
            anatomy.graph,
            anatomy.march,
            cut.table,
            anatomy.supports,
            overrides,
            on_cpu,
            loose,
            anatomy.masked,
            asked,
            anatomy.plain,
            cut.gone,
            cut.come,
        )
        decisions = decide(context)
        cuts, to_cpu = tail_cuts(context, decisions)
        if not cuts and to_cpu <= on_cpu:
            return context, decisions
        keep, on_cpu = {**keep, **cuts}, on_cpu | to_cpu


def _user_cuts(group_of: Mapping[str, FusedGroup], overrides: Overrides) -> dict[str, Keep]:
    """Take groups apart at the members that the user sends to the CPU."""
    sent = {name for name, on in overrides.on.items() if on == "cpu"}
    cuts: dict[str, Keep] = {}
    for group in (group_of[name] for name in sent if name in group_of):
        if group.anchor in sent or group.bn in sent:
            cuts[group.name] = "none"
        elif group.add in sent:
            cuts[group.name] = "anchor"
        elif group.activation in sent:
            cuts[group.name] = "without_activation"
    return cuts


def _broken(anatomy: Anatomy, cut: Cut) -> dict[str, Keep]:
    """Cut members that the march refuses off their group, so that the rest can still run on the BPU."""
    whole = anatomy.once("broken", lambda: _broken_cuts(anatomy, anatomy.whole.units))
    left = {unit.name for unit in cut.gone}
    return {**{name: how for name, how in whole.items() if name not in left}, **_broken_cuts(anatomy, cut.come)}


def _broken_cuts(anatomy: Anatomy, units: tuple[Unit, ...]) -> dict[str, Keep]:
    supports, trained = anatomy.supports, anatomy.graph.training.integer
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
    table, forms = context.table, context.forms
    on_bpu = {name: decision.on == "BPU" for name, decision in decisions.items()}
    tails = tail_units(context, decisions)
    for unit in table.in_order(context.wished.values()):
        if decisions[unit.name].code == "requested_tail" and unit.name not in tails:
            decisions[unit.name] = replace(decisions[unit.name], code="active")
    dtypes = resolve_dtypes(context, decisions, tails, anatomy.canonical)
    ids = subgraph_ids(table, on_bpu)
    special = {*context.wished, *context.loose, *dtypes.notes}
    made, values, weights, placed = dtypes.made, dtypes.values, dtypes.weights, anatomy.placed
    nodes: dict[str, NodePlacement] = {}
    heard: Heard
    for unit in table.units:
        name = unit.name
        decision = decisions[name]
        if on_bpu[name]:
            reads = "float16" if forms[name] == "float16" else values[unit.inputs[0]]
            heard = (unit, decision, made[unit.outputs[0]], reads, weights.get(name, ""), ids[name], table.behind(unit))
        else:
            heard = (unit, decision, "float32", "float32", "", None, table.behind(unit))
        known = None if name in special else placed.get(name)
        if known is not None and known[0] == heard:
            found = known[1]
        else:
            found = _place_members(context, heard, tuple(dtypes.notes.get(name, ())), anatomy)
            if name not in special:
                placed[name] = heard, found
        for node in found:
            nodes[node.name] = node
    for marker in anatomy.markers:
        name, notes = marker.name, tuple(dtypes.notes.get(marker.name, ()))
        nodes[name] = NodePlacement(name, "NONE", marker_reason(marker), "none", name, notes=notes)
    return Skeleton(
        context=context,
        dtypes=dtypes,
        nodes=MappingProxyType({name: nodes[name] for name in anatomy.order}),
        on_bpu=on_bpu,
        floats=frozenset(v for v, dtype in made.items() if dtype in ("int64", "float16", "float32")),
        float_readers=frozenset(name for name, form in forms.items() if form == "float16"),
        subgraphs=len(set(ids.values())),
        drafts=drafts_of(context, decisions, values, anatomy.canonical, anatomy.values, anatomy.scale_groups),
    )


Heard = tuple[Unit, Decision, str, str, str, int | None, tuple[Unit, ...]]


def _place_members(
    context: Context, heard: Heard, notes: tuple[str, ...], anatomy: Anatomy
) -> tuple[NodePlacement, ...]:
    """Place the nodes of a unit; `heard`: itself, the decision, dtypes out, in and of weights, subgraph and readers."""
    unit, decision, dtype, input_dtype, weight_dtype, subgraph, readers = heard

    def make() -> tuple[NodePlacement, ...]:
        tail = dtype if decision.on == "BPU" and dtype in ("int32", "float32") else ""
        whole = reason_for(context, unit, decision, tail=tail)
        return tuple(
            NodePlacement(
                name=name,
                on=decision.on,
                reason=whole if name == unit.anchor else fused_reason(unit, context.graph.nodes[name], whole),
                quant_class=context.supports[name].row.quant_class,
                unit=unit.name,
                subgraph=None,
                dtype=dtype,
                input_dtype=input_dtype,
                weight_dtype=weight_dtype if name == unit.anchor else "",
                notes=notes,
            )
            for name in unit.members
        )

    # what a reason speaks of: the wishes of the members, and who reads the unit
    wishes = tuple(context.overrides.on.get(name) for name in (unit.name, *unit.members))
    said = (decision, wishes, context.request(unit), unit.name in context.loose, readers)
    made = anatomy.of_members(unit, (said, dtype, input_dtype, weight_dtype, notes), make)
    return made if subgraph is None else tuple(_in_subgraph(node, subgraph) for node in made)


def _in_subgraph(node: NodePlacement, subgraph: int) -> NodePlacement:
    return NodePlacement(
        node.name,
        node.on,
        node.reason,
        node.quant_class,
        node.unit,
        subgraph,
        node.dtype,
        node.input_dtype,
        node.weight_dtype,
        node.notes,
    )
