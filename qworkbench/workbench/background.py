"""Analyses on the worker thread: progress, rows as they come, cancel, one event at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qworkbench.errors import unknown_name

if TYPE_CHECKING:
    from qworkbench.analysis.worst import BadCases
    from qworkbench.workbench.diagnosing import Diagnosing
    from qworkbench.workbench.jobs import Job, Worker

STREAMING = ("sensitivity", "mixed_precision", "recipe", "bisect")
SILENT = ("partial", "channels")
"""Those without progress, since they take one pass."""
ANALYSES = ("sensitivity", "sensitivity_preview", "bad_cases", "compare_layers", *STREAMING[1:], *SILENT)
INTERVAL = 0.2
"""Seconds between two states of a stream of samples."""


def start_analysis(
    worker: Worker,
    publish: Callable[[str, Any], None],
    workbench: Diagnosing,
    analysis: str,
    *given: Any,
    **options: Any,
) -> Job:
    """Start one of :data:`ANALYSES` as a job with progress and cancel.

    Raises
    ------
    UnknownNameError
    """
    if analysis not in ANALYSES:
        raise unknown_name("analysis", analysis, ANALYSES)

    def rows(found: Any) -> None:
        publish("rows", {"analysis": analysis, "result": found})

    def work(job: Job) -> Any:
        def progress(name: str, done: int, total: int) -> None:
            job.progress(done, total)
            publish("progress", {"node": name, "done": done, "total": total})

        watch: dict[str, Any] = {}
        if analysis not in SILENT:
            watch = {"progress": progress, "cancelled": lambda: job.cancelled}
        if analysis in STREAMING:
            options.setdefault("on_rows", rows)
        if analysis == "bad_cases":
            options["stop"] = _telling(rows, options.get("stop"))
        try:
            result = getattr(workbench, analysis)(*given, **watch, **options)
        except Exception as error:
            publish("cancelled" if job.cancelled else "error", str(error))
            raise
        publish("analysed", {"analysis": analysis, "result": result})
        return result

    publish("running", None)
    return worker.start(work)


def _telling(tell: Callable[[BadCases], None], stop: Callable[[BadCases], bool] | None) -> Callable[[BadCases], bool]:
    """Return `stop`, which is asked after every item, so that it also tells the result so far now and then."""
    last = 0.0

    def asked(found: BadCases) -> bool:
        nonlocal last
        if time.monotonic() - last >= INTERVAL:
            last = time.monotonic()
            tell(found)
        return stop is not None and stop(found)

    return asked
