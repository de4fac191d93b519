"""What of a placement follows from the graph and the march alone, kept from one edit to the next.

A wish changes how much of a fused group stays together, where units run and in which numbers; aliases, fusions and the
march's verdict on each node stay as they are. An edit of the graph leaves most nodes in the same surroundings, whose
verdicts are taken over. Knows no wishes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from functools import cached_property
from typing import Any, TypeVar

from qworkbench.graph.fusion import FusedGroup, find_fusions
from qworkbench.graph.ir import Graph, Node
from qworkbench.march.table import March, Support
from qworkbench.numerics.stored import StoredScale
from qworkbench.placement.declared import declared_scales
from qworkbench.placement.masks import masked_values
from qworkbench.placement.types import Unit
from qworkbench.placement.units import Keep, build_units, canonical_values, is_marker

KEPT = 8
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

    def __init__(self, graph: Graph, march: March, former: Anatomy | None = None) -> None:
        self.graph, self.march = graph, march
        self.canonical: dict[str, str] = canonical_values(graph)
        self.groups: tuple[FusedGroup, ...] = find_fusions(graph)
        self.markers: tuple[Node, ...] = tuple(node for node in graph.nodes if is_marker(node.op))
        self._surroundings = {node.name: _surroundings(graph, node) for node in graph.nodes if not is_marker(node.op)}
        self.supports: dict[str, Support] = {}
        self._tokens: dict[str, object] = {}
        for name, around in self._surroundings.items():
            node = graph.nodes[name]
            same = former is not None and former._surroundings.get(name) == around
            known = former.supports[name] if former is not None and same else None
            # what a Gemm is converted to depends on what lies before its neighbours
            found = known if known is not None and node.op != "Gemm" else march.supports(graph, node)
            kept = known is not None and (found is known or found == known)
            self.supports[name] = found
            self._tokens[name] = former._tokens[name] if kept and former is not None else object()
        self._units: dict[frozenset[tuple[str, Keep]], tuple[Unit, ...]] = {}
        self._held: dict[Hashable, Any] = {}
        self._members: dict[Hashable, Any] = {} if former is None else former._members

    @cached_property
    def masked(self) -> dict[str, str]:
        """Values that hold minus infinity, and the node that brought it in."""
        return masked_values(self.graph, self.canonical)

    @cached_property
    def assumptions(self) -> tuple[tuple[str, str, str, str], ...]:
        """Every parameter of the march that is not documented in public."""
        parameters = self.march.parameters.items()
        return tuple((name, str(p.value), p.basis, p.text) for name, p in parameters if p.basis != "documented")

    @cached_property
    def declared(self) -> dict[str, StoredScale]:
        """What the quantization stubs of the model declare."""
        return declared_scales(self.graph)

    def units(self, keep: Mapping[str, Keep]) -> tuple[Unit, ...]:
        """Return the units where `keep` says how much of a group stays together; equal units are the same object."""
        key = frozenset(keep.items())
        found = self._units.get(key)
        if found is None:
            made = build_units(self.graph, self.groups, self.canonical, keep)
            found = tuple(self._one(unit) for unit in made)
            self._units[key] = found
        return found

    def _one(self, unit: Unit) -> Unit:
        return self.once(("unit", unit), lambda: unit)

    def once(self, key: Hashable, make: Callable[[], Found]) -> Found:
        """Return what `make()` gave for `key` the first time; `key` names everything that it reads but the anatomy."""
        return _once(self._held, key, make)

    def of_members(self, unit: Unit, key: Hashable, make: Callable[[], Found]) -> Found:
        """Do the same for what reads the members of `unit` alone, across graphs that have them unchanged."""
        return _once(self._members, (unit, *(self._tokens[name] for name in unit.members), key), make)


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
            former = next((one for one in reversed(self._held.values()) if one.march is march), None)
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


def _surroundings(graph: Graph, node: Node) -> tuple[object, ...]:
    """Return what a node's facts are read from: itself, its tensors, who makes and who reads them."""
    tensors = [value for value in (*node.inputs, *node.outputs) if value is not None]
    return (
        node,
        *(graph.values[value] for value in tensors),
        *(graph.producer(value) for value in node.inputs),
        *(graph.users(value) for value in tensors),
        *(value in graph.outputs for value in tensors),
    )
