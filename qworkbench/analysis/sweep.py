"""One topological sweep that turns every quantizer on by itself and measures each effect on the model's outputs.

With exactly one quantizer on, everything before it equals float, so the float prefix is computed once and each
quantizer costs its downstream cone only. At each unit the variants of all quantizers before it go through together.
Memory is bounded: where all of them do not fit, quantizers are swept in groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from qworkbench.analysis.comparable import Target
from qworkbench.analysis.distances import Distance, Metric
from qworkbench.analysis.packets import PACKET_BYTES, Packet, Stack
from qworkbench.analysis.program import FloatProgram, arranged, follows_batch
from qworkbench.analysis.quantizers import Quantizer
from qworkbench.errors import AnalysisError, Cancelled
from qworkbench.placement.types import Unit

DEFAULT_BUDGET = 512 * 1024**2

Progress = Callable[[str, int, int], None]
Effects = dict[int, dict[str, Distance]]


@dataclass(frozen=True, eq=False)
class Sweep:
    """What to sweep over.

    Attributes
    ----------
    program : FloatProgram
    targets : tuple of Target
        What is compared.
    quantizers : tuple of Quantizer
    metrics : tuple of Metric
    stacked : bool
        Whether variants may share a batch; see :func:`can_stack`.
    budget : int
        Bytes for activations of reference and variants.
    """

    program: FloatProgram
    targets: tuple[Target, ...]
    quantizers: tuple[Quantizer, ...]
    metrics: tuple[Metric, ...]
    stacked: bool = True
    budget: int = DEFAULT_BUDGET
    _groups: list[tuple[int, ...]] = field(default_factory=list, init=False, repr=False)

    # -- travelling
    def without_program(self) -> Sweep:
        """Return the sweep without its program, to be pickled."""
        return replace(self, program=None)  # type: ignore[arg-type]  # the worker puts one in before any use

    def with_program(self, program: FloatProgram) -> Sweep:
        """Return the sweep over `program`."""
        return replace(self, program=program)

    # -- memory
    def bytes_of(self, value: str) -> int:
        """Return the size of `value` for one sample."""
        graph = self.program.graph
        return self.program.bytes_of(value, 1 if self.stacked else graph.batch)

    def bytes_of_all(self) -> int:
        """Return the size of all values together for one sample."""
        return sum(self.bytes_of(value) for unit in self.program.units for value in unit.outputs)

    def largest_reached(self) -> int:
        """Return the size of the largest value that a quantizer reaches, for one sample."""
        reached = _cone(self.program, [quantizer.value for quantizer in self.quantizers])
        return max(self.bytes_of(value) for value in reached)

    def peak(self, chosen: Sequence[int]) -> int:
        """Return the largest number of bytes that a sweep over `chosen` quantizers holds at once, per sample."""
        program = self.program
        left = program.readers()
        count: dict[str, int] = {}
        starts = self._starts(chosen)
        for name in program.graph.inputs:
            count[name] = len(starts.get(name, ()))
        ids: dict[str, frozenset[int]] = {name: frozenset(starts.get(name, ())) for name in program.graph.inputs}
        now = top = sum((1 + len(ids[name])) * self.bytes_of(name) for name in ids)
        for unit in program.units:
            reach = frozenset().union(*(ids.get(v, frozenset()) for v in unit.inputs))
            for value in unit.outputs:
                ids[value] = reach | frozenset(starts.get(value, ()))
                now += (1 + len(ids[value])) * self.bytes_of(value)
            top = max(top, now)
            for value in (*dict.fromkeys(unit.inputs), *unit.outputs):
                if value in unit.inputs:
                    left[value] -= 1
                if left.get(value, 0) <= 0 and value in ids:
                    now -= (1 + len(ids.pop(value))) * self.bytes_of(value)
        return top

    def groups(self) -> list[tuple[int, ...]]:
        """Return the quantizers in as few groups as the budget allows, in topological order.

        Raises
        ------
        AnalysisError
            When not even one quantizer fits.
        """
        if self._groups:
            return self._groups
        waiting = [tuple(range(len(self.quantizers)))]
        found: list[tuple[int, ...]] = []
        while waiting:
            group = waiting.pop(0)
            need = self.peak(group)
            if need <= self.budget:
                found.append(group)
            elif len(group) <= 1:
                raise AnalysisError(
                    f"a memory budget of {self.budget / 2**20:.0f} MB is too small for this model; one sample with one "
                    f"quantizer on needs {need / 2**20:.0f} MB"
                )
            else:
                half = len(group) // 2
                waiting[:0] = [group[:half], group[half:]]
        self._groups.extend(group for group in found if group)
        return self._groups

    def samples_at_once(self, groups: Sequence[Sequence[int]]) -> int:
        """Return how many samples go through together: as many as fit the cache, and the budget."""
        largest = max(self.bytes_of(value) for unit in self.program.units for value in unit.outputs)
        peak = max((self.peak(group) for group in groups), default=1)
        return max(1, min(PACKET_BYTES // max(largest, 1), self.budget // max(peak, 1)))

    def _starts(self, chosen: Sequence[int]) -> dict[str, list[int]]:
        starts: dict[str, list[int]] = {}
        for index in chosen:
            starts.setdefault(self.quantizers[index].value, []).append(index)
        return starts

    # -- running
    def run(
        self,
        feeds: Mapping[str, Tensor],
        group: Sequence[int],
        *,
        kept: Mapping[str, Tensor] | None = None,
        keep: dict[str, Tensor] | None = None,
        tick: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Effects:
        """Return, per quantizer of `group` and target, the distance from float on `feeds`.

        Parameters
        ----------
        feeds : Mapping of str to Tensor
        group : sequence of int
        kept : Mapping of str to Tensor, optional
            Every float value on `feeds`; units that no quantizer of `group` reaches are then passed over.
        keep : dict of str to Tensor, optional
            Receives every float value.
        tick : callable, optional
            Called with the name of each unit.
        cancelled : callable

        Raises
        ------
        Cancelled
        """
        effects: Effects = {index: {target.name: Distance() for target in self.targets} for index in group}
        starts = self._starts(group)
        left = self.program.readers()
        watched: dict[str, list[Target]] = {}
        for target in self.targets:
            watched.setdefault(self.program.placement.canonical[target.value], []).append(target)
        stacks: dict[str, Stack] = {}
        batch = next(iter(feeds.values())).shape[0] if self.stacked and feeds else self.program.graph.batch
        for name in self.program.graph.inputs:
            stacks[name] = Stack(arranged(feeds[name]))
            self._begin(stacks[name], starts.get(name, ()), None, {}, batch)
            self._measure(stacks[name], watched.get(name, ()), effects)
        for unit in self.program.units:
            if cancelled():
                raise Cancelled("the sensitivity sweep was cancelled; rows that were finished are kept")
            if kept is not None and not self._reached(unit, stacks, starts):
                made = [Stack(partial(kept.__getitem__, value)) for value in unit.outputs]
            else:
                made = self._step(unit, stacks, batch, starts, kept)
            for value, stack in zip(unit.outputs, made, strict=False):
                stacks[value] = stack
                if keep is not None:
                    keep[value] = stack.reference
                self._measure(stack, watched.get(value, ()), effects)
            for value in (*dict.fromkeys(unit.inputs), *unit.outputs):
                if value in unit.inputs:
                    left[value] -= 1
                if left.get(value, 0) <= 0:
                    stacks.pop(value, None)
            if tick is not None:
                tick(unit.name)
        return effects

    def _reached(self, unit: Unit, stacks: Mapping[str, Stack], starts: Mapping[str, Sequence[int]]) -> bool:
        """Tell whether a variant comes in, or starts at, `unit`."""
        return any(stacks[value].packets for value in unit.inputs) or any(value in starts for value in unit.outputs)

    def _step(
        self,
        unit: Unit,
        stacks: Mapping[str, Stack],
        batch: int,
        starts: Mapping[str, Sequence[int]],
        kept: Mapping[str, Tensor] | None,
    ) -> list[Stack]:
        program = self.program
        reference: Mapping[str, Tensor] = {}
        if kept is None:
            reference = {value: stacks[value].reference for value in unit.inputs}
            made = [Stack(tensor) for tensor in program.run(unit, reference, batch)]
        else:
            made = [Stack(partial(kept.__getitem__, value)) for value in unit.outputs]
        for ids in self._packets(unit, stacks):
            outputs = self._run(unit, stacks, ids, batch)
            for stack, tensor in zip(made, outputs, strict=True):
                stack.add(Packet(ids, tensor), merge=self.stacked)
        for value, stack in zip(unit.outputs, made, strict=False):
            if value in starts:
                reference = reference or {name: stacks[name].reference for name in unit.inputs}
                self._begin(stack, starts[value], unit, reference, batch)
        return made

    def _packets(self, unit: Unit, stacks: Mapping[str, Stack]) -> Iterator[tuple[int, ...]]:
        """Yield the variants that go through `unit` together: the packets of its widest input, then what is left."""
        inputs = [stacks[value] for value in dict.fromkeys(unit.inputs)]
        if not inputs:
            return
        widest = max(inputs, key=lambda stack: len(stack.ids))
        seen: set[int] = set()
        for stack in (widest, *(s for s in inputs if s is not widest)):
            for packet in stack.packets:
                ids = tuple(i for i in packet.ids if i not in seen)
                seen.update(ids)
                if ids:
                    yield ids

    def _run(self, unit: Unit, stacks: Mapping[str, Stack], ids: tuple[int, ...], batch: int) -> tuple[Tensor, ...]:
        operands = {value: stacks[value].gather(ids) for value in unit.inputs if value != unit.residual}
        if unit.residual is None:
            return self.program.run(unit, operands, batch * len(ids))
        residual = stacks[unit.residual]
        operands.setdefault(unit.inputs[0], stacks[unit.inputs[0]].gather(ids))
        return self.program.run(unit, operands, batch * len(ids), finish=lambda y: residual.add_into(ids, y))

    def _begin(
        self,
        stack: Stack,
        starting: Sequence[int],
        unit: Unit | None,
        operands: Mapping[str, Tensor],
        batch: int,
    ) -> None:
        """Turn on the quantizers that act on this very value."""
        for index in starting:
            quantizer = self.quantizers[index]
            if quantizer.kind == "activation":
                tensor = quantizer.apply(stack.reference)
            else:
                assert unit is not None
                weight = arranged(torch.from_numpy(quantizer.weight())).to(self.program.dtype)
                tensor = self.program.run(unit, operands, batch, weight=weight)[0]
            stack.add(Packet((index,), tensor), merge=self.stacked)

    def _measure(self, stack: Stack, targets: Sequence[Target], effects: Effects) -> None:
        if not targets:
            return
        stored = stack.ids
        reference = stack.reference.contiguous().numpy()
        for packet in stack.packets:
            rows = packet.rows
            for place, index in enumerate(packet.ids):
                variant = packet.tensor[place * rows : (place + 1) * rows].contiguous().numpy()
                for target in targets:
                    effects[index][target.name].add(reference, variant, self.metrics)
        for index in effects.keys() - set(stored):
            for target in targets:
                effects[index][target.name].add(reference, reference, self.metrics)


def can_stack(program: FloatProgram, feeds: Mapping[str, Tensor], quantizers: Sequence[Quantizer]) -> bool:
    """Tell whether variants may be laid side by side along the batch axis.

    Every input and every quantized value must follow the batch with its first axis alone, and two different samples
    run together must give what each gives alone: tested, since a model may well mix the entries of its batch.
    """
    graph = program.graph
    if not all(follows_batch(graph, v) for v in (*graph.inputs, *(quantizer.value for quantizer in quantizers))):
        return False
    single = {name: tensor[:1] for name, tensor in feeds.items()}
    other = {name: t * 0.5 if t.is_floating_point() else t for name, t in single.items()}
    pair = {name: torch.cat([single[name], other[name]]) for name in single}
    try:
        alone, together = program.reference(single, 1), program.reference(pair, 2)
    except RuntimeError:
        return False
    moving = {name for name in alone if follows_batch(graph, name)}
    depends = _cone(program, [quantizer.value for quantizer in quantizers])
    if not depends <= moving:
        return False
    return all(_agree(alone[name], together[name]) for name in depends)


def _cone(program: FloatProgram, values: Sequence[str]) -> set[str]:
    reached = set(values)
    for unit in program.units:
        if reached.intersection(unit.inputs):
            reached.update(unit.outputs)
    return reached


def _agree(alone: Tensor, together: Tensor) -> bool:
    part = together[: alone.shape[0]]
    if part.shape != alone.shape:
        return False
    if not alone.is_floating_point():
        return bool(torch.equal(part, alone))
    size = float(alone.abs().max()) if alone.numel() else 0.0
    return bool(torch.allclose(part, alone, rtol=1e-4, atol=1e-5 * max(size, 1e-30), equal_nan=True))
