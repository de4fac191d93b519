"""Lookup tables of a real function: 256 entries for int8, segments (or all 65,536 entries) for int16.

The shapes of the int16 table (`range` int16 [N + 2, 4], `entry` int16 [N, 64], up to 64 segments, a curvature strategy)
are public; the meaning of the four columns and the interpolation are not. Both are defined here, so that they can be
switched or replaced in one place. Pure numpy; knows functions of float64 arrays, no operators.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from qworkbench.errors import EmulationError
from qworkbench.numerics import checks
from qworkbench.numerics.arithmetic import Rounding
from qworkbench.numerics.dtypes import NUMPY, QMAX, QMIN
from qworkbench.numerics.rounding import round_float

RealFunction = Callable[[np.ndarray], np.ndarray]
TableMode = Literal["uniform", "curvature", "exact"]

ENTRIES = 64
SEGMENTS = 64


@dataclass(frozen=True, slots=True, eq=False)
class SegmentTable:
    """An int16 -> int16 function in N segments of 64 entries, or in full.

    Attributes
    ----------
    range : numpy.ndarray
        int16, (N + 2, 4). Row 1 + i describes segment i: first code, last code, shift, end value. Its nodes lie
        ``2**shift`` codes apart, and the end value belongs to the node after its last entry. Rows 0 and N + 1 stand
        for the codes below and above all segments; only their end value is used.
    entry : numpy.ndarray
        int16, (N, 64): values at ``first + j * 2**shift``.
    full : numpy.ndarray or None
        int16, (65536,): the exact function of code - 32768. Where given, it replaces the segments.
    """

    range: np.ndarray
    entry: np.ndarray
    full: np.ndarray | None = None

    def __post_init__(self) -> None:
        count = len(self.entry)
        fits = self.range.shape == (count + 2, 4) and self.entry.shape == (count, ENTRIES)
        if not fits or self.range.dtype != np.int16 or self.entry.dtype != np.int16:
            raise EmulationError(
                f"a segment table has range int16 (N + 2, 4) and entry int16 (N, {ENTRIES}), "
                f"got {self.range.dtype} {self.range.shape} and {self.entry.dtype} {self.entry.shape}"
            )
        if self.full is None:
            rows = self.range[1:-1].astype(np.int64)
            chained = count > 0 and bool((rows[1:, 0] == rows[:-1, 1] + 1).all())
            if not chained or not bool((rows[:, 1] - rows[:, 0] < ENTRIES << np.clip(rows[:, 2], 0, 10)).all()):
                raise EmulationError("segments must follow each other, each at most 64 * 2**shift codes wide")
        elif self.full.shape != (65536,) or self.full.dtype != np.int16:
            raise EmulationError(f"a full table has 65536 int16 entries, got {self.full.dtype} {self.full.shape}")


def _evaluate(
    fn: RealFunction, codes: np.ndarray, s_in: float, s_out: float, rounding: Rounding, low: int, high: int
) -> np.ndarray:
    """Return ``clamp(round(fn(codes * s_in) / s_out))`` as int64; infinities saturate, NaN becomes 0."""
    checks.rounding("table", rounding)
    checks.scale("table", [s_in, s_out], (1, 2))
    with np.errstate(all="ignore"):
        y = np.asarray(fn(codes.astype(np.float64) * float(s_in)), dtype=np.float64) / float(s_out)
    y = np.where(np.isnan(y), 0.0, y)
    return round_float(np.clip(y, low, high), rounding).astype(np.int64)


def build_table8(
    fn: RealFunction,
    s_in: float,
    s_out: float,
    out_dtype: str,
    rounding: Rounding,
    low: int | None = None,
    high: int | None = None,
) -> np.ndarray:
    """Return the 256 entries of `fn` on int8 codes: entry ``q + 128`` is ``clamp(round(fn(q * s_in) / s_out))``.

    Parameters
    ----------
    fn : callable
        float64 array -> float64 array of the same shape.
    s_in, s_out : float
        Scales of input and output.
    out_dtype : "int8" | "int16"
    rounding : str
    low, high : int or None
        Clamp range in output codes; None is the whole range of `out_dtype`.

    Returns
    -------
    numpy.ndarray
        (256,) of `out_dtype`. Infinities saturate, NaN becomes 0 (clamped).
    """
    floor, ceiling = QMIN[out_dtype] if low is None else low, QMAX[out_dtype] if high is None else high
    return _evaluate(fn, np.arange(-128, 128), s_in, s_out, rounding, floor, ceiling).astype(NUMPY[out_dtype])


def build_table16(
    fn: RealFunction,
    s_in: float,
    s_out: float,
    rounding: Rounding,
    *,
    mode: TableMode = "uniform",
    segments: int = SEGMENTS,
    low: int = QMIN["int16"],
    high: int = QMAX["int16"],
) -> SegmentTable:
    """Return the int16 table of `fn`.

    Parameters
    ----------
    fn, s_in, s_out, rounding, low, high
        As in :func:`build_table8`; entries are int16.
    mode : "uniform" | "curvature" | "exact"
        ``uniform``: `segments` of equal width. ``curvature``: halve the segment with the largest error until there are
        `segments` or none errs. ``exact``: all 65,536 entries.
    segments : int
        1 .. 64; a power of two for ``uniform``.
    """
    if not 1 <= segments <= SEGMENTS or (mode == "uniform" and segments & (segments - 1)):
        raise EmulationError(f"an int16 table has 1 .. 64 segments (uniform: a power of two), got {segments}")
    values = _evaluate(fn, np.arange(-32768, 32769), s_in, s_out, rounding, low, high)
    if mode == "exact":
        ends = np.array([[-32768, -32768, 0, values[0]], [32767, 32767, 0, values[65535]]], dtype=np.int16)
        return SegmentTable(ends, np.empty((0, ENTRIES), np.int16), values[:65536].astype(np.int16))
    if mode == "uniform":
        width = 65536 // segments
        starts = [(start, width) for start in range(0, 65536, width)]
    elif mode == "curvature":
        starts = _by_curvature(values, segments)
    else:
        raise EmulationError(f"table mode must be uniform, curvature or exact, got {mode!r}")
    rows, entries = [], []
    for start, width in starts:
        step = width // ENTRIES
        first = start - 32768
        rows.append((first, first + width - 1, step.bit_length() - 1, values[start + width]))
        entries.append(values[start : start + width : step])
    rows = [(-32768, -32768, 0, values[0]), *rows, (32767, 32767, 0, values[65535])]
    return SegmentTable(np.array(rows, dtype=np.int16), np.array(entries, dtype=np.int16))


def _segment_error(values: np.ndarray, start: int, width: int) -> int:
    """Return the largest error in codes of one interpolated segment."""
    step = width // ENTRIES
    nodes = values[start : start + width + 1 : step]
    offset = np.arange(step)
    rise = np.diff(nodes)[:, None] * offset
    drawn = nodes[:-1, None] + ((rise + step // 2) // step)
    return int(np.abs(drawn.reshape(-1) - values[start : start + width]).max())


def _by_curvature(values: np.ndarray, segments: int) -> list[tuple[int, int]]:
    """Halve the worst segment until `segments` are reached; return (start, width) in order."""
    heap = [(-_segment_error(values, 0, 65536), 0, 65536)]
    while len(heap) < segments and heap[0][0] < 0:
        _, start, width = heapq.heappop(heap)
        half = width // 2
        for begin in (start, start + half):
            heapq.heappush(heap, (-_segment_error(values, begin, half), begin, half))
    return sorted((start, width) for _, start, width in heap)
