"""Layered layout of a directed acyclic graph of sized boxes, top to bottom: pure, deterministic, without recursion.

The graph is cut at ranks that one box fills alone; equal pieces (every block of a ResNet) are solved once. The
steps are in :mod:`qworkbench.view.layered`. A collapsed module is one box for this module, which knows only ids,
sizes and edges: nothing of models, colours or text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qworkbench.errors import QWorkbenchError, unknown_name
from qworkbench.view.layered.pieces import lanes_of, solve_pieces
from qworkbench.view.layered.ranks import adjacency, rank, topological
from qworkbench.view.layered.routing import Point, gap_height, ports, simplify


class LayoutError(QWorkbenchError):
    """The boxes and edges cannot be drawn top to bottom."""


@dataclass(frozen=True)
class LayoutResult:
    """Where everything is, in pixels; y grows downwards, the upper left corner is (0, 0).

    Attributes
    ----------
    positions : Mapping of id to (x, y)
        Centre of every box.
    edges : tuple of tuples of (x, y)
        One polyline per input edge, in the same order, from the source's bottom side to the target's top side; y never
        decreases. Stretches that are not vertical lie between two rows.
    width, height : float
    """

    positions: Mapping[str, Point]
    edges: tuple[tuple[Point, ...], ...]
    width: float
    height: float


def _indexed(ids: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[tuple[int, int]]:
    index = {name: i for i, name in enumerate(ids)}
    if len(index) != len(ids):
        twice = next(name for i, name in enumerate(ids) if index[name] != i)
        raise LayoutError(f"two boxes are called {twice!r}; ids must be unique")
    for edge in edges:
        for end in edge:
            if end not in index:
                raise unknown_name("box", end, ids)
        if edge[0] == edge[1]:
            raise LayoutError(f"box {edge[0]!r} has an edge to itself; only acyclic graphs can be laid out")
    return [(index[a], index[b]) for a, b in edges]


def layout(
    nodes: Sequence[tuple[str, float, float]], edges: Sequence[tuple[str, str]], *, margin: float = 0.0
) -> LayoutResult:
    """Lay out boxes and edges top to bottom.

    Parameters
    ----------
    nodes : sequence of (id, width, height)
        In the order that ties follow, best a topological one.
    edges : sequence of (source id, target id)
        Parallel edges share one polyline.
    margin : float
        Free space on every side, in pixels.

    Raises
    ------
    LayoutError
        For a repeated id, an edge from a box to itself, or a cycle.
    UnknownNameError
        For an edge to an id that is not among `nodes`.
    """
    ids = [name for name, _, _ in nodes]
    indexed = _indexed(ids, edges)
    if not ids:
        return LayoutResult({}, (), 2 * margin, 2 * margin)
    distinct = list(dict.fromkeys(indexed))
    before, after = adjacency(len(ids), distinct)
    order = topological(before, after)
    if len(order) < len(ids):
        stuck = ids[min(set(range(len(ids))) - set(order))]
        raise LayoutError(f"box {stuck!r} is on or behind a cycle; only acyclic graphs can be laid out")
    ranks = rank(before, after, order)
    widths = [float(width) for _, width, _ in nodes]
    heights = [float(height) for _, _, height in nodes]
    solution = solve_pieces(ranks, widths, distinct)
    x = solution.x

    lanes = {edge: lanes_of(*edge, ranks, solution) for edge in distinct}
    entry: dict[tuple[int, int], float] = {}
    for target, sources in enumerate(before):
        if sources:
            wishes = [lanes[s, target][-1][2] if lanes[s, target] else x[s] for s in sources]
            for source, value in zip(sources, ports(x[target], widths[target], wishes), strict=True):
                entry[source, target] = value

    rows = max(ranks) + 1
    tallest = [0.0] * rows
    for box, value in enumerate(ranks):
        tallest[value] = max(tallest[value], heights[box])
    sideways = [0.0] * rows
    for (source, target), run in lanes.items():
        now = x[source]
        for first, _, lane in run:
            sideways[first - 1] = max(sideways[first - 1], abs(lane - now))
            now = lane
        above = ranks[target] - 1
        sideways[above] = max(sideways[above], abs(entry[source, target] - now))
    row_top = [0.0]
    for value in range(rows - 1):
        row_top.append(row_top[-1] + tallest[value] + gap_height(sideways[value]))
    height = row_top[-1] + tallest[-1]

    used = [lane for run in lanes.values() for _, _, lane in run]
    left = min([*used, *(x[i] - widths[i] / 2 for i in range(len(ids)))])
    right = max([*used, *(x[i] + widths[i] / 2 for i in range(len(ids)))])
    dx, dy = margin - left, margin

    def centre(box: int) -> Point:
        return round(x[box] + dx, 1), round(row_top[ranks[box]] + tallest[ranks[box]] / 2 + dy, 1)

    drawn: dict[tuple[int, int], tuple[Point, ...]] = {}
    for edge, run in lanes.items():
        source, target = edge
        cx, cy = centre(source)
        points = [(cx, cy + heights[source] / 2), (cx, row_top[ranks[source]] + tallest[ranks[source]] + dy)]
        for first, last, lane in run:
            points += [(lane + dx, row_top[first] + dy), (lane + dx, row_top[last] + tallest[last] + dy)]
        port = centre(target)[0] + entry[edge] - x[target]
        points += [(port, row_top[ranks[target]] + dy), (port, centre(target)[1] - heights[target] / 2)]
        drawn[edge] = simplify(points)
    return LayoutResult(
        {name: centre(i) for i, name in enumerate(ids)},
        tuple(drawn[edge] for edge in indexed),
        round(right - left + 2 * margin, 1),
        round(height + 2 * margin, 1),
    )
