"""The runs of a session in the order they ended: how each output moved, and what a former state gave.

Keeps the figures of a run, not its tensors. Knows no history of edits; a run is found by its configuration.
"""

from __future__ import annotations

import math
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qworkbench.workbench.config import Config
    from qworkbench.workbench.run import Run

KEPT = 64


class Trail:
    """The last runs, oldest first."""

    def __init__(self, keep: int = KEPT) -> None:
        self._keep = keep
        self._runs: list[Run] = []
        self._lock = Lock()

    def add(self, run: Run) -> None:
        """Append the figures of `run`."""
        with self._lock:
            self._runs = [*self._runs, replace(run, outputs={})][-self._keep :]

    def find(self, config: Config, calibrated: int) -> Run | None:
        """Return the newest run of `config` with those thresholds, or None."""
        same = (run for run in reversed(self._runs) if run.config == config and run.calibrated == calibrated)
        return next(same, None)

    def series(self, output: str, column: str) -> list[float | None]:
        """Return `column` of one output over the runs on the inputs of the newest one; None where it is not finite."""
        runs = self._runs
        found = []
        for run in runs:
            metrics = run.tables.at_outputs.get(output)
            if run.inputs == runs[-1].inputs and metrics is not None:
                value = float(getattr(metrics, column))
                found.append(value if math.isfinite(value) else None)
        return found
