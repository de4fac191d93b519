"""Run steps one by one, or hand prepared kernels over together: a step that ran before only waits in a queue.

What is queued has a place in memory at once and its content after the next flush, so that steps which need no Python
follow each other without any. Knows neither caches nor what is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from qworkbench.emulator.cache import StepResult
from qworkbench.emulator.kernels.calls import Prepared, forget, noted, setting
from qworkbench.emulator.kernels.queue import Queue
from qworkbench.emulator.kernels.values import Value, value_of
from qworkbench.emulator.plan import Step
from qworkbench.emulator.steps import run_step


class Runner:
    """Runs steps in the order in which they come.

    Parameters
    ----------
    feeds : Mapping of str to numpy.ndarray
    batch : int
        Batch size of the feeds.
    ops : module
        Who computes.
    finished : callable
        Told of every (step, result) in order, once the result is there.
    together : bool
        Whether prepared calls may wait for each other; else each runs, and is told of, before the next one begins.
    """

    def __init__(
        self,
        feeds: Mapping[str, np.ndarray],
        batch: int,
        ops: Any,
        finished: Callable[[Step, StepResult], None],
        together: bool = True,
    ) -> None:
        self.live: dict[str, Value] = {name: value_of(array) for name, array in feeds.items()}
        self._batch, self._ops, self._finished = batch, ops, finished
        self._queue = Queue() if getattr(ops, "PACKS", False) else None
        self._setting = setting()
        self._together = together
        self._waiting: list[tuple[Step, StepResult]] = []

    def run(self, step: Step) -> StepResult:
        """Compute `step` from what is live, or queue it."""
        operands = [self.live[key] for key in step.inputs]
        queue = self._queue
        if queue is not None:
            prepared = step.made.get((self._setting, *[value.layout for value in operands]))
            if prepared is not None:
                outcome = StepResult(queue.add(prepared, operands))
                self._waiting.append((step, outcome))
                if queue.full or not self._together:
                    self.flush()
                return outcome
        self.flush()
        outcome = self._at_once(step, operands)
        self._finished(step, outcome)
        return outcome

    def _at_once(self, step: Step, operands: list[Value]) -> StepResult:
        arrays = [value.array for value in operands]
        forget()
        outcome = run_step(step, arrays, self._batch, self._ops)
        layouts = [value.layout for value in operands]
        if self._queue is not None and None not in layouts:
            prepared = noted(arrays, outcome.outputs) or _view(step, operands, outcome.values)
            if prepared is not None:
                step.made[(self._setting, *layouts)] = prepared
        return outcome

    def flush(self) -> None:
        """Compute what waits, and tell of it."""
        if self._queue is not None and self._waiting:
            self._queue.run()
            waiting, self._waiting = self._waiting, []
            for step, outcome in waiting:
                self._finished(step, outcome)


def _view(step: Step, operands: Sequence[Value], results: Sequence[Value]) -> Prepared | None:
    """Return how a step is repeated that only saw a C-contiguous operand in another shape; None for any other."""
    if step.kind != "torch" or len(operands) != 1 or len(results) != 1:
        return None
    before, after = operands[0].layout, results[0].layout
    if before is None or after is None or before.whole is not None or after.whole is not None:
        return None
    same = operands[0].origin == results[0].origin and before.dtype == after.dtype and before.nbytes == after.nbytes
    return Prepared((after,), (), 0, None) if same else None
