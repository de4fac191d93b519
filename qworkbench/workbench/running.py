"""Runs of a workbench: in this thread or on the worker, always on a snapshot of the configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qworkbench.errors import CalibrationError
from qworkbench.workbench.config import Config
from qworkbench.workbench.jobs import Job
from qworkbench.workbench.preparing import Preparing
from qworkbench.workbench.run import Run, emulate_config, run_config


class Running(Preparing):
    """A workbench that emulates and compares."""

    def run(self, inputs: Any = None, *, progress: Callable[[str, int, int], None] | None = None) -> Run:
        """Emulate the configuration in force and compare every node with the float model.

        Parameters
        ----------
        inputs : as the model takes them, optional
            Any batch size where the model allows it; None is :attr:`sample`: the example, or without one the first
            calibration sample.
        progress : callable, optional
            Called with (node, done, total) as nodes are measured.

        Returns
        -------
        Run
            Only what the edits reach is computed; ``before`` columns refer to the run before on the same inputs.
        """
        return self._run(self.config, self._ticket(), inputs, progress, lambda: False)

    def current_run(self, *, progress: Callable[[str, int, int], None] | None = None) -> Run:
        """Return the newest run; where edits or thresholds are newer, run again on the inputs of that run first.

        Parameters
        ----------
        progress : callable, optional
            As for :meth:`run`.

        Returns
        -------
        Run
            Its :attr:`~qworkbench.workbench.run.Run.sample` tells which inputs these are: those of :meth:`run` by
            default where nothing ran before.
        """
        last = self._last
        return self.run(self._ran_on, progress=progress) if last is None or self.stale else last

    def run_async(self, inputs: Any = None) -> Job:
        """Do the same on the worker thread; a newer call cancels this one. Listeners hear of progress and the end."""
        config, ticket = self.config, self._ticket()

        def work(job: Job) -> Run:
            def progress(node: str, done: int, total: int) -> None:
                job.progress(done, total)
                self._publish("progress", {"node": node, "done": done, "total": total})

            try:
                return self._run(config, ticket, inputs, progress, lambda: job.cancelled)
            except Exception as error:
                self._publish("cancelled" if job.cancelled else "error", str(error))
                raise

        self._publish("running", None)
        return self._worker.start(work)

    def run_again_async(self) -> Job:
        """Do the same on the inputs of the newest run, so that what changed is told; on the default ones before any."""
        return self.run_async(self._ran_on)

    def cancel(self) -> bool:
        """Stop the running job; tell whether there was one."""
        return self._worker.cancel()

    def _ticket(self) -> int:
        """Return a number that tells which of two runs was asked for later."""
        with self._lock:
            self._asked += 1
            return self._asked

    def _run(
        self,
        config: Config,
        ticket: int,
        inputs: Any,
        progress: Callable[[str, int, int], None] | None,
        cancelled: Callable[[], bool],
    ) -> Run:
        sample = self._sample(inputs)
        run = run_config(
            self._stages,
            config,
            sample,
            self._cache,
            self._measured,
            words=self._default_words() if inputs is None else "",
            before=self._last,
            progress=progress,
            cancelled=cancelled,
        )
        with self._lock:
            newest = ticket > self._published
            if newest:
                self._last, self._ran_on, self._published = run, inputs, ticket
                self._trail.add(run)
        if newest:
            self._publish("ran", run)
        return run

    def _sample(self, inputs: Any) -> Any:
        sample = self.sample if inputs is None else inputs
        if sample is None:
            raise CalibrationError(
                "the model was loaded without an example, and no calibration data was seen, whose first sample would "
                "do; calibrate with data, or pass inputs, e.g. wb.run(images[:1])"
            )
        return sample

    def _default_words(self) -> str:
        return "the example" if self._example is not None else "the first calibration sample"

    def emulate(self, inputs: Any) -> Any:
        """Return the emulated outputs on `inputs` in the model's own form, without comparing anything."""
        return emulate_config(self._stages, self.config, inputs, self._cache)
