"""What of a placement follows from the graph and the march alone, kept from one edit to the next.

A wish changes how much of a fused group stays together, where units run and in which numbers; aliases, fusions and the
march's verdict on each node stay as they are. An edit of the graph leaves most nodes in the same surroundings, whose
verdicts and units are taken over. Knows no wishes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, TypeVar

from qworkbench.graph.difference import changed_nodes
from qworkbench.graph.fusion import FusedGroup, Grown, grow
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node
from qworkbench.march.table import March, Support
from qworkbench.numerics.stored import StoredScale
from qworkbench.placement.context import Context, Plain, in_context, without_context
from qworkbench.placement.declared import declared_scales
from qworkbench.placement.dtypes import without_tails
from qworkbench.placement.masks import brings_mask, masked_values
from qworkbench.placement.types import NodePlacement, Overrides, ScaleGroup, Unit
from qworkbench.placement.unit_table import UnitTable
from qworkbench.placement.units import Keep, canonical_values, group_units, is_marker, single_unit

KEPT = 8
CUTS = 32
REMEMBERED = 20_000

Found = TypeVar("Found")


class Anatomy:
    """One graph on one march.

    Parameters
    ----------
    graph : Graph
    march : March
    former : Anatomy, optional
        Of a graph that this one was made from by an edit, on the same march.
    """

    masked: dict[str, str]
    """Values that hold minus infinity, and the node that brought it in."""
    whole: UnitTable
    """The units with no group cut."""
    plain: Plain
    """What the rules say of these."""
    placed: dict[str, tuple[tuple[Any, ...], tuple[NodePlacement, ...]]]
    """What became of the nodes of each unit without wishes the last time, and what that followed from."""

    def __init__(self, graph: Graph, march: March, former: Anatomy | None = None) -> None:
        self.graph, self.march = graph, march
        self.canonical: Mapping[str, str] = MappingProxyType(canonical_values(graph))
        self.order: dict[str, int] = {name: place for place, name in enumerate(graph.nodes.names())}
        self.markers: tuple[Node, ...] = tuple(node for node in graph.nodes if is_marker(node.op))
        self._held: dict[Hashable, Any] = {}
        self._cuts: OrderedDict[frozenset[tuple[str, Keep]], Cut] = OrderedDict()
        self.scale_groups: dict[str, ScaleGroup] = {} if former is None else former.scale_groups
        self._skeletons: OrderedDict[Hashable, list[Any]] = OrderedDict()
        self._members: dict[Hashable, Any] = {} if former is None else former._members
        changed = frozenset(self.order) if former is None else self._changed(former)
        self._grown: dict[str, Grown] = grow(graph, None if former is None else former._grown, changed)
        self.groups = tuple(grown.group for grown in self._grown.values() if grown.group is not None)
        self.group_of: dict[str, FusedGroup] = {name: group for group in self.groups for name in group.members}
        self.supports, self._tokens = self._verdicts(former, changed)
        self.masked = self._masks(former, changed)
        if former is not None and former.masked != self.masked:
            former = None
        rebuilt = frozenset(self.order) if former is None else self._together(changed, former)
        gone = () if former is None else former.whole.holding(rebuilt)
        come = tuple(self._built(rebuilt))
        before = UnitTable.empty() if former is None else former.whole
        self.whole = before.exchanged(gone, come, self.order)
        self.plain = _plain(
            Context(
                graph,
                march,
                self.whole,
                self.supports,
                Overrides(),
                masked=self.masked,
                plain=Plain() if former is None else former.plain,
                gone=gone,
                come=come,
            )
        )
        new = {unit.name for unit in (*gone, *come)}
        known = {} if former is None else former.placed
        self.placed = {name: entry for name, entry in known.items() if name not in new}

    def _changed(self, former: Anatomy) -> frozenset[str]:
        """Return the nodes that have other surroundings, or other aliases, than in `former`."""
        touched = {value for value, source in self.canonical.items() if former.canonical.get(value) != source}
        return changed_nodes(former.graph, self.graph, touched)

    def _verdicts(
        self, former: Anatomy | None, changed: frozenset[str]
    ) -> tuple[dict[str, Support], dict[str, object]]:
        """Return the march's verdict on each node, and a token of each that lasts as long as nothing of it changes."""
        nodes = self.graph.nodes
        known = {} if former is None else former.supports
        supports = {name: found for name, found in known.items() if name in nodes}
        tokens = {} if former is None else {name: former._tokens[name] for name in supports}
        # what a Gemm is converted to depends on what lies before its neighbours
        asked = changed if former is None else (*changed, *(node.name for node in nodes if node.op == "Gemm"))
        for name in asked:
            if is_marker(nodes[name].op):
                continue
            found = self.march.supports(self.graph, nodes[name])
            if name in changed or found != supports.get(name):
                supports[name], tokens[name] = found, object()
        return supports, tokens

    def _together(self, changed: frozenset[str], former: Anatomy) -> frozenset[str]:
        """Return `changed`, the nodes with another verdict, and what shares a unit or a group with any, then or now."""
        found = {name for name, token in self._tokens.items() if former._tokens.get(name) is not token}
        waiting = [*changed, *found, *(name for name in former.order if name not in self.order)]
        for one, other in ((self, former), (former, self)):
            for group in one.groups:
                same = other.group_of.get(group.anchor)
                if same is not group and same != group:
                    waiting += group.members
        found = set()
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            found.add(name)
            for owner in (self.group_of.get(name), former.group_of.get(name), former.whole.by_member.get(name)):
                waiting += owner.members if owner is not None else ()
        return frozenset(found)

    def _masks(self, former: Anatomy | None, changed: frozenset[str]) -> dict[str, str]:
        """Return the values that hold minus infinity, and the node that brought it in."""
        nodes = self.graph.nodes
        if former is not None and not former.masked and not any(brings_mask(self.graph, nodes[n]) for n in changed):
            return {}
        return masked_values(self.graph, self.canonical)

    def _built(self, names: Iterable[str]) -> list[Unit]:
        """Return the units of `names`, which holds whole groups, with no group cut."""
        nodes = self.graph.nodes
        made: list[Unit] = []
        for group in {id(group): group for name in names if (group := self.group_of.get(name))}.values():
            made += group_units(self.graph, group, self.canonical, "all", self.order)
        alone = (nodes[name] for name in names if name in self.order and name not in self.group_of)
        return made + [single_unit(self.graph, node, self.canonical) for node in alone if not is_marker(node.op)]

    @cached_property
    def assumptions(self) -> tuple[tuple[str, str, str, str], ...]:
        """Every parameter of the march that is not documented in public."""
        parameters = self.march.parameters.items()
        return tuple((name, str(p.value), p.basis, p.text) for name, p in parameters if p.basis != "documented")

    @cached_property
    def declared(self) -> dict[str, StoredScale]:
        """What the quantization stubs of the model declare."""
        return declared_scales(self.graph)

    @cached_property
    def values(self) -> tuple[str, ...]:
        """The values that depend on the model's inputs, in topological order."""
        return (*self.graph.inputs, *(value for node in self.graph.nodes for value in node.outputs))

    def cut(self, keep: Mapping[str, Keep]) -> Cut:
        """Return the units where `keep` says how much of a group stays together."""
        key = frozenset(keep.items())
        found = self._cuts.pop(key, None)
        if found is None:
            groups = [(self.group_of[name], how) for name, how in keep.items()]
            gone = self.whole.holding(name for group, _ in groups for name in group.members)
            pieces = (group_units(self.graph, group, self.canonical, how, self.order) for group, how in groups)
            come = tuple(self._one(unit) for units in pieces for unit in units)
            found = Cut(self.whole.exchanged(gone, come, self.order) if come else self.whole, gone, come)
        self._cuts[key] = found
        while len(self._cuts) > CUTS:
            self._cuts.popitem(last=False)
        return found

    def skeletons(self, wishes: Hashable) -> list[Any]:
        """Return the list in which skeletons under `wishes` are kept."""
        found = self._skeletons.pop(wishes, None)
        self._skeletons[wishes] = found = [] if found is None else found
        while len(self._skeletons) > CUTS:
            self._skeletons.popitem(last=False)
        return found

    def _one(self, unit: Unit) -> Unit:
        return self.once(("unit", unit), lambda: unit)

    def once(self, key: Hashable, make: Callable[[], Found]) -> Found:
        """Return what `make()` gave for `key` the first time; `key` names everything that it reads but the anatomy."""
        return _once(self._held, key, make)

    def of_members(self, unit: Unit, key: Hashable, make: Callable[[], Found]) -> Found:
        """Do the same for what reads the members of `unit` alone, across graphs that have them unchanged."""
        return _once(self._members, (unit, *(self._tokens[name] for name in unit.members), key), make)


@dataclass(frozen=True, eq=False)
class Cut:
    """The units where some groups are cut, and which of them differ from those where none is."""

    table: UnitTable
    gone: tuple[Unit, ...]
    come: tuple[Unit, ...]


class PlacementMemo:
    """The anatomies of the last few graphs of one model."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[int, int], Anatomy] = OrderedDict()

    def anatomy(self, graph: Graph, march: March) -> Anatomy:
        """Return the anatomy of `graph` on `march`."""
        # an anatomy keeps both alive, so that no other object takes their ids
        key = (id(graph), id(march))
        found = self._held.pop(key, None)
        if found is None:
            alike = (one for one in reversed(self._held.values()) if one.march is march)
            former = next((one for one in alike if one.graph.training is graph.training), None)
            found = Anatomy(graph, march, former)
        self._held[key] = found
        while len(self._held) > KEPT:
            self._held.popitem(last=False)
        return found


def _once(held: dict[Hashable, Any], key: Hashable, make: Callable[[], Found]) -> Found:
    found: Found | None = held.get(key)
    if found is None:
        if len(held) >= REMEMBERED:
            held.clear()
        found = held[key] = make()
    return found


def _plain(context: Context) -> Plain:
    alone, waiting = without_context(context)
    decisions = in_context(context, dict(alone), waiting)
    carried = without_tails(context, decisions)
    return Plain(context.forms, alone, waiting, decisions, carried.values, carried.made, carried.weights)
