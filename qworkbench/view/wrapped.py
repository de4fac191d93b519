"""A tall view cut into columns that stand side by side, so that one image holds a long network at a readable size.

Cuts go between rows, where few lines pass and no fused unit is torn apart; each line that passes goes on through the
gutter to the top of the next column. Takes a view and returns one; knows nothing of models or colours.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

TALLEST = 2400.0
"""Height from which on a view is wrapped, and that no column exceeds by more than the search for a good cut takes."""
GUTTER = 84.0
LANE = 12.0
"""Between two lines that go on side by side."""
SEARCHED = 0.2
"""Share of a column's height in which the best cut is looked for, on either side of the ideal one."""
TORN = 4.0
"""A cut through a fused unit, or through the frame of a module, costs as much as so many lines."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Column:
    """The stretch `top` to `bottom` of the view; its left edge `left` comes to stand at `at`."""

    top: float
    bottom: float
    left: float
    right: float
    at: float

    def moved(self, x: float, y: float, head: float) -> Point:
        """Return where a point of the view comes to lie; `head` is the room above the columns."""
        return round(x - self.left + self.at, 2), round(y - self.top + head, 2)


def wrapped(view: Mapping[str, Any], *, tallest: float = TALLEST) -> dict[str, Any]:
    """Return `view` in as many columns as make it about as wide as high; unchanged up to a height of `tallest`.

    Parameters
    ----------
    view : Mapping
        From :func:`qworkbench.view.model.build_view`.
    tallest : float
        Pixels of the view.

    Returns
    -------
    dict
        With ``columns``, how many there are; ``sentence`` says so, too.
    """
    cuts = _cuts(view, tallest)
    if not cuts:
        return {**view, "columns": 1}
    bounds = [0.0, *cuts, float(view["height"])]
    passing = [_passing(view["edges"], cut) for cut in cuts]
    head = max(len(lines) for lines in passing) * LANE + LANE
    columns: list[_Column] = []
    at = 0.0
    for number, (top, bottom) in enumerate(pairwise(bounds)):
        left, right = _extent(view, top, bottom)
        columns.append(_Column(top, bottom, left, right, at))
        lanes = len(passing[number]) if number < len(cuts) else 0
        at += right - left + GUTTER + lanes * LANE
    tall = max(column.bottom - column.top for column in columns)
    many = len(columns)
    return {
        **view,
        "sentence": f"{view['sentence']}; drawn in {many} columns",
        "width": round(at - GUTTER, 1),
        "height": round(tall + 2 * head, 1),
        "nodes": [_box(node, _column_of(columns, node["y"]), head) for node in view["nodes"]],
        "edges": [
            {**edge, "points": _route(number, edge["points"], cuts, columns, passing, head)}
            for number, edge in enumerate(view["edges"])
        ],
        "frames": [part for frame in view.get("frames", ()) for part in _frame(frame, view["nodes"], columns, head)],
        "columns": many,
    }


def _cuts(view: Mapping[str, Any], tallest: float) -> list[float]:
    """Return the heights at which the view is cut, top to bottom; none where it is low enough."""
    height, width = float(view["height"]), float(view["width"])
    if height <= tallest:
        return []
    many = max(math.ceil(height / tallest), round(math.sqrt(height / (width + GUTTER))))
    rows = sorted((node["y"] - node["h"] / 2, node["y"] + node["h"] / 2) for node in view["nodes"])
    gaps, lowest = [], -math.inf
    for top, bottom in rows:
        if lowest > -math.inf and top - lowest >= 4:
            gaps.append((lowest + top) / 2)
        lowest = max(lowest, bottom)
    groups = {node["id"]: node["group"] for node in view["nodes"]}
    each = height / many
    found: list[float] = []
    for number in range(1, many):
        ideal = number * each
        near = [gap for gap in gaps if abs(gap - ideal) <= SEARCHED * each and gap > (found[-1] if found else 0.0)]
        if near:
            found.append(min(near, key=lambda gap: (_price(view, groups, gap), abs(gap - ideal))))
    return found


def _price(view: Mapping[str, Any], groups: Mapping[str, str], cut: float) -> float:
    """Return what a cut costs: one for each line that passes, more for what it tears apart."""
    edges = view["edges"]
    lines = _passing(edges, cut)
    torn = sum(
        bool(groups[edges[i]["source"]]) and groups[edges[i]["source"]] == groups[edges[i]["target"]] for i in lines
    )
    torn += sum(abs(frame["y"] - cut) < frame["h"] / 2 for frame in view.get("frames", ()))
    return float(len(lines) + TORN * torn)


def _passing(edges: Sequence[Mapping[str, Any]], cut: float) -> dict[int, int]:
    """Return the edges that pass the height `cut`, each with its lane: from left to right."""
    at = {
        index: _at(edge["points"], cut)
        for index, edge in enumerate(edges)
        if edge["points"][0][1] < cut < edge["points"][-1][1]
    }
    return {index: lane for lane, index in enumerate(sorted(at, key=lambda index: (-at[index], index)))}


def _at(points: Sequence[Sequence[float]], cut: float) -> float:
    """Return where a line is at the height `cut`."""
    (x0, y0), (x1, y1) = next((p, q) for p, q in pairwise(points) if p[1] <= cut <= q[1])
    return float(x0 if y1 == y0 else x0 + (x1 - x0) * (cut - y0) / (y1 - y0))


def _extent(view: Mapping[str, Any], top: float, bottom: float) -> tuple[float, float]:
    """Return the left and the right end of what lies between two heights."""
    boxes = [*view["nodes"], *view.get("frames", ())]
    spans = [
        (box["x"] - box["w"] / 2, box["x"] + box["w"] / 2)
        for box in boxes
        if box["y"] + box["h"] / 2 > top and box["y"] - box["h"] / 2 < bottom
    ]
    for edge in view["edges"]:
        for (x0, y0), (x1, y1) in pairwise(edge["points"]):
            if y1 > top and y0 < bottom:
                spans.append((min(x0, x1), max(x0, x1)))
    return min(left for left, _ in spans) - LANE, max(right for _, right in spans) + LANE


def _column_of(columns: Sequence[_Column], y: float) -> _Column:
    return columns[min(bisect_left([column.bottom for column in columns], y), len(columns) - 1)]


def _box(box: Mapping[str, Any], column: _Column, head: float) -> dict[str, Any]:
    x, y = column.moved(box["x"], box["y"], head)
    return {**box, "x": x, "y": y}


def _route(
    number: int,
    points: Sequence[Sequence[float]],
    cuts: Sequence[float],
    columns: Sequence[_Column],
    passing: Sequence[Mapping[int, int]],
    head: float,
) -> list[list[float]]:
    """Return the line of edge `number`: as it was inside each column, through the gutter from one to the next."""
    place = columns.index(_column_of(columns, points[0][1] + 0.01))
    made: list[Point] = [columns[place].moved(points[0][0], points[0][1], head)]
    for (x0, y0), (x1, y1) in pairwise(points):
        while place < len(cuts) and number in passing[place] and y0 <= cuts[place] < y1:
            cut, lane = cuts[place], passing[place][number]
            x = _at(((x0, y0), (x1, y1)), cut)
            column, following = columns[place], columns[place + 1]
            down, up = column.moved(x, cut, head), following.moved(x, cut, head)
            low, high = down[1] + (lane + 1) * LANE, head - (lane + 1) * LANE
            gutter = column.at + column.right - column.left + LANE + lane * LANE
            made += [down, (down[0], low), (gutter, low), (gutter, high), (up[0], high), up]
            place += 1
        made.append(columns[place].moved(x1, y1, head))
    return [list(point) for point in dict.fromkeys(made)]


def _frame(
    frame: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]], columns: Sequence[_Column], head: float
) -> list[dict[str, Any]]:
    """Return the parts of a module's frame, one in each column that holds boxes of it."""
    found: list[dict[str, Any]] = []
    top, bottom = frame["y"] - frame["h"] / 2, frame["y"] + frame["h"] / 2
    left, right = frame["x"] - frame["w"] / 2, frame["x"] + frame["w"] / 2
    for column in columns:
        upper, lower = max(top, column.top), min(bottom, column.bottom)
        if any(upper < node["y"] < lower and left < node["x"] < right for node in nodes):
            x, y = column.moved(frame["x"], (upper + lower) / 2, head)
            module = f"{frame['module']} (continued)" if found else frame["module"]
            found.append({**frame, "module": module, "x": x, "y": y, "h": round(lower - upper, 2)})
    return found
