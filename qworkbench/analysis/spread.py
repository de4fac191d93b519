"""Independent parts of a long analysis on any ``concurrent.futures.Executor``: threads, processes, a Dask cluster.

Results come as they are ready, with the number of their part. A part whose worker died is computed here, so nothing is
lost; an error of the analysis itself is passed on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import TypeVar

from qworkbench.errors import AnalysisError, Cancelled, QWorkbenchError

Part = TypeVar("Part")
Result = TypeVar("Result")

PATIENCE = 0.2  # seconds between two looks at `cancelled`
AHEAD = 64  # parts that are submitted before the first is back: a stream may be long


def spread(
    function: Callable[[Part], Result],
    parts: Sequence[Part] | Iterator[Part],
    executor: Executor,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[int, Result]]:
    """Yield (number, result) of every part as soon as it is there.

    Parameters
    ----------
    function : callable
        Importable by the workers.
    parts : sequence or iterator
        Each can be pickled where workers are processes. An iterator is read as results come back.
    executor : concurrent.futures.Executor
        For Dask, ``Client.get_executor()``.
    cancelled : callable

    Raises
    ------
    AnalysisError
        When `executor` is not one.
    Cancelled
    """
    if not isinstance(executor, Executor):
        raise AnalysisError(
            f"executor must be a concurrent.futures.Executor, got {type(executor).__name__}; e.g. "
            "ThreadPoolExecutor(2), or Client(...).get_executor() of Dask"
        )
    waiting: dict[Future[Result], tuple[int, Part]] = {}
    source = enumerate(parts)
    more = True
    try:
        while more or waiting:
            while more and len(waiting) < AHEAD:
                item = next(source, None)
                if item is None:
                    more = False
                    break
                waiting[_submit(executor, function, item[1])] = item
            if cancelled():
                raise Cancelled("the analysis was cancelled; what was finished is kept")
            ready, _ = wait(waiting, PATIENCE, FIRST_COMPLETED)
            for future in ready:
                number, part = waiting.pop(future)
                yield number, _result(future, function, part)
    finally:
        for future in waiting:
            future.cancel()


def _submit(executor: Executor, function: Callable[[Part], Result], part: Part) -> Future[Result]:
    try:
        return executor.submit(function, part)
    except QWorkbenchError:
        raise
    except Exception as error:  # noqa: BLE001  # a pool that broke takes no more; each part is then computed here
        broken: Future[Result] = Future()
        broken.set_exception(error)
        return broken


def _result(future: Future[Result], function: Callable[[Part], Result], part: Part) -> Result:
    try:
        return future.result()
    except QWorkbenchError:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        # the worker died, or could not read the part: the same error comes again here if it is the part's own
        return function(part)
