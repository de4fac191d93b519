"""Long work on one worker thread, with progress and cancel.

A new job of the same workbench cancels the one before it: what the user sees next is the newest state. Errors end in
the job, not in the thread.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Any

from qworkbench.errors import Cancelled


class Job:
    """One piece of work.

    Attributes
    ----------
    done, total : int
        Progress, in steps of the work.
    error : Exception or None
        What ended it early; :class:`~qworkbench.errors.Cancelled` after a cancel.
    """

    def __init__(self, work: Callable[[Job], Any]) -> None:
        self._work = work
        self._cancel = Event()
        self._finished = Event()
        self.done = 0
        self.total = 0
        self.result: Any = None
        self.error: Exception | None = None

    def cancel(self) -> None:
        """Ask the work to stop at its next step."""
        self._cancel.set()

    @property
    def cancelled(self) -> bool:
        """Tell whether a stop was asked for."""
        return self._cancel.is_set()

    @property
    def running(self) -> bool:
        """Tell whether the work is still going on."""
        return not self._finished.is_set()

    def progress(self, done: int, total: int) -> None:
        """Note how far the work is."""
        self.done, self.total = done, total

    def wait(self, timeout: float | None = None) -> Any:
        """Wait for the end and return the result; raise what the work raised."""
        if not self._finished.wait(timeout):
            raise TimeoutError(f"the job is still running after {timeout} s")
        if self.error is not None:
            raise self.error
        return self.result

    def run(self) -> None:
        """Do the work in this thread."""
        try:
            self.result = self._work(self)
        except Exception as error:  # noqa: BLE001 (the worker thread hands every error to whoever waits)
            self.error = error
        finally:
            self._finished.set()


class Worker:
    """Runs one job at a time on a daemon thread."""

    def __init__(self) -> None:
        self._current: Job | None = None
        self._lock = Lock()

    def start(self, work: Callable[[Job], Any]) -> Job:
        """Cancel what is running, wait for it to stop, and start `work`."""
        job = Job(work)
        with self._lock:
            before, self._current = self._current, job

        def turn() -> None:
            if before is not None:
                before.cancel()
                before._finished.wait()
            if job.cancelled:
                job.error = Cancelled("superseded before it began")
                job._finished.set()
                return
            job.run()

        if before is not None:
            before.cancel()
        Thread(target=turn, name="qworkbench-worker", daemon=True).start()
        return job

    def cancel(self) -> bool:
        """Cancel the running job; tell whether there was one."""
        with self._lock:
            job = self._current
        if job is None or not job.running:
            return False
        job.cancel()
        return True

    @property
    def running(self) -> bool:
        """Tell whether a job is going on."""
        job = self._current
        return job is not None and job.running
