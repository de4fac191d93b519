"""What a run queued, taken down: when the same steps run again, only addresses are new, all of them at once.

A tape holds for one list of steps. Its segments are what went to the kernels in one go; a step between two segments is
run as ever. Where an operand lies otherwise than when the tape was made, a segment does not play. Knows no caches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import NamedTuple

import numpy as np

from qworkbench.emulator.cache import StepResult
from qworkbench.emulator.kernels.calls import clear_around
from qworkbench.emulator.kernels.queue import Queue
from qworkbench.emulator.kernels.values import Layout, Value, new_value
from qworkbench.emulator.plan import Step
from qworkbench.travel import Local

KEPT = 4  # tapes of a plan: whole runs, and what is asked for again and again
MADE = -1  # in place of the value that a result is a view of


class Waiting(NamedTuple):
    """A step that waits for the queue to run."""

    step: Step
    outcome: StepResult
    operands: Sequence[Value]


class Segment:
    """Steps whose kernels run in one go.

    Parameters
    ----------
    queue : Queue
        With these steps in it, traced, about to run.
    waiting : sequence of Waiting
    live : Mapping of str to Value
        What later steps read.
    """

    def __init__(self, queue: Queue, waiting: Sequence[Waiting], live: Mapping[str, Value]) -> None:
        self.steps = [one.step for one in waiting]
        results = [value for one in waiting for value in one.outcome.values]
        keys = [key for one in waiting for key in one.step.outputs]
        place = {id(value): index for index, value in enumerate(results)}
        read = ((key, value) for one in waiting for key, value in zip(one.step.inputs, one.operands, strict=True))
        outside = {key: value for key, value in read if id(value) not in place}
        self._outside = [(key, value.layout) for key, value in outside.items()]
        first = len(outside)
        at = {id(value): index for index, value in enumerate(outside.values())}
        at.update((owner, first + index) for owner, index in place.items())
        self._made: list[tuple[int, Layout | None]] = []
        self._sizes: list[int] = []
        for one in waiting:
            viewed = at[id(one.operands[0])] if one.outcome.values[0].viewed else MADE
            self._made += [(viewed, value.layout) for value in one.outcome.values]
            self._sizes.append(len(one.outcome.values))
        self._script, addressed = queue.taken_down()
        self._which = np.array([at[id(value)] for value in addressed], np.int64)
        self._leaving = [(key, first + index) for index, key in enumerate(keys) if key in live]
        self._gone = [key for key in outside if key not in live]

    def play(self, live: MutableMapping[str, Value], finished: Callable[[Step, StepResult], None]) -> bool:
        """Compute all steps from what is live; False where they have to be run one by one: nothing is done then."""
        values = [live[key] for key, _ in self._outside]
        if any(value.layout is not layout for value, (_, layout) in zip(values, self._outside, strict=True)):
            return False
        for viewed, layout in self._made:
            assert layout is not None
            value = new_value(layout) if viewed == MADE else values[viewed].seen_as(layout)
            if value.unclean:
                clear_around(value)
            values.append(value)
        if not self._script.run(np.array([value.origin for value in values], np.int64)[self._which]):
            return False
        for key, index in self._leaving:
            live[key] = values[index]
        for key in self._gone:
            live.pop(key, None)
        begin = len(self._outside)
        for step, size in zip(self.steps, self._sizes, strict=True):
            finished(step, StepResult(values[begin : begin + size]))
            begin += size
        return True


class Tape:
    """Segments and single steps in order."""

    def __init__(self) -> None:
        self.parts: list[Segment | Step] = []


def tape_of(held: Local, key: object) -> tuple[Tape | None, Tape | None]:
    """Return the tape under `key`, and a new one where it is time to make it: when `key` comes the second time."""
    found: Tape | None = held.get(key)
    if found is not None or key in held:
        return found, Tape() if found is None else None
    held.keep(key, None, KEPT)
    return None, None
