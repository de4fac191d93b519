"""Runs of units that variants pass through without a stop: between two places where little is alive.

A variant inside a segment lives as long as its packet takes, so the wide tensors inside a block of a network are never
held for all variants, and they stay in the processor's cache from one op to the next.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qworkbench.placement.types import Unit

if TYPE_CHECKING:
    from qworkbench.analysis.program import FloatProgram

LONGEST = 8  # units
AHEAD = 6  # units within which a segment must come to a place with less alive
MUCH_MORE, MUCH_LESS = 4 / 3, 3 / 4


@dataclass(frozen=True)
class Segment:
    """Consecutive units.

    Attributes
    ----------
    units : tuple of Unit
    inner : frozenset of str
        Values made inside.
    leaving : tuple of str
        Inner values that are read behind the segment, or watched.
    finished : tuple of tuple of str
        Per unit, the inner values that nobody needs after it.
    dead : tuple of str
        Values, made before or inside, that nobody needs behind the segment.
    """

    units: tuple[Unit, ...]
    inner: frozenset[str]
    leaving: tuple[str, ...]
    finished: tuple[tuple[str, ...], ...]
    dead: tuple[str, ...]


def segments_of(program: FloatProgram, watched: Collection[str]) -> tuple[Segment, ...]:
    """Return the units of `program` in segments; `watched` values are looked at when a segment is done."""
    key = frozenset(watched)
    if key not in program.segments:
        program.segments[key] = _segments(program, watched)
    return program.segments[key]


def _segments(program: FloatProgram, watched: Collection[str]) -> tuple[Segment, ...]:
    units = program.units
    last = {value: number for number, unit in enumerate(units) for value in unit.inputs}
    made, start = [], 0
    for stop in _cuts(program, last):
        made.append(_segment(units[start:stop], start, last, watched))
        start = stop
    return tuple(made)


def _segment(units: Sequence[Unit], start: int, last: dict[str, int], watched: Collection[str]) -> Segment:
    stop = start + len(units)
    inner = frozenset(value for unit in units for value in unit.outputs)
    leaving = tuple(v for unit in units for v in unit.outputs if last.get(v, -1) >= stop or v in watched)
    needed = {*leaving}
    finished = []
    for number, unit in enumerate(units, start):
        touched = dict.fromkeys((*unit.inputs, *unit.outputs))
        finished.append(tuple(v for v in touched if v in inner - needed and last.get(v, -1) <= number))
    seen = dict.fromkeys(v for unit in units for v in (*unit.inputs, *unit.outputs))
    return Segment(tuple(units), inner, leaving, tuple(finished), tuple(v for v in seen if last.get(v, -1) < stop))


def _cuts(program: FloatProgram, last: dict[str, int]) -> list[int]:
    """Return where segments end: not at a peak of what is alive, where less is alive soon."""
    units = program.units
    alive = {name for name in program.graph.inputs if name in last}
    before = sum(program.bytes_of(value, 1) for value in alive)
    sizes = []
    for number, unit in enumerate(units):
        alive.update(value for value in unit.outputs if last.get(value, -1) > number)
        alive.difference_update([value for value in alive if last.get(value, -1) <= number])
        sizes.append(sum(program.bytes_of(value, 1) for value in alive))
    cuts, length = [], 0
    for number, size in enumerate(sizes):
        length += 1
        soon = min(sizes[number + 1 : number + 1 + min(AHEAD, LONGEST - length)], default=size)
        if size > MUCH_MORE * before and soon < MUCH_LESS * size:
            continue
        cuts.append(number + 1)
        before, length = size, 0
    if not cuts or cuts[-1] != len(units):
        cuts.append(len(units))
    return cuts
