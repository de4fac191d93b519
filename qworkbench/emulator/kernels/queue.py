"""Calls that wait for each other and run in one go, in the order in which they came.

A result may be handed on before it is computed: its address is known, its content is not until :meth:`Queue.run`.
Knows no operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import local
from typing import NamedTuple

import numpy as np

from qworkbench.emulator.kernels.calls import RESULT, Prepared, Ready, clear_around, clearing, words_of
from qworkbench.emulator.kernels.threads import share, thread_count
from qworkbench.emulator.kernels.values import Value, new_value
from qworkbench.emulator.kernels.vector.playing import ENTRY, FUNCTION, ROW, SHARED, help_play, play

CALLS = 128
WORDS = 48 * CALLS  # of all rows
MOST_BYTES = 64 * 1024**2  # of results that wait
MOST_WORK = 1 << 31  # multiply-accumulates that wait: some ms
WORTH_WAKING = 1 << 28  # multiply-accumulates from which on other threads are woken for them


class Taken(NamedTuple):
    """What waited: rows, calls as (function, first word of the row, shared), how many threads they are worth.

    The trace is (word, value, distance) for each word that is an address; words `lost` must stay zero; the calls that
    were prepared own memory that the rows point into.
    """

    rows: np.ndarray
    calls: np.ndarray
    threads: int
    trace: list[tuple[int, Value, int]]
    lost: list[int]
    kept: list[Prepared]


class Queue:
    """Prepared calls with their addresses; of one thread."""

    def __init__(self) -> None:
        self._rows, self._entries = np.zeros(WORDS, np.int64), np.zeros(CALLS * ENTRY + 1, np.int64)
        self._row, self._entry = words_of(self._rows), words_of(self._entries)
        self._first, self._list = self._rows.ctypes.data, self._entries.ctypes.data
        self._values: list[Value] = []
        self._needed: list[object] = []  # memory that waiting calls read must not be lent to others meanwhile
        self._lost: list[tuple[int, object]] = []  # words that must stay zero, and who waits for them
        self.trace: list[tuple[int, Value, int]] | None = None  # where asked for: words that are addresses, and whose
        self.empty()

    def empty(self) -> None:
        """Forget what waits."""
        self._words = self._calls = self._bytes = self._work = 0
        self._shared = False
        self._values.clear()
        self._needed.clear()
        self._lost.clear()
        if self.trace is not None:
            self.trace.clear()

    def add(self, prepared: Prepared, operands: Sequence[Value], owner: object = None) -> Sequence[Value]:
        """Return what `prepared` makes of `operands`, to be computed with the next :meth:`run`."""
        calls = prepared.calls
        if not calls:
            seen = zip(prepared.layouts, prepared.distances, strict=True)
            return [operands[0].seen_as(layout, distance) for layout, distance in seen]
        values = [new_value(layout) for layout in prepared.layouts]
        for value in values:
            if value.unclean and self.trace is not None:
                clear_around(value)
            elif value.unclean:
                self._append(clearing(value.layout), (), (value,))
                self._values.append(value)
        scratch, first = [new_value(layout) for layout in prepared.scratch], self._words
        for call in calls:
            self._append(call, operands, [*values, *scratch] if scratch else values)
        if prepared.lost is not None:
            self._lost.append((first + prepared.lost, owner))
        self._needed += operands
        self._needed += scratch
        self._needed.append(prepared)
        self._bytes += prepared.block
        self._work += prepared.work
        return values

    def fits(self, prepared: Prepared) -> bool:
        """Tell whether `prepared` may still wait; else what does should run first."""
        return (
            self._bytes < MOST_BYTES
            and self._work < MOST_WORK
            and self._calls + len(prepared.calls) + len(prepared.layouts) <= CALLS
            and self._words + prepared.words + 6 * len(prepared.layouts) <= WORDS
        )

    def _append(self, call: Ready, operands: Sequence[Value], results: Sequence[Value]) -> None:
        function, template, slots, shared = call
        begin, entry, row = self._words, self._calls * ENTRY, self._row
        self._words = end = begin + len(template)
        row[begin:end] = template
        for slot, operand, distance in slots:
            value = operands[operand] if operand >= 0 else results[RESULT - operand]
            row[begin + slot] = value.origin + distance
            if self.trace is not None:
                self.trace.append((begin + slot, value, distance))
        self._entry[entry + FUNCTION] = function
        self._entry[entry + ROW] = self._first + 8 * begin
        self._entry[entry + SHARED] = shared
        self._shared |= shared
        self._calls += 1

    def run(self) -> list[object]:
        """Compute everything that waits; return the owners of what has to be run in full instead."""
        if not self._calls:
            return []
        self._entry[self._calls * ENTRY] = 0
        run_entries(self._list, self._calls, self._threads())
        for value in self._values:
            value.cleaned()
        failed = [owner for word, owner in self._lost if self._row[word]]
        self.empty()
        return failed

    def _threads(self) -> int:
        return thread_count() if self._shared and self._work >= WORTH_WAKING else 1

    def taken_down(self) -> Taken:
        """Return what waits, for a :class:`~qworkbench.emulator.kernels.script.Script`; traced."""
        assert self.trace is not None
        calls = self._entries[: self._calls * ENTRY].reshape(-1, ENTRY)[:, [FUNCTION, ROW, SHARED]]
        calls[:, 1] = (calls[:, 1] - self._first) // 8
        lost = [word for word, _ in self._lost]
        kept = [one for one in self._needed if isinstance(one, Prepared)]
        return Taken(self._rows[: self._words].copy(), calls, self._threads(), list(self.trace), lost, kept)


def run_entries(entries: int, count: int, threads: int) -> None:
    """Run `count` entries, behind which is a zero."""
    current = entries + 8 * ENTRY * count
    if threads == 1:
        play(entries, count, current)
    else:
        share(play, entries, count, current, threads=threads, helper=help_play)


class _Free(local):
    def __init__(self) -> None:
        self.queues: list[Queue] = []


_free = _Free()


def lent_queue() -> Queue:
    """Lend an empty queue that nobody else uses, made once per thread and depth."""
    return _free.queues.pop() if _free.queues else Queue()


def give_back(queue: Queue) -> None:
    """Take a lent queue back."""
    queue.trace = None
    queue.empty()
    _free.queues.append(queue)
