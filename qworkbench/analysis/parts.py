"""Parts of a sensitivity table: some samples with some quantizers, run here or shipped to a worker.

Where the float values of all samples are kept, small parts are joined: late in a network one op of eight samples then
costs one call instead of eight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from qworkbench.analysis.program import FloatProgram
from qworkbench.analysis.references import References
from qworkbench.analysis.sweep import Effects, Sweep

if TYPE_CHECKING:
    from qworkbench.graph.ir import Graph
    from qworkbench.placement.types import Placement


@dataclass(frozen=True, eq=False)
class Task:
    """A part with all that a worker of another process needs."""

    graph: Graph
    placement: Placement
    sweep: Sweep
    feeds: Mapping[str, Tensor]
    block: int


@dataclass(frozen=True, eq=False)
class Part:
    """Samples and the quantizers that are not known on them.

    Attributes
    ----------
    sweep : Sweep
    indices : tuple of int
        Of the sweep's quantizers in the whole table.
    feeds : Mapping of str to Tensor
    key : bytes or None
        Of the samples; None for joined parts, which are remembered as a whole.
    block : int
        Samples that stay together; 0 for all.
    kept : Mapping of str to Tensor, optional
        Every float value on `feeds`.
    """

    sweep: Sweep
    indices: tuple[int, ...]
    feeds: Mapping[str, Tensor]
    key: bytes | None
    block: int = 0
    kept: Mapping[str, Tensor] | None = None

    @property
    def samples(self) -> int:
        """Number of samples."""
        return int(next(iter(self.feeds.values())).shape[0]) if self.feeds else 1

    def task(self, graph: Graph, placement: Placement) -> Task:
        """Return the part in the form that travels: without the program, whose weights the graph holds."""
        return Task(graph, placement, self.sweep.without_program(), self.feeds, self.block)


class Joined(Mapping[str, Tensor]):
    """Values of several chunks, put together along the batch when one is asked for."""

    def __init__(self, parts: Sequence[Mapping[str, Tensor]]) -> None:
        self._parts, self._made = parts, dict[str, Tensor]()

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._made:
            self._made[name] = torch.cat([part[name] for part in self._parts])
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts[0])

    def __len__(self) -> int:
        return len(self._parts[0])


def joined_parts(parts: Sequence[Part], references: References) -> list[Part]:
    """Join consecutive parts over the same quantizers whose float values are kept, as far as the budget allows."""
    found = [references.get(part.key) if part.key is not None else None for part in parts]
    same = len({part.indices for part in parts}) == 1
    if not same or len(parts) < 2 or any(kept is None for kept in found) or not parts[0].sweep.stacked:
        return list(parts)
    sweep = parts[0].sweep
    room = sweep.budget // max(1, *(sweep.peak(group) for group in sweep.groups()))
    made: list[Part] = []
    waiting: list[tuple[Part, Mapping[str, Tensor]]] = []
    for part, kept in zip(parts, found, strict=True):
        assert kept is not None
        if waiting and sum(one.samples for one, _ in waiting) + part.samples > room:
            made.append(_joined(waiting))
            waiting = []
        waiting.append((part, kept))
    return [*made, _joined(waiting)]


def _joined(group: Sequence[tuple[Part, Mapping[str, Tensor]]]) -> Part:
    first, kept = group[0]
    if len(group) == 1:
        return replace(first, kept=kept)
    feeds = {name: torch.cat([part.feeds[name] for part, _ in group]) for name in first.feeds}
    return replace(first, feeds=feeds, key=None, kept=Joined([values for _, values in group]))


def run_part(
    part: Part,
    references: References,
    budget: int,
    finish: Callable[[Part, Effects], None],
    tick: Callable[[str], None],
    cancelled: Callable[[], bool],
) -> None:
    """Sweep one part group by group; its float values stay in `references` where they fit `budget` bytes."""
    for group in part.sweep.groups():
        kept = part.kept if part.kept is not None or part.key is None else references.get(part.key)
        room = references.nbytes + part.sweep.bytes_of_all() * part.samples <= budget
        keep: dict[str, Tensor] | None = {} if kept is None and room else None
        effects = part.sweep.run(
            part.feeds, group, block=part.block, kept=kept, keep=keep, tick=tick, cancelled=cancelled
        )
        if keep is not None and part.key is not None:
            references.put(part.key, keep, budget)
        finish(part, effects)


def run_task(task: Task) -> Effects:
    """Sweep one part on a worker."""
    sweep = task.sweep.with_program(FloatProgram(task.graph, task.placement))
    effects: Effects = {}
    for group in sweep.groups():
        effects.update(sweep.run(task.feeds, group, block=task.block))
    return effects
