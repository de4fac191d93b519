"""Calls that waited in a queue together, run again at other addresses: told a few of them, it works out all others.

Rows and the list of calls are written by compiled code, into memory that the caller lends for one run. Knows no
operation.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from ctypes import c_int64

import numpy as np

from qworkbench.emulator.kernels.queue import Taken, run_entries
from qworkbench.emulator.kernels.vector.playing import (
    CALL_COUNT,
    CALLS,
    ENTRY,
    PLACE_COUNT,
    PLACES,
    ROWS,
    SCRIPT,
    WORDS,
    play_script,
)


def room_of(taken: Taken) -> int:
    """Return the bytes that a run needs for its rows and the list of its calls."""
    return 8 * (len(taken.rows) + ENTRY * len(taken.calls) + 1)


class Script:
    """What waited in a queue, for as many threads as there are when it is made.

    Parameters
    ----------
    taken : Taken
    places : sequence of (int, int)
        For each traced word the number of the source that its address is counted from, and the distance from there.
    """

    def __init__(self, taken: Taken, places: Sequence[tuple[int, int]]) -> None:
        rows, calls, words = taken.rows, np.ascontiguousarray(taken.calls), [word for word, _, _ in taken.trace]
        where = np.array([(word, *place) for word, place in zip(words, places, strict=True)], np.int64)
        self._threads, self._lost, self._calls = taken.threads, [8 * word for word in taken.lost], len(calls)
        self._list = 8 * len(rows)
        self._script = np.zeros(SCRIPT, np.int64)
        self._script[[ROWS, WORDS]] = rows.ctypes.data, len(rows)
        self._script[[CALLS, CALL_COUNT]] = calls.ctypes.data, len(calls)
        self._script[[PLACES, PLACE_COUNT]] = where.ctypes.data, len(where)
        self._address = self._script.ctypes.data
        self._owners = rows, calls, where, taken.kept

    def run(self, room: int, sources: Sequence[int]) -> bool:
        """Compute with the addresses of the sources and of room; tell whether nothing has to be run in full instead."""
        alone = self._threads == 1
        given = array("q", (self._address, room, alone, *sources))
        play_script.run(given.buffer_info()[0])
        if not alone:
            run_entries(room + self._list, self._calls, self._threads)
        return not (self._lost and any(c_int64.from_address(room + word).value for word in self._lost))
