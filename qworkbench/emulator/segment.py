"""Steps whose kernels run in one go, taken down once: when they run again, only addresses are new, all of them at once.

All results lie in one arena, except those that leave the model: who keeps an output should not keep every feature map.
Knows no caches.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from qworkbench.emulator.cache import StepResult
from qworkbench.emulator.kernels.arena import Arena, arena_layout
from qworkbench.emulator.kernels.calls import clear_around
from qworkbench.emulator.kernels.memory import LINE, SLACK
from qworkbench.emulator.kernels.queue import Queue
from qworkbench.emulator.kernels.script import Script, room_of
from qworkbench.emulator.kernels.values import Layout, Value, new_value
from qworkbench.emulator.plan import Step

ARENA = 0  # the source of most results; values outside and apart follow


class Waiting(NamedTuple):
    """A step that waits for the queue to run."""

    step: Step
    outcome: StepResult
    operands: Sequence[Value]


class Spot(NamedTuple):
    """Where a result lies: at `start` in the arena, or so far behind the value with the number `source`."""

    layout: Layout
    source: int
    start: int

    @property
    def begin(self) -> int:
        """Distance of the first element from the source; an arena begins before any margin."""
        return self.start + self.layout.first if self.source == ARENA else self.start


class Segment:
    """Steps whose kernels run in one go.

    Parameters
    ----------
    queue : Queue
        With these steps in it, traced, about to run.
    waiting : sequence of Waiting
    live : Mapping of str to Value
        What later steps read.
    apart : collection of str
        Keys whose results have memory of their own.

    Attributes
    ----------
    steps : list of Step
    names, firsts : list of str
        Name and first key of each.
    keys : dict of str to int
        Every key that is made, with the number of its result.
    """

    def __init__(
        self, queue: Queue, waiting: Sequence[Waiting], live: Mapping[str, Value], apart: Collection[str]
    ) -> None:
        self.steps = [one.step for one in waiting]
        self.names = [step.name for step in self.steps]
        self.firsts = [step.outputs[0] for step in self.steps]
        self.keys = {key: n for n, key in enumerate(key for step in self.steps for key in step.outputs)}
        results = [value for one in waiting for value in one.outcome.values]
        made = {id(value) for value in results}
        read = ((key, value) for one in waiting for key, value in zip(one.step.inputs, one.operands, strict=True))
        outside = {key: value for key, value in read if id(value) not in made}
        self._outside = [(key, value.layout) for key, value in outside.items()]

        owner = {id(value): value for value in (*outside.values(), *results)}
        for one in waiting:
            for value in one.outcome.values:
                if value.viewed:
                    owner[id(value)] = owner[id(one.operands[0])]
        leaves = {id(owner[id(value)]) for key, value in zip(self.keys, results, strict=True) if key in apart}
        owners = [value for value in results if owner[id(value)] is value]
        alone = [value for value in owners if id(value) in leaves]
        inside = [value for value in owners if id(value) not in leaves]
        taken = queue.taken_down()
        between = {id(value): value for _, value, _ in taken.trace if id(value) not in owner}
        scratch = -(-room_of(taken) // LINE) * LINE  # one calls' is done with before the next one's begins
        room = scratch + max((_layout(value).size + SLACK for value in between.values()), default=0)
        self._room, self._alone = arena_layout(tuple(map(_layout, inside)), room), [*map(_layout, alone)]
        source = {id(value): (n, 0) for n, value in enumerate((*outside.values(), *alone), 1)}
        source |= {id(value): (ARENA, start) for value, start in zip(inside, self._room.starts, strict=True)}
        source |= dict.fromkeys(between, (ARENA, self._room.room + scratch))
        owner |= between

        def spot_of(value: Value) -> Spot:
            mine = owner[id(value)]
            number, start = source[id(mine)]
            if mine is value:
                return Spot(_layout(value), number, start)
            before = _layout(mine).first if number == ARENA else 0
            return Spot(_layout(value), number, start + before + value.origin - mine.origin)

        self._spots = [spot_of(value) for value in results]
        last = [*accumulate(len(step.outputs) for step in self.steps)]
        self._bounds = list(zip([0, *last], last, strict=False))

        places = ((spot_of(value), distance) for _, value, distance in taken.trace)
        self._script = Script(taken, [(spot.source, distance + spot.begin) for spot, distance in places])
        self._leaving = [(key, n) for key, n in self.keys.items() if key in live]
        self._gone = [key for key in outside if key not in live]

    def play(self, live: MutableMapping[str, Value]) -> Played | None:
        """Compute all steps from what is live; None where they have to be run one by one: nothing is done then."""
        sources = [live[key] for key, _ in self._outside]
        if any(value.layout is not layout for value, (_, layout) in zip(sources, self._outside, strict=True)):
            return None
        for layout in self._alone:
            value = new_value(layout)
            clear_around(value)
            value.freeze()
            sources.append(value)
        arena = Arena(self._room)
        if not self._script.run(arena.room, (arena.origin, *[value.origin for value in sources])):
            return None
        played = Played(self._spots, self._bounds, sources, arena)
        for key, number in self._leaving:
            live[key] = played.value(number)
        for key in self._gone:
            live.pop(key, None)
        return played


class Played:
    """What the steps of a segment gave; a result is made when somebody asks for it.

    Parameters
    ----------
    spots : sequence of Spot
        Of the results.
    bounds : sequence of (int, int)
        Which results each step gave.
    sources : sequence of Value
        Values that results share memory with.
    arena : Arena
        Memory of the others.

    Attributes
    ----------
    nbytes : int
        Memory that is free when nobody holds any of the results.
    kept : int
        Steps whose results a cache holds.
    """

    __slots__ = ("_arena", "_bounds", "_sources", "_spots", "_values", "kept", "nbytes")

    def __init__(
        self, spots: Sequence[Spot], bounds: Sequence[tuple[int, int]], sources: Sequence[Value], arena: Arena
    ) -> None:
        self._spots, self._bounds, self._sources, self._arena = spots, bounds, sources, arena
        self._values: dict[int, Value] = {}
        self.nbytes, self.kept = arena.nbytes, 0

    def value(self, number: int) -> Value:
        """Return a result by its number among all."""
        found = self._values.get(number)
        if found is None:
            layout, source, start = self._spots[number]
            if source == ARENA:
                found = self._arena.value(start, layout)
            else:
                found = self._sources[source - 1]
                if found.layout is not layout or start:
                    found = found.seen_as(layout, start)
            self._values[number] = found
        return found

    def step(self, number: int) -> StepResult:
        """Return what a step gave, by its number among all."""
        begin, end = self._bounds[number]
        return StepResult([self.value(n) for n in range(begin, end)])


def _layout(value: Value) -> Layout:
    assert value.layout is not None
    return value.layout
