"""Calls that wait for each other and run in one go, in the order in which they came.

A result may be handed on before it is computed: its address is known, its content is not until :meth:`Queue.run`.
Knows no operation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qworkbench.emulator.kernels.calls import MOST_CALLS, RESULT, Prepared, Slot, clearing, words_of
from qworkbench.emulator.kernels.threads import share, thread_count
from qworkbench.emulator.kernels.values import Value, new_value
from qworkbench.emulator.kernels.vector.playing import ENTRY, FUNCTION, ROW, SHARED, help_play, play

CALLS = 128
MOST_WORDS = 48 * 2 * MOST_CALLS  # of the rows of one operation
WORDS = 48 * CALLS  # of all rows
MOST_BYTES = 64 * 1024**2  # of results that wait
MOST_WORK = 1 << 31  # multiply-accumulates that wait: some ms


class Queue:
    """Prepared calls with their addresses; of one thread."""

    def __init__(self) -> None:
        self._rows, self._entries = np.zeros(WORDS, np.int64), np.zeros(CALLS * ENTRY + 1, np.int64)
        self._row, self._entry = words_of(self._rows), words_of(self._entries)
        self._first, self._list = self._rows.ctypes.data, self._entries.ctypes.data
        self._values: list[Value] = []
        self._needed: list[object] = []  # memory that waiting calls read must not be lent to others meanwhile
        self._empty()

    def _empty(self) -> None:
        self._words = self._calls = self._bytes = self._work = 0
        self._shared = False
        self._values.clear()
        self._needed.clear()

    @property
    def full(self) -> bool:
        """Tell whether what waits should run before more is added."""
        return self._bytes >= MOST_BYTES or self._work >= MOST_WORK

    def add(self, prepared: Prepared, operands: Sequence[Value]) -> tuple[Value, ...]:
        """Return what `prepared` makes of `operands`, to be computed with the next :meth:`run`."""
        calls = prepared.calls
        if not calls:
            return (operands[0].seen_as(prepared.layouts[0]),)
        values = tuple(new_value(layout) for layout in prepared.layouts)
        if self._calls + len(calls) + len(values) > CALLS or self._words + MOST_WORDS > WORDS:
            self.run()
        for value in values:
            if value.unclean:
                self._append(*clearing(value.layout), (), (value,))
        for call in calls:
            self._append(*call, operands, values)
        self._values += values
        self._needed += (prepared, *operands)
        self._bytes += sum(layout.block for layout in prepared.layouts)
        self._work += prepared.work
        return values

    def _append(
        self,
        function: int,
        row: memoryview,
        slots: tuple[Slot, ...],
        shared: bool,
        operands: Sequence[Value],
        results: Sequence[Value],
    ) -> None:
        begin, entry = self._words, self._calls * ENTRY
        self._words = end = begin + len(row)
        self._row[begin:end] = row
        for slot, operand, distance in slots:
            value = operands[operand] if operand >= 0 else results[RESULT - operand]
            self._row[begin + slot] = value.origin + distance
        self._entry[entry + FUNCTION] = function
        self._entry[entry + ROW] = self._first + 8 * begin
        self._entry[entry + SHARED] = shared
        self._shared |= shared
        self._calls += 1

    def run(self) -> None:
        """Compute everything that waits."""
        if not self._calls:
            return
        current = self._list + 8 * ENTRY * CALLS
        self._entry[ENTRY * CALLS] = 0
        threads = thread_count() if self._shared else 1
        share(play, self._list, self._calls, current, threads=threads, helper=help_play)
        for value in self._values:
            value.cleaned()
        self._empty()
