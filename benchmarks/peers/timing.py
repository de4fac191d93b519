"""Candidates timed in turn within one run, so that a busy machine slows all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

Work = Callable[[], object]


def interleaved(
    candidates: Mapping[str, Work], rounds: int, *, threads: int = 1, least: float = 0.002
) -> dict[str, list[float]]:
    """Return seconds per call of each candidate, one figure a round, in the order A B C, C B A, A B C ...

    Parameters
    ----------
    candidates : Mapping of str to callable
    rounds : int
    threads : int
        With 1, the CPU time of this thread is read; with more, the wall clock.
    least : float
        A short call is repeated within a round until it fills this many seconds.
    """
    clock = time.thread_time if threads == 1 else time.perf_counter
    repeats = {}
    for name, work in candidates.items():
        work()
        began = clock()
        work()
        repeats[name] = max(1, int(least / max(clock() - began, 1e-7)))
    found: dict[str, list[float]] = {name: [] for name in candidates}
    order = list(candidates)
    for _ in range(rounds):
        for name in order:
            began = clock()
            for _ in range(repeats[name]):
                candidates[name]()
            found[name].append((clock() - began) / repeats[name])
        order.reverse()
    return found


def ratio(times: Mapping[str, list[float]], name: str, peers: list[str]) -> float | None:
    """Return the median over rounds of `name` against the peer whose median is best; None without a peer."""
    there = [peer for peer in peers if peer in times]
    if not there:
        return None
    best = min(there, key=lambda peer: statistics.median(times[peer]))
    return statistics.median(a / b for a, b in zip(times[name], times[best], strict=True))


def floor(times: Mapping[str, list[float]], peers: list[str], operations: float, most: float | None) -> float | None:
    """Return `operations` at `most` giga-operations a second against the best of `peers`: no kernel comes below.

    A goal that is smaller asks for more than this processor's instructions can do.
    """
    there = [statistics.median(times[peer]) for peer in peers if peer in times]
    return operations / (most * 1e9) / min(there) if there and most else None
