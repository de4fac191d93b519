"""From a placement and thresholds to an integer plan: unit by unit, taken over from an earlier plan where it can be.

How each operator becomes steps is in :mod:`qworkbench.emulator.lower`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from itertools import islice
from operator import sub
from types import MappingProxyType
from typing import Any

from qworkbench.emulator.forms import Forms
from qworkbench.emulator.memo import Lowered, PlanMemo, Written
from qworkbench.emulator.plan import Plan
from qworkbench.emulator.scales import Thresholds
from qworkbench.emulator.splice import Splice, Spliced
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Sym
from qworkbench.numerics.arithmetic import Arithmetic
from qworkbench.placement.types import Placement, Unit

RESCALED = 5
"""Place of the one table of a builder whose entries change."""


class PlanBuilder(Forms):
    """Collects the steps of every unit; the functions of :mod:`qworkbench.emulator.lower` call its methods."""

    def _around(self, unit: Unit) -> Hashable:
        """Return everything that the steps of `unit` follow from, but for thresholds of its inner tensors."""
        placement = self.placement
        group_of, requantized = placement.group_of, placement.requantized
        placed = placement[unit.anchor]
        read: list[object] = []
        for value in unit.inputs:
            key, index = self._codes.get(value), group_of.get(value)
            read += (self._floats.get(value), self._halves.get(value), key)
            if key is not None:
                read += (self.quantities[key], self._rescaled.get(key))
            if index is not None:
                read.append(self.group_quantity(index))
            if (value, unit.name) in requantized:
                read.append((self.group_quantity(requantized[value, unit.name]),))
        for value in unit.outputs:
            is_float = self.graph.values[value].dtype.startswith("float")  # indices have no scale
            index = group_of.get(value) if is_float else None
            read.append(None if index is None else self.group_quantity(index))
        token = self.memo.anchored(self.graph, unit, placement.canonical)
        return token, self._arithmetic, placed.on, placed.dtype, placed.input_dtype, placed.weight_dtype, *read

    @property
    def _tables(self) -> tuple[Written[Any], ...]:
        return self._codes, self._floats, self._halves, self.quantities, self.weights, self._rescaled

    def _sizes(self) -> list[int]:
        return [len(self.steps), *map(len, self._tables)]

    def _take_over(self, found: Lowered) -> None:
        """Append what a unit became in an earlier plan."""
        self.steps += found.steps
        tables = self._tables
        for place, added in found.added:
            tables[place].update(added)

    def _take_run(self, former: Spliced, begin: int, end: int) -> None:
        """Append what the units from `begin` to `end` of the plan before became, which it wrote in one stretch."""
        (first, *before), (last, *after) = former.sizes(begin), former.sizes(end)
        self.steps += former.steps[first:last]
        tables = self._tables
        for table, known, start, stop in zip(tables[:RESCALED], former.tables, before, after, strict=False):
            table.update(islice(known.items(), start, stop))
        if former.tables[RESCALED]:  # where units write over what others wrote
            for found in former.lowered[begin:end]:
                for place, added in found.added:
                    if place == RESCALED:
                        tables[place].update(added)
        self._results.update(islice(former.results.items(), begin, end))

    def _once(self, key: Hashable, lower: Callable[[], object], used: dict[Hashable, Lowered]) -> Lowered:
        """Append the steps that `lower()` appends; taken over from an earlier plan where `key` is as it was then."""
        found = self.memo.lowered(key)
        if found is not None and found.holds(self.thresholds.threshold):
            self._take_over(found)
        else:
            first = len(self.steps)
            for table in self._tables:
                table.taken()
            self._parts = []
            lower()
            taken = [table.taken() for table in self._tables]
            changes = tuple((place, written) for place, written in enumerate(taken) if written)
            found = Lowered(tuple(self.steps[first:]), changes, tuple(self._parts))
        used[key] = found
        return found

    def build(self) -> Plan:
        """Lower every unit in order, then bring the model's outputs to float."""
        from qworkbench.emulator.lower import lower_cpu, lower_unit

        self.memo.begin(self.graph)
        threshold, codes, floats, results = self.thresholds.threshold, self._codes, self._floats, self._results
        groups = self.quantities_of_groups()
        splice = Splice(self.memo.former, self.graph, self.placement, self._arithmetic, groups, threshold)
        former, units = splice.former, self.placement.units
        used: dict[Hashable, Lowered] = {}
        now, place = splice.now, 0
        now.start = self._sizes()
        while place < len(units):
            begin, length = splice.run(place)
            if former is not None and length:
                self._take_run(former, begin, begin + length)
                place += length
                continue
            unit, before = units[place], self._sizes()
            found = splice.known(unit)
            if found is None:
                lower = lower_unit if self.placement[unit.anchor].on == "BPU" else lower_cpu
                splice.lowered(unit, self._once(self._around(unit), partial(lower, self, unit), used))
            else:
                self._take_over(found)
            value = unit.outputs[0]
            results[unit.tail] = codes.get(value) or floats[value]
            now.grown.append(tuple(map(sub, self._sizes(), before)))
            place += 1
        now.steps, now.tables, now.results = self.steps, self._tables, results
        if former is not None and former.graph is self.graph:
            now.unplaced = former.unplaced
        for name, source in now.unplaced:
            key = codes.get(source) or floats.get(source)
            if key is not None:  # inside a fused unit no one holds what it hands through
                results[name] = key
        canonical = self.placement.canonical
        outputs = tuple(self._output(canonical[value], used) for value in self.graph.outputs)
        self.memo.keep(used, now)
        axes = (
            (name, axis, dim.factor)
            for name in self.graph.inputs
            for axis, dim in enumerate(self.graph.values[name].shape)
            if isinstance(dim, Sym)
        )
        return Plan(
            tuple(self.steps),
            MappingProxyType(self.quantities),
            MappingProxyType(results),
            outputs,
            MappingProxyType(self.weights),
            next(axes, None),
            self.graph.batch,
        )

    def _output(self, value: str, used: dict[Hashable, Lowered]) -> str:
        """Return the key of the float form of canonical `value`, for the model's caller."""
        if value not in self._floats and value in self._codes:
            key = self._codes[value]
            self._once(("output", value, key, self.quantities[key]), partial(self.real, value), used)
        return self.real(value)


def build_plan(
    graph: Graph,
    placement: Placement,
    thresholds: Thresholds,
    arithmetic: Arithmetic | None = None,
    memo: PlanMemo | None = None,
) -> Plan:
    """Return the integer plan of `graph` under `placement`.

    Parameters
    ----------
    graph, placement
        A placement of exactly this graph.
    thresholds : Thresholds
        Answers for every value that a scale group names, and for the inner tensors of ops that run as several.
    arithmetic : Arithmetic, optional
        Rounding, multiplier model and scale denominator.
    memo : PlanMemo, optional
        Kept between plans of one model to save the quantization of weights.

    Raises
    ------
    CalibrationError
        When a threshold is not known.
    """
    return PlanBuilder(graph, placement, thresholds, arithmetic or Arithmetic(), memo or PlanMemo()).build()
