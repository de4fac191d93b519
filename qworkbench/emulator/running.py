"""Run steps one by one, or hand prepared kernels over together: a step that ran before only waits in a queue.

What is queued has a place in memory at once and its content after the next flush, so that steps which need no Python
follow each other without any. Knows neither caches nor what is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from qworkbench.emulator.cache import StepResult
from qworkbench.emulator.kernels.calls import Prepared, listening, noted, setting
from qworkbench.emulator.kernels.queue import Queue, give_back, lent_queue
from qworkbench.emulator.kernels.surface import asking
from qworkbench.emulator.kernels.values import Layout, Value, value_of
from qworkbench.emulator.plan import Step
from qworkbench.emulator.segment import Segment, Waiting
from qworkbench.emulator.steps import run_step
from qworkbench.emulator.tape import Tape

KEPT = 4  # ways in which the operands of a step may lie: batches of other sizes


class Runner:
    """Runs steps in the order in which they come; a context, in which it has a queue of its own.

    Parameters
    ----------
    feeds : Mapping of str to numpy.ndarray
    batch : int
        Batch size of the feeds.
    ops : module
        Who computes.
    finished : callable
        Told of every (step, result) in order, once the result is there.
    prepares : bool
        Whether calls are prepared and wait for each other; else every step runs at once.
    together : bool
        Whether prepared calls may wait for each other; else each runs, and is told of, before the next one begins.
    margins : Mapping of str to int, optional
        How far beyond its edges a result is read, by its key, where that is further than usual.

    Attributes
    ----------
    live : dict of str to Value
        Results by key, for the steps that come; the caller takes out what none of them reads.
    setting : object
        What prepared calls depend on beside how their operands lie.
    """

    def __init__(
        self,
        feeds: Mapping[str, np.ndarray],
        batch: int,
        ops: Any,
        finished: Callable[[Step, StepResult], None],
        prepares: bool,
        together: bool = True,
        margins: Mapping[str, int] | None = None,
    ) -> None:
        self.live: dict[str, Value] = {name: value_of(array) for name, array in feeds.items()}
        self._batch, self._ops, self._finished = batch, ops, finished
        self._margins = margins or {}
        self._prepares = prepares
        self._queue: Queue | None = None
        self.setting = setting()
        self._together = together
        self._waiting: list[Waiting] = []
        self._tape: Tape | None = None
        self._apart: Collection[str] = ()

    def run(self, step: Step) -> None:
        """Compute `step` from what is live, or queue it; its results are live then."""
        live = self.live
        operands = [live[key] for key in step.inputs]
        if self._prepares:
            queue = self._own_queue()
            prepared = step.made.get(self._lie(step, [value.layout for value in operands]))
            if prepared is not None:
                if not queue.fits(prepared):
                    self.flush()
                values = queue.add(prepared, operands, (step, operands))
                for key, value in zip(step.outputs, values, strict=True):
                    live[key] = value
                self._waiting.append(Waiting(step, StepResult(values), operands))
                if not self._together:
                    self.flush()
                return
            self.flush()
        if self._tape is not None:
            self._tape.parts.append(step)
        outcome = self._at_once(step, operands)
        live.update(zip(step.outputs, outcome.values, strict=True))
        self._finished(step, outcome)

    def _at_once(self, step: Step, operands: Sequence[Value]) -> StepResult:
        arrays = [value.array for value in operands]
        with listening() as notes, asking(self._margin(step)):
            outcome = run_step(step, arrays, self._batch, self._ops)
        layouts = [value.layout for value in operands]
        if self._prepares and None not in layouts:
            prepared = noted(notes, arrays, outcome.outputs) or _view(step, operands, outcome.values)
            if prepared is not None:
                step.made.keep(self._lie(step, layouts), prepared, KEPT)
        return outcome

    def _margin(self, step: Step) -> int:
        return max([self._margins.get(key, 0) for key in step.outputs]) if self._margins else 0

    def _lie(self, step: Step, layouts: Sequence[Layout | None]) -> tuple[object, ...]:
        """Return what prepared calls of a step depend on."""
        return (self.setting, self._margin(step), *layouts)

    def record(self, tape: Tape, apart: Collection[str]) -> None:
        """Take down what comes; results of the keys `apart` have memory of their own."""
        self._tape, self._apart = tape, apart
        self._own_queue().trace = []

    def _own_queue(self) -> Queue:
        if self._queue is None:
            self._queue = lent_queue()
        return self._queue

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        if self._queue is not None:
            give_back(self._queue)
            self._queue = None

    def flush(self) -> None:
        """Compute what waits, and tell of it."""
        if self._queue is not None and self._waiting:
            if self._tape is not None:
                self._tape.parts.append(Segment(self._queue, self._waiting, self.live, self._apart))
            failed: Any = self._queue.run()
            for step, operands in failed:
                self._at_once(step, operands)  # it says what is wrong
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                self._finished(one.step, one.outcome)


def _view(step: Step, operands: Sequence[Value], results: Sequence[Value]) -> Prepared | None:
    """Return how a step is repeated that only saw its operand otherwise; None for any other."""
    if step.kind != "torch" or len(operands) != 1:
        return None
    (operand,) = operands
    before, layouts = operand.layout, [value.layout for value in results]
    distances = [value.origin - operand.origin for value in results]
    for after, distance in zip(layouts, distances, strict=True):
        if before is None or after is None or after.whole is not None or after.dtype != before.dtype:
            return None
        if not before.holds(after, distance):
            return None
    return Prepared([layout for layout in layouts if layout is not None], (), 0, None, distances=distances)
