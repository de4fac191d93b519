"""The units of a graph as it is cut at the moment, and who makes and who reads each value.

A cut changes a few fused groups, an edit of the graph a few nodes, so a table is made from another one by exchanging
the units that differ. Knows neither marches nor wishes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from qworkbench.placement.types import Unit


@dataclass(frozen=True, eq=False)
class UnitTable:
    """Units and their neighbourhood.

    Attributes
    ----------
    order : Mapping of node name to int
        Topological position.
    units : tuple of Unit
        In topological order of their last member.
    by_member : Mapping of node name to Unit
    makers : Mapping of canonical value to Unit
    readers : Mapping of canonical value to tuple of Unit
        In topological order.
    """

    order: Mapping[str, int]
    units: tuple[Unit, ...]
    by_member: Mapping[str, Unit]
    makers: Mapping[str, Unit]
    readers: Mapping[str, tuple[Unit, ...]]

    @classmethod
    def empty(cls) -> UnitTable:
        """Return the table of no unit."""
        return cls({}, (), {}, {}, {})

    def exchanged(self, gone: Iterable[Unit], come: Iterable[Unit], order: Mapping[str, int]) -> UnitTable:
        """Return the table without the units `gone` and with the units `come`, whose nodes lie in `order`."""
        gone, come = tuple(gone), tuple(come)
        by_member, makers, readers = dict(self.by_member), dict(self.makers), dict(self.readers)
        for unit in gone:
            for name in unit.members:
                del by_member[name]
            for value in unit.outputs:
                del makers[value]
        for unit in come:
            by_member.update(dict.fromkeys(unit.members, unit))
            makers.update(dict.fromkeys(unit.outputs, unit))
        left = {unit.name for unit in gone}
        kept = [unit for unit in self.units if unit.name not in left] if left else self.units
        units = tuple(sorted((*kept, *come), key=lambda unit: order[unit.tail]))
        added: dict[str, list[Unit]] = {value: [] for unit in gone for value in unit.inputs}
        for unit in come:
            for value in dict.fromkeys(unit.inputs):
                added.setdefault(value, []).append(unit)
        for value, new in added.items():
            found = [*(unit for unit in readers.get(value, ()) if unit.name not in left), *new]
            readers[value] = tuple(sorted(found, key=lambda unit: order[unit.tail]))
        return UnitTable(order, units, by_member, makers, readers)

    @cached_property
    def ends(self) -> tuple[Unit, ...]:
        """The units that no other one reads."""
        readers = self.readers
        return tuple(unit for unit in self.units if not any(map(readers.get, unit.outputs)))

    def in_order(self, units: Iterable[Unit]) -> list[Unit]:
        """Return `units` in topological order."""
        return sorted(units, key=lambda unit: self.order[unit.tail])

    def behind(self, unit: Unit) -> tuple[Unit, ...]:
        """Return the units that read `unit`, value by value."""
        readers = self.readers
        if len(unit.outputs) == 1:
            return readers.get(unit.outputs[0], ())
        return tuple(reader for value in unit.outputs for reader in readers.get(value, ()))

    def holding(self, names: Iterable[str]) -> tuple[Unit, ...]:
        """Return the units that hold any of the nodes `names`, in no order."""
        found = (self.by_member.get(name) for name in names)
        return tuple({unit.name: unit for unit in found if unit is not None}.values())
