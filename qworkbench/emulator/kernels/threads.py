"""One small pool for kernels that run long: as many threads as ``QWORKBENCH_NUM_THREADS`` says.

Kernels release the GIL and take chunks of work from a shared counter, so that a thread which comes late costs nothing.
numba's own parallel pools are not used, and torch runs only between kernels, so that no two pools work at once. Knows
no kernel.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from qworkbench.errors import EmulationError

Work = Callable[..., None]

VARIABLE = "QWORKBENCH_NUM_THREADS"


def thread_count() -> int:
    """Return how many threads a kernel may use; the processors of this process where the variable is not set.

    Raises
    ------
    EmulationError
        When the variable holds something other than a whole number from 1 up.
    """
    asked = os.environ.get(VARIABLE, "").strip()
    if not asked:
        return _processors()
    if not asked.isdecimal() or int(asked) < 1:
        raise EmulationError(f"{VARIABLE}={asked!r} must be a whole number from 1 up; 1 uses no pool")
    return int(asked)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _pool(helpers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(helpers, thread_name_prefix="qworkbench-kernel")


def share(work: Work, *arguments: int, threads: int, helper: Work | None = None) -> None:
    """Run ``work(*arguments)`` on this thread, and it or `helper` on ``threads - 1`` others.

    What they call shares out the work, so that a helper which does not come in time is not waited for.
    """
    others = [_pool(threads - 1).submit(helper or work, *arguments) for _ in range(threads - 1)] if threads > 1 else []
    work(*arguments)
    for other in others:
        if not other.cancel():
            other.result()
