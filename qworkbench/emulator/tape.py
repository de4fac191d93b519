"""What a run queued, taken down: when the same steps run again, only addresses are new, all of them at once.

A tape holds for one list of steps. Its segments are what went to the kernels in one go; a step between two segments is
run as ever. Where an operand lies otherwise than when the tape was made, a segment does not play. Knows no caches.
"""

from __future__ import annotations

from qworkbench.emulator.plan import Step
from qworkbench.emulator.segment import Segment
from qworkbench.travel import Local

KEPT = 4  # tapes of a plan: whole runs, and what is asked for again and again


class Tape:
    """Segments and single steps in order."""

    def __init__(self) -> None:
        self.parts: list[Segment | Step] = []


def tape_of(held: Local, key: object) -> tuple[Tape | None, Tape | None]:
    """Return the tape under `key`, and a new one where it is time to make it: when `key` comes the second time."""
    found: Tape | None = held.get(key)
    if found is not None or key in held:
        return found, Tape() if found is None else None
    held.keep(key, None, KEPT)
    return None, None
