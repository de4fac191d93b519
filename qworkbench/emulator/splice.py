"""Which units of a plan are surrounded as in the plan before it, so that their steps are taken over unseen.

What a unit becomes follows from its nodes, its placement, the scales around it, and the forms in which earlier units
left the tensors that it reads or makes. A unit is doubtful where any of that may differ; only then is it asked for in
full. Units that follow each other in both plans, none of them doubtful, are taken over as one run. Knows no operator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, compress, count
from operator import is_not
from typing import TYPE_CHECKING, Any

from qworkbench.graph.difference import changed_nodes
from qworkbench.placement.types import NodePlacement, Placement, Unit

if TYPE_CHECKING:
    from collections.abc import Hashable

    from qworkbench.emulator.memo import Lowered
    from qworkbench.emulator.plan import Quantity, Step
    from qworkbench.graph.ir import Graph


@dataclass(eq=False)
class Spliced:
    """What a plan was made of, for the one after it; lists have one entry per unit, in order.

    Attributes
    ----------
    graph : Graph
    placement : Placement
    arithmetic : object
        Stands for the arithmetic.
    groups : sequence of Quantity
        Of each scale group.
    requantized : Mapping of (value, unit name) to Quantity
    units, placed, lowered : list of Unit, NodePlacement, Lowered
        Each unit, the placement of its anchor, and what it became.
    steps : list of Step
    tables : sequence of Mapping
        The builder's.
    results : Mapping of str to str
        Node -> key; one entry per unit, in order, then others.
    start : list of int
        How many steps, and entries of each table, there were before the first unit.
    grown : list of tuple of int
        How many of them each unit added.
    """

    graph: Graph
    placement: Placement
    arithmetic: Hashable
    groups: Sequence[Quantity]
    requantized: Mapping[tuple[str, str], Quantity]
    units: list[Unit] = field(default_factory=list)
    placed: list[NodePlacement] = field(default_factory=list)
    lowered: list[Lowered] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    tables: Sequence[Mapping[str, Any]] = ()
    results: Mapping[str, str] = field(default_factory=dict)
    start: list[int] = field(default_factory=list)
    grown: list[tuple[int, ...]] = field(default_factory=list)

    def sizes(self, place: int) -> list[int]:
        """Return how many steps, and entries of each table, there were before the unit at `place`."""
        return [sum(column) for column in zip(self.start, *self.grown[:place], strict=True)]

    @cached_property
    def where(self) -> dict[str, int]:
        """The position of each unit by its name."""
        return {unit.name: place for place, unit in enumerate(self.units)}

    @cached_property
    def quantities(self) -> dict[str, Quantity]:
        """The quantity of each canonical value that has a scale group."""
        return {value: self.groups[index] for value, index in self.placement.group_of.items()}

    @cached_property
    def unplaced(self) -> tuple[tuple[str, str], ...]:
        """The nodes that run nowhere, each with the canonical value that it hands on."""
        nodes, canonical = self.graph.nodes, self.placement.canonical
        gone = (name for name, placed in self.placement.nodes.items() if placed.on == "NONE")
        return tuple((name, canonical[nodes[name].output]) for name in gone)


class Splice:
    """The comparison of one plan with the one before it, unit by unit in order.

    Parameters
    ----------
    former : Spliced, optional
    graph, placement
        What is lowered now.
    arithmetic : object
    groups : sequence of Quantity
        Of each scale group.
    threshold : callable
        Of inner tensors.
    """

    def __init__(
        self,
        former: Spliced | None,
        graph: Graph,
        placement: Placement,
        arithmetic: Hashable,
        groups: Sequence[Quantity],
        threshold: Callable[[str], float],
    ) -> None:
        requantized = {place: groups[index] for place, index in placement.requantized.items()}
        self.now = Spliced(graph, placement, arithmetic, groups, requantized)
        self._nodes, self._units, self._threshold = placement.nodes, placement.units, threshold
        same = former is not None and former.arithmetic is arithmetic and former.graph.training is graph.training
        same = same and former is not None and former.graph.batch == graph.batch
        self.former = former if same else None
        self._moved: set[str] = set()
        self._doubtful: set[str] = set()
        self._next = 0
        if self.former is not None:
            self._compare(self.former)

    def _compare(self, former: Spliced) -> None:
        """Find the units with other nodes or another rescale, and the values with another scale."""
        now, before = self.now, former.placement
        if before.group_of is now.placement.group_of:
            for index in compress(count(), map(is_not, former.groups, now.groups)):
                self._moved.update(now.placement.groups[index].values)
        else:
            for old, new in ((former.quantities, now.quantities), (now.quantities, former.quantities)):
                self._moved.update(value for value, quantity in new.items() if old.get(value) is not quantity)
        if former.requantized or now.requantized:
            places = former.requantized.keys() | now.requantized.keys()
            self._doubtful |= {p[1] for p in places if former.requantized.get(p) is not now.requantized.get(p)}
        if former.graph is not now.graph:
            known = before.canonical
            aliases = {v for v, source in now.placement.canonical.items() if known.get(v) != source}
            changed = changed_nodes(former.graph, now.graph, aliases)
            self._doubtful |= {unit.name for unit in self._units if not changed.isdisjoint(unit.members)}
        if before.units is not self._units:
            first = next(compress(count(), map(is_not, former.units, self._units)), 0)
            last = next(compress(count(), map(is_not, reversed(former.units), reversed(self._units))), 0)
            left = {unit.name for unit in self._units[first : len(self._units) - last]}
            gone = (unit for unit in former.units[first : len(former.units) - last] if unit.name not in left)
            self._moved.update(chain.from_iterable((*unit.inputs, *unit.outputs) for unit in gone))

    def run(self, place: int) -> tuple[int, int]:
        """Return where in the plan before the run of undoubted units begins that begins at `place`, and how long it is.

        The run counts as taken over.
        """
        former, units = self.former, self._units
        if former is None:
            return 0, 0
        begin, old = self._next, former.units
        if begin >= len(old) or old[begin] is not units[place]:
            begin = former.where.get(units[place].name, len(old))
        moved, doubtful, nodes = self._moved, self._doubtful, self._nodes
        same, placed, lowered = nodes is former.placement.nodes, former.placed, former.lowered
        length, most = 0, min(len(units) - place, len(old) - begin)
        while length < most:
            unit, at = units[place + length], begin + length
            if (
                unit is not old[at]
                or not (same or nodes[unit.anchor] is placed[at])
                or unit.name in doubtful
                or not moved.isdisjoint(unit.inputs)
                or not moved.isdisjoint(unit.outputs)
                or not lowered[at].holds(self._threshold)
            ):
                break
            length += 1
        part, now = slice(begin, begin + length), self.now
        now.units += old[part]
        now.placed += placed[part]
        now.lowered += lowered[part]
        now.grown += former.grown[part]
        self._next = begin + length
        return begin, length

    def known(self, unit: Unit) -> Lowered | None:
        """Return what `unit` became in the plan before; None where its surroundings may differ."""
        former = self.former
        at = None if former is None else former.where.get(unit.name)
        if former is None or at is None:
            return None
        self._next = at + 1
        was, lowered, placed = former.placed[at], former.lowered[at], self._nodes[unit.anchor]
        if (
            former.units[at] != unit
            or (was is not placed and _placed(was) != _placed(placed))
            or unit.name in self._doubtful
            or not self._moved.isdisjoint(unit.inputs)
            or not self._moved.isdisjoint(unit.outputs)
            or not lowered.holds(self._threshold)
        ):
            return None
        self._note(unit, lowered)
        return lowered

    def lowered(self, unit: Unit, lowered: Lowered) -> None:
        """Note what `unit` became; what it reads and makes is there in other forms now, unless it is what it was."""
        former = self.former
        at = None if former is None else former.where.get(unit.name)
        if former is None or at is None:
            self._moved.update(unit.inputs, unit.outputs)
        elif former.lowered[at] is not lowered:
            self._moved.update(unit.inputs, unit.outputs, former.units[at].inputs, former.units[at].outputs)
        self._note(unit, lowered)

    def _note(self, unit: Unit, lowered: Lowered) -> None:
        now = self.now
        now.units.append(unit)
        now.placed.append(self._nodes[unit.anchor])
        now.lowered.append(lowered)


def _placed(node: NodePlacement) -> tuple[str, str, str, str]:
    return node.on, node.dtype, node.input_dtype, node.weight_dtype
