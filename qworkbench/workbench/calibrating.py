"""Calibration of a workbench: data once, methods and searches after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qworkbench.calibration.candidates import Candidate, OnRows, SearchResult
from qworkbench.calibration.method import DEFAULT_PERCENTILE, CalibrationMethod
from qworkbench.calibration.observe import batches_of, collect
from qworkbench.calibration.search import SEARCHES
from qworkbench.errors import CalibrationError, QWorkbenchError
from qworkbench.placement.types import Placement
from qworkbench.workbench.edits import (
    Edit,
    SetCalibration,
)
from qworkbench.workbench.jobs import Job
from qworkbench.workbench.requesting import Requesting
from qworkbench.workbench.stages import Stages

if TYPE_CHECKING:
    from qworkbench.calibration.check import Finding


class Calibrating(Requesting):
    """A workbench that learns thresholds."""

    def calibrate(
        self,
        data: Any = None,
        *,
        method: str | None = None,
        percentile: float | None = None,
        per_channel: bool | None = None,
        progress: Callable[[int, int | None], None] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        on_rows: OnRows | None = None,
    ) -> SearchResult | None:
        """Observe calibration data, and choose how thresholds are read off it.

        Parameters
        ----------
        data : array, tensor, iterable of batches, or str or Path of a folder, optional
            None keeps the statistics and changes only the method, without touching data. Data also takes the weights
            as they are now, where the model was trained on since it was loaded. A folder holds ``.npy`` files
            or raw samples (:mod:`qworkbench.calibration.data`).
        method : "max" | "max-percentile" | "kl" | "mse" | "moving-average" | "entropy" | "default" | "mix", optional
            None keeps the method in force (``max`` at first) with its percentile and ``per_channel``. ``default`` and
            ``mix`` are the searches of the PTQ FAQ (:mod:`qworkbench.calibration.search`); what wins is applied as one
            step.
        percentile : float, optional
            Of ``max-percentile``; 0.99995 with a method that is named.
        per_channel : bool, optional
            One threshold per feature-map channel where convolutions on both sides allow it; a search decides itself.
            False with a method that is named.
        progress, cancelled : callable, optional
        on_rows : callable, optional
            Receives the candidates of a search so far after each.

        Returns
        -------
        SearchResult or None
            Every candidate of a search and why the winner won; :meth:`use_candidate` applies another one.

        Raises
        ------
        CalibrationError
            Empty data, wrong shape, NaN; the workbench keeps its former thresholds.
        Cancelled
            So does it here.
        """
        searched = method if method in SEARCHES else None
        choice = _chosen(self.config.calibration, method, percentile, per_channel)
        target = choice.apply(self.config)
        stages = self._stages
        if data is None and method is None and percentile is None and per_channel is None:
            raise QWorkbenchError("what shall change? give data, a method or both: wb.calibrate(images, method='kl')")
        if data is None and stages.statistics is None:
            raise QWorkbenchError("nothing is calibrated yet; pass calibration data once, then switch methods")
        if data is not None:
            batches = batches_of(data, stages.base, inputs=self.config.inputs)
            statistics = collect(
                stages.base,
                batches,
                per_channel=choice.per_channel,
                apart=self.config.machine.otherwise,
                progress=progress,
                cancelled=cancelled,
            )
            stages = Stages(stages.base)
            stages.statistics = statistics
        result: SearchResult | None = None
        edits: tuple[Edit, ...] = (choice,)
        if searched is not None:
            from qworkbench.workbench.searching import edits_of, search

            step = None if progress is None else lambda _, done, total: progress(done, total)
            result = search(
                searched,
                stages,
                self.config,
                self.sample,
                percentile=choice.percentile,
                progress=step,
                cancelled=cancelled,
                on_rows=on_rows,
            )
            edits = edits_of(result.applied, self.config)
        if data is not None:
            with self._lock:
                self._take(stages)
                self._read_as = self.config.inputs if isinstance(data, (str, Path)) else None
        if data is None or searched is not None or target.calibration != self.config.calibration:
            self.edit(*edits)
        else:
            self._publish("edited", None)
        if result is not None:
            self._found("search", result, self.config)
        return result

    def use_candidate(self, name: str) -> Placement:
        """Apply candidate `name` of the newest search instead of the one that was applied, as one step.

        Raises
        ------
        CalibrationError
            Before any search, or for a candidate that the emulator cannot represent.
        UnknownNameError
        """
        from qworkbench.workbench.searching import edits_of

        found = self.findings.get("search")
        if found is None:
            raise CalibrationError("there was no search yet; e.g. wb.calibrate(method='default')")
        result: SearchResult = found.result
        return self.edit(*edits_of(result.candidate(name), self.config))

    def calibrate_among(
        self,
        methods: Sequence[CalibrationMethod],
        *,
        progress: Callable[[int, int | None], None] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> SearchResult:
        """Try each of `methods` on the data seen before and keep the best by output cosine, as one step.

        Raises
        ------
        CalibrationError
            Without statistics.
        Cancelled
        """
        from qworkbench.workbench.searching import edits_of, search

        step = None if progress is None else lambda _, done, total: progress(done, total)
        result = search(
            "list",
            self._stages,
            self.config,
            self.sample,
            percentile=DEFAULT_PERCENTILE,
            methods=methods,
            progress=step,
            cancelled=cancelled,
        )
        self.edit(*edits_of(result.applied, self.config))
        self._found("search", result, self.config)
        return result

    def check_data(self, data: Any, *, cancelled: Callable[[], bool] = lambda: False) -> list[Finding]:
        """Return what looks wrong about calibration data (layout, NaN, normalisation ...), one sentence each."""
        from qworkbench.calibration.check import check_data

        return check_data(
            self.base_graph,
            batches_of(data, self.base_graph, inputs=self.config.inputs),
            self.sample,
            cancelled=cancelled,
        )

    def calibrate_async(self, data: Any = None, **options: Any) -> Job:
        """Do the same on the worker thread, with progress and cancel; a newer job cancels this one."""

        def work(job: Job) -> SearchResult | None:
            def progress(done: int, total: int | None) -> None:
                job.progress(done, total or 0)
                self._publish("progress", {"node": "calibration", "done": done, "total": total or 0})

            def rows(candidates: tuple[Candidate, ...]) -> None:
                self._publish("rows", {"analysis": "search", "result": candidates})

            try:
                result = self.calibrate(
                    data, progress=progress, cancelled=lambda: job.cancelled, on_rows=rows, **options
                )
                self._publish("calibrated", result)
                return result
            except Exception as error:
                self._publish("cancelled" if job.cancelled else "error", str(error))
                raise

        self._publish("running", None)
        return self._worker.start(work)


def _chosen(
    now: CalibrationMethod, method: str | None, percentile: float | None, per_channel: bool | None
) -> SetCalibration:
    """Return the choice that is meant; without a method the one in force stays, as far as nothing else is said."""
    if method is None:
        return SetCalibration(
            now.name,
            now.percentile if percentile is None else percentile,
            now.per_channel if per_channel is None else per_channel,
            now.num_bin,
            now.max_num_bin,
        )
    named = "max" if method in SEARCHES else method
    return SetCalibration(named, DEFAULT_PERCENTILE if percentile is None else percentile, per_channel is True)
