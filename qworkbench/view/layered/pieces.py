"""Cut a ranked graph at its separators, solve equal pieces once, and put the solutions on one axis.

A network is nearly a chain of blocks, and most blocks repeat: solving the distinct ones is what makes a graph of
thousands of boxes cheap. Knows ranks, widths and edges by index; heights and rows come later, in routing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qworkbench.view.layered.columns import build_layers
from qworkbench.view.layered.coordinates import assign
from qworkbench.view.layered.ordering import order_columns
from qworkbench.view.layered.ranks import Edges, separators

Segment = tuple[int, int, float]


@dataclass(frozen=True, slots=True)
class Piece:
    """Solution of one piece: x per local box, and per source the (first rank, last rank, x) of its trunk."""

    x: tuple[float, ...]
    trunks: Mapping[int, tuple[Segment, ...]]


def _solve(widths: tuple[float, ...], ranks: tuple[int, ...], edges: Edges, pin_top: bool, pin_bottom: bool) -> Piece:
    layers = build_layers(widths, ranks, edges)
    positions = order_columns([len(layer) for layer in layers.columns], layers.links)
    pinned = {0} if pin_top else set()
    if pin_bottom:
        pinned.add(len(positions) - 1)
    coordinates = assign(layers, positions, frozenset(pinned))
    x = [0.0] * len(widths)
    trunks: dict[int, tuple[Segment, ...]] = {}
    for columns, values in zip(layers.columns, coordinates, strict=True):
        for column, value in zip(columns, values, strict=True):
            for box in column.boxes:
                x[box] = value
            for source, first, last in column.trunks:
                trunks[source] = (*trunks.get(source, ()), (first, last, value))
    return Piece(tuple(x), trunks)


def solve_pieces(ranks: Sequence[int], widths: Sequence[float], edges: Edges) -> Piece:
    """Solve every piece between two separators and put the solutions on one axis."""
    cuts = separators(ranks, edges)
    last = max(ranks)
    bounds = sorted({0, *cuts, last})
    inside: list[list[int]] = [[] for _ in bounds]  # boxes strictly between bounds[k - 1] and bounds[k], or at the end
    shared: dict[int, int] = {}
    for box, level in enumerate(ranks):
        inside[bisect_left(bounds, level)].append(box)
    is_cut = set(cuts)
    for cut in cuts:
        k = bisect_left(bounds, cut)
        shared[k] = next(box for box in inside[k] if ranks[box] == cut)
    local: list[list[tuple[int, int]]] = [[] for _ in bounds]
    for edge in edges:
        local[bisect_left(bounds, ranks[edge[1]])].append(edge)

    x = [0.0] * len(ranks)
    trunks: dict[int, tuple[Segment, ...]] = {}
    solved: dict[object, Piece] = {}
    for k in range(len(bounds)):
        boxes = inside[k]
        top = bounds[k]
        pin_top = False
        if k:
            top = bounds[k - 1]
            pin_top = top in is_cut
            above = [shared[k - 1]] if pin_top else inside[k - 1]
            boxes = [*above, *boxes]
        elif bounds[0] in is_cut or len(bounds) > 1:
            continue  # the first bound belongs to the piece below it
        boxes = sorted(boxes, key=lambda box: (ranks[box], box))
        number = {box: i for i, box in enumerate(boxes)}
        key = (
            tuple(widths[box] for box in boxes),
            tuple(ranks[box] - top for box in boxes),
            tuple(sorted((number[a], number[b]) for a, b in local[k])),
            pin_top,
            bounds[k] in is_cut,
        )
        piece = solved.get(key)
        if piece is None:
            piece = solved[key] = _solve(*key)
        for box, value in zip(boxes, piece.x, strict=True):
            x[box] = value
        for source, segments in piece.trunks.items():
            trunks[boxes[source]] = tuple((a + top, b + top, value) for a, b, value in segments)
    return Piece(tuple(x), trunks)


def lanes_of(source: int, target: int, ranks: Sequence[int], solution: Piece) -> list[Segment]:
    """Return the vertical stretches (first rank, last rank, x) that an edge runs through between its two boxes."""
    lanes = []
    for first, last, x in solution.trunks.get(source, ()):
        if first < ranks[target]:
            lanes.append((first, min(last, ranks[target] - 1), x))
    return lanes
