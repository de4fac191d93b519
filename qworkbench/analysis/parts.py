"""Parts of a sensitivity table: some samples with some quantizers, run here or shipped to a worker.

Where the float values of all samples are kept, small parts are joined: late in a network one op of eight samples then
costs one call instead of eight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from qworkbench.analysis.packets import PACKET_BYTES
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
    kept : Mapping of str to Tensor, optional
        Every float value on `feeds`.
    """

    sweep: Sweep
    indices: tuple[int, ...]
    feeds: Mapping[str, Tensor]
    key: bytes | None
    kept: Mapping[str, Tensor] | None = None

    def task(self, graph: Graph, placement: Placement) -> Task:
        """Return the part in the form that travels: without the program, whose weights the graph holds."""
        return Task(graph, placement, self.sweep.without_program(), self.feeds)


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
    """Join consecutive parts over the same quantizers whose float values are kept, as far as they fit a packet."""
    found = [references.get(part.key) if part.key is not None else None for part in parts]
    same = len({part.indices for part in parts}) == 1
    if not same or len(parts) < 2 or any(kept is None for kept in found) or not parts[0].sweep.stacked:
        return list(parts)
    sweep = parts[0].sweep
    rows = next(iter(parts[0].feeds.values())).shape[0]
    many = max(1, PACKET_BYTES // max(1, rows * sweep.largest_reached()))
    made = []
    for start in range(0, len(parts), many):
        group = parts[start : start + many]
        kept = [values for values in found[start : start + many] if values is not None]
        if len(group) == 1:
            made.append(Part(sweep, group[0].indices, group[0].feeds, group[0].key, kept[0]))
            continue
        feeds = {name: torch.cat([part.feeds[name] for part in group]) for name in group[0].feeds}
        made.append(Part(sweep, group[0].indices, feeds, None, Joined(kept)))
    return made


def run_part(
    part: Part,
    references: References,
    budget: int,
    finish: Callable[[Part, Effects], None],
    tick: Callable[[str], None],
    cancelled: Callable[[], bool],
) -> None:
    """Sweep one part group by group; its float values stay in `references` where they fit `budget` bytes."""
    count = next(iter(part.feeds.values())).shape[0] if part.feeds else 1
    for group in part.sweep.groups():
        kept = part.kept if part.kept is not None or part.key is None else references.get(part.key)
        room = references.nbytes + part.sweep.bytes_of_all() * count <= budget
        keep: dict[str, Tensor] | None = {} if kept is None and room else None
        effects = part.sweep.run(part.feeds, group, kept=kept, keep=keep, tick=tick, cancelled=cancelled)
        if keep is not None and part.key is not None:
            references.put(part.key, keep, budget)
        finish(part, effects)


def run_task(task: Task) -> Effects:
    """Sweep one part on a worker."""
    sweep = task.sweep.with_program(FloatProgram(task.graph, task.placement))
    effects: Effects = {}
    for group in sweep.groups():
        effects.update(sweep.run(task.feeds, group))
    return effects
