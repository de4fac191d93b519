"""Which units of a plan are surrounded as in the plan before it, so that their steps are taken over unseen.

What a unit becomes follows from its nodes, its placement, the scales around it, and the forms in which earlier units
left the tensors that it reads or makes. A unit is doubtful where any of that may differ; only then is it asked for in
full. Knows no operator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from qworkbench.graph.difference import changed_nodes
from qworkbench.placement.types import NodePlacement, Placement, Unit

if TYPE_CHECKING:
    from collections.abc import Hashable

    from qworkbench.emulator.memo import Lowered
    from qworkbench.emulator.plan import Quantity
    from qworkbench.graph.ir import Graph


@dataclass(frozen=True, eq=False)
class Spliced:
    """What a plan was made of, for the one after it.

    Attributes
    ----------
    graph : Graph
    canonical : Mapping of str to str
        Of the placement.
    arithmetic : object
        Stands for the arithmetic.
    quantities : Mapping of canonical value to Quantity
        By scale group.
    requantized : Mapping of (value, unit name) to Quantity
    units : dict of str to (Unit, NodePlacement, Lowered)
        By unit name, with the placement of the anchor.
    """

    graph: Graph
    canonical: Mapping[str, str]
    arithmetic: Hashable
    quantities: Mapping[str, Quantity]
    requantized: Mapping[tuple[str, str], Quantity]
    units: dict[str, tuple[Unit, NodePlacement, Lowered]] = field(default_factory=dict)


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
    """

    def __init__(
        self,
        former: Spliced | None,
        graph: Graph,
        placement: Placement,
        arithmetic: Hashable,
        groups: Sequence[Quantity],
    ) -> None:
        quantities = {value: groups[index] for value, index in placement.group_of.items()}
        requantized = {place: groups[index] for place, index in placement.requantized.items()}
        self.now = Spliced(graph, placement.canonical, arithmetic, quantities, requantized)
        self._nodes = placement.nodes
        same = former is not None and former.arithmetic is arithmetic and former.graph.training is graph.training
        self._before = former.units if former is not None and same and former.graph.batch == graph.batch else {}
        self._moved: set[str] = set()
        self._doubtful: set[str] = set()
        if former is not None and self._before:
            self._compare(former, placement)

    def _compare(self, former: Spliced, placement: Placement) -> None:
        """Find the units with other nodes or another rescale, and the values with another scale."""
        now = self.now
        for old, new in ((former.quantities, now.quantities), (now.quantities, former.quantities)):
            self._moved.update(value for value, quantity in new.items() if old.get(value) is not quantity)
        if former.requantized or now.requantized:
            places = former.requantized.keys() | now.requantized.keys()
            self._doubtful |= {p[1] for p in places if former.requantized.get(p) is not now.requantized.get(p)}
        if former.graph is not now.graph:
            aliases = {v for v, source in now.canonical.items() if former.canonical.get(v) != source}
            changed = changed_nodes(former.graph, now.graph, aliases)
            self._doubtful |= {unit.name for unit in placement.units if not changed.isdisjoint(unit.members)}
        gone = (former.units[name][0] for name in former.units.keys() - {unit.name for unit in placement.units})
        self._moved.update(chain.from_iterable((*unit.inputs, *unit.outputs) for unit in gone))

    def known(self, unit: Unit, threshold: Callable[[str], float]) -> Lowered | None:
        """Return what `unit` became in the plan before; None where its surroundings may differ."""
        entry = self._before.get(unit.name)
        if entry is None:
            return None
        former, was, lowered = entry
        placed = self._nodes[unit.anchor]
        if (
            (former is not unit and former != unit)
            or (was is not placed and _placed(was) != _placed(placed))
            or unit.name in self._doubtful
            or not self._moved.isdisjoint(unit.inputs)
            or not self._moved.isdisjoint(unit.outputs)
            or not lowered.holds(threshold)
        ):
            return None
        self.now.units[unit.name] = unit, placed, lowered
        return lowered

    def lowered(self, unit: Unit, lowered: Lowered) -> None:
        """Note what `unit` became; what it reads and makes is there in other forms now, unless it is what it was."""
        before = self._before.get(unit.name)
        if before is None or before[2] is not lowered:
            former = () if before is None else (*before[0].inputs, *before[0].outputs)
            self._moved.update(unit.inputs, unit.outputs, former)
        self.now.units[unit.name] = unit, self._nodes[unit.anchor], lowered


def _placed(node: NodePlacement) -> tuple[str, str, str, str]:
    return node.on, node.dtype, node.input_dtype, node.weight_dtype
