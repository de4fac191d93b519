"""Last step: the rows' heights and the polyline of every edge.

An edge leaves its source at the bottom centre, moves sideways only between two rows, passes a row vertically in its
own column, and enters its target at a port on the top side. So it never crosses a box that it does not touch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Point = tuple[float, float]

ROW_GAP = 26.0
SLOPE = 0.14
EXTRA_GAP = 40.0
PORT_GAP = 14.0
PORT_MARGIN = 12.0


def ports(x: float, width: float, wishes: Sequence[float]) -> list[float]:
    """Return where lines that come from `wishes` enter the top side of a box at `x`.

    One line enters at the centre; several enter below where they come from, in the same order, each side drawn
    together as far as the width asks, so that a line from straight above stays straight.
    """
    if len(wishes) == 1:
        return [x]
    reach = max(width / 2 - PORT_MARGIN, 0.0)
    order = sorted(range(len(wishes)), key=lambda i: (wishes[i], i))
    step = min(PORT_GAP, 2 * reach / (len(wishes) - 1))
    farthest = {side: max([reach, *(side * (wish - x) for wish in wishes)]) for side in (-1, 1)}
    placed = [x + (wishes[i] - x) * _ratio(reach, farthest[1 if wishes[i] > x else -1]) for i in order]
    for i in range(1, len(placed)):
        placed[i] = max(placed[i], placed[i - 1] + step)
    overshoot = x + reach
    for i in range(len(placed) - 1, -1, -1):
        placed[i] = min(placed[i], overshoot)
        overshoot = placed[i] - step
    found = [0.0] * len(wishes)
    for i, value in zip(order, placed, strict=True):
        found[i] = value
    return found


def _ratio(reach: float, farthest: float) -> float:
    return reach / farthest if farthest else 1.0


def gap_height(sideways: float) -> float:
    """Return the height of the gap between two rows whose lines move `sideways` at most."""
    return round(ROW_GAP + min(EXTRA_GAP, SLOPE * sideways))


def simplify(points: Sequence[Point]) -> tuple[Point, ...]:
    """Drop repeated points and the middle ones of vertical runs; round to tenths, never upwards."""
    kept: list[Point] = []
    for x, y in points:
        point = (round(x, 1), max(round(y, 1), kept[-1][1] if kept else -math.inf))
        if kept and kept[-1] == point:
            continue
        if len(kept) >= 2 and kept[-2][0] == kept[-1][0] == point[0]:
            kept[-1] = point
        else:
            kept.append(point)
    return tuple(kept)
