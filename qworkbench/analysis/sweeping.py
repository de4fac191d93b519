"""One topological sweep that turns every quantizer on by itself and measures each effect on the model's outputs.

Segment by segment: first the reference and the variants that begin inside, unit by unit; then those that come in,
packet by packet through all of the segment's units. Where a convolution can tell what a change of its input makes, its
variants are computed as changes of the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from qworkbench.analysis.comparable import Target
from qworkbench.analysis.distances import Distance
from qworkbench.analysis.packets import Packet, Stack
from qworkbench.analysis.program import arranged
from qworkbench.analysis.segments import Segment
from qworkbench.analysis.winograd import Rooms
from qworkbench.errors import Cancelled
from qworkbench.placement.types import Unit

if TYPE_CHECKING:
    from qworkbench.analysis.sweep import Effects, Sweep

Values = dict[str, Tensor]


class Sweeping:
    """One run of a :class:`~qworkbench.analysis.sweep.Sweep`; parameters as there."""

    def __init__(
        self,
        sweep: Sweep,
        feeds: Mapping[str, Tensor],
        group: Sequence[int],
        block: int,
        kept: Mapping[str, Tensor] | None,
        keep: Values | None,
    ) -> None:
        self.sweep, self.program, self.feeds = sweep, sweep.program, feeds
        self.kept, self.keep = kept, keep
        samples = next(iter(feeds.values())).shape[0] if sweep.stacked and feeds else self.program.graph.batch
        whole = block and sweep.stacked and samples % block == 0
        self.blocks = samples // block if whole else 1
        self.samples, self.batch = samples, samples // self.blocks
        self.starts, self.watched = sweep.starts(group), sweep.watched()
        self.stacks: dict[str, Stack] = {}
        self.plain: dict[str, Tensor] = {}
        self.rooms: Rooms = {}
        self.spare = sweep.budget - sweep.peak(group) * (self.samples if sweep.stacked else 1)
        self.effects: Effects = {index: {target.name: Distance() for target in sweep.targets} for index in group}

    def run(self, tick: Callable[[str], None] | None, cancelled: Callable[[], bool]) -> Effects:
        """Return the effects of all quantizers of the group.

        Raises
        ------
        Cancelled
        """
        with torch.no_grad():
            self._sweep(tick or (lambda _: None), cancelled)
        return self.effects

    def _sweep(self, tick: Callable[[str], None], cancelled: Callable[[], bool]) -> None:
        for name in self.program.graph.inputs:
            self.stacks[name] = Stack(arranged(self.feeds[name]), self.blocks)
            self._begin(name, None)
            self._measure(name)
        for segment in self.sweep.segments():
            coming = self._items(v for unit in segment.units for v in unit.inputs if v not in segment.inner)
            many = self.sweep.packet(segment, self.batch)
            for unit in segment.units:
                if cancelled():
                    raise Cancelled("the sensitivity sweep was cancelled; rows that were finished are kept")
                self._begin_unit(segment, unit, len(coming), many)
                tick(unit.name)
            for first in range(0, len(coming), many):
                if cancelled():
                    raise Cancelled("the sensitivity sweep was cancelled; rows that were finished are kept")
                self._pass(segment, coming[first : first + many])
            self.plain.clear()
            for value in segment.leaving:
                self._measure(value)
            for value in segment.dead:
                self.stacks.pop(value, None)

    # -- references, and what begins
    def _begin_unit(self, segment: Segment, unit: Unit, passing: int, many: int) -> None:
        """Make the reference of `unit`, run what began before it in the segment, and begin its own quantizers."""
        ids = self._items(value for value in unit.inputs if value in segment.inner)
        if self.kept is not None:
            made = [Stack(partial(self.kept.__getitem__, value), self.blocks) for value in unit.outputs]
        else:
            made = [Stack(tensor, self.blocks) for tensor in self._reference(unit, passing + len(ids))]
        for value, stack in zip(unit.outputs, made, strict=False):
            self.stacks[value] = stack
            if self.keep is not None:
                self.keep[value] = stack.reference
        for first in range(0, len(ids), many):
            packet = ids[first : first + many]
            for value, tensor in zip(unit.outputs, self._run(unit, packet, {}), strict=False):
                self.stacks[value].add(Packet(packet, tensor))
        for value in unit.outputs:
            self._begin(value, unit)

    def _reference(self, unit: Unit, passing: int) -> tuple[Tensor, ...]:
        operands = {value: self.stacks[value].reference for value in unit.inputs}
        change = self.program.change(unit, self.batch * passing)
        if change is None or change.scratch + sum(room.nbytes for room in self.rooms.values()) > self.spare:
            return self.program.run(unit, operands, self.samples)
        plain = self.program.linear(unit, operands[unit.inputs[0]])
        self.plain[unit.name] = arranged(plain)
        y = plain.clone()
        if unit.residual is not None:
            y += operands[unit.residual]
        return (self.program.activate(unit, y),)

    def _begin(self, value: str, unit: Unit | None) -> None:
        """Turn on the quantizers that act on this very value."""
        stack = self.stacks[value]
        for index in self.starts.get(value, ()):
            quantizer = self.sweep.quantizers[index]
            if quantizer.kind == "activation":
                tensor = quantizer.apply(stack.reference)
            else:
                assert unit is not None
                weight = arranged(torch.from_numpy(quantizer.weight())).to(self.program.dtype)
                operands = {name: self.stacks[name].reference for name in unit.inputs}
                tensor = self.program.run(unit, operands, self.samples, weight=weight)[0]
            stack.add(Packet(tuple(range(index * self.blocks, (index + 1) * self.blocks)), tensor))

    def _items(self, values: Iterable[str]) -> tuple[int, ...]:
        """Return the items that `values` hold, those of the one with most of them in its order first."""
        stacks = sorted((self.stacks[value] for value in dict.fromkeys(values)), key=lambda stack: -len(stack.ids))
        return tuple(dict.fromkeys(item for stack in stacks for item in stack.ids))

    # -- what passes through
    def _pass(self, segment: Segment, ids: tuple[int, ...]) -> None:
        """Run the items `ids` through all units of `segment`."""
        local: Values = {}
        for unit, finished in zip(segment.units, segment.finished, strict=True):
            outside = (self.stacks[v] for v in unit.inputs if v not in segment.inner)
            if any(v in local for v in unit.inputs) or any(stack.holds(ids) for stack in outside):
                local.update(zip(unit.outputs, self._run(unit, ids, local), strict=False))
            for value in finished:
                local.pop(value, None)
        for value in segment.leaving:
            if value in local:
                self.stacks[value].add(Packet(ids, local[value]))

    def _run(self, unit: Unit, ids: tuple[int, ...], local: Values) -> tuple[Tensor, ...]:
        """Return the outputs of `unit` for the items `ids`, whose values are `local` or on the stacks."""
        operands = {v: self._operand(v, ids, local) for v in unit.inputs if v != unit.residual}
        finish = None
        if unit.residual is not None:
            operands.setdefault(unit.inputs[0], self._operand(unit.inputs[0], ids, local))
            finish = partial(self._add, unit.residual, ids, local)
        batch = self.batch * len(ids)
        change = self.program.change(unit, batch) if unit.name in self.plain else None
        if change is not None:
            stack, plain = self.stacks[unit.inputs[0]], self.plain[unit.name]
            x, rows = arranged(operands[unit.inputs[0]]), stack.rows_of(ids)
            return (self.program.changed(unit, change, x, arranged(stack.reference), plain, rows, finish, self.rooms),)
        return self.program.run(unit, operands, batch, finish=finish)

    def _operand(self, value: str, ids: tuple[int, ...], local: Values) -> Tensor:
        found = local.get(value)
        return self.stacks[value].gather(ids) if found is None else found

    def _add(self, value: str, ids: tuple[int, ...], local: Values, y: Tensor) -> Tensor:
        found = local.get(value)
        return self.stacks[value].add_into(ids, y) if found is None else y.add_(found)

    # -- measuring
    def _measure(self, value: str) -> None:
        targets = self.watched.get(value)
        if not targets:
            return
        stack = self.stacks[value]
        found: dict[int, dict[int, Tensor]] = {}
        ids = stack.ids
        for start, stop, rows in stack.pieces(ids):
            for place, item in enumerate(ids[start:stop]):
                variant = rows[place * self.batch : (place + 1) * self.batch] if stop - start > 1 else rows
                found.setdefault(item // self.blocks, {})[item % self.blocks] = variant
        for index in self.effects:
            blocks = found.get(index)
            if blocks is None:
                self._compare(index, targets, stack.reference, stack.reference)
            else:
                whole = [blocks[k] if k in blocks else stack.block(k) for k in range(self.blocks)]
                self._compare(index, targets, stack.reference, whole[0] if len(whole) == 1 else torch.cat(whole))

    def _compare(self, index: int, targets: Sequence[Target], reference: Tensor, variant: Tensor) -> None:
        a, b = reference.contiguous().numpy(), variant.contiguous().numpy()
        for target in targets:
            self.effects[index][target.name].add(a, b, self.sweep.metrics)
