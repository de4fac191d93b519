"""Second step: runs of ranks that only continue each other become one layer of columns.

Between two ranks where every item has one successor and every successor one source, nothing can cross and everything
should run straight. Such ranks are merged into one layer, whose columns are chains of boxes and of passing lines. Long
edges of one source share one line (a trunk), from which its readers branch off. So a residual block is one layer with
two columns, and the later steps work on few items, however deep the network is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from qworkbench.view.layered.ranks import Edges, adjacency


@dataclass(slots=True)
class Column:
    """A vertical run inside one layer.

    Attributes
    ----------
    boxes : list of int
        Indices of the boxes in it, top to bottom; none for a line that only passes.
    trunks : list of (int, int, int)
        (source, first rank, last rank) of the trunks in it.
    width : float
    """

    boxes: list[int] = field(default_factory=list)
    trunks: list[tuple[int, int, int]] = field(default_factory=list)
    width: float = 0.0


@dataclass(slots=True)
class Layers:
    """Layers of columns, and per gap between two layers the (upper column, lower column) pairs that are joined."""

    columns: list[list[Column]]
    links: list[list[tuple[int, int]]]


def _breaks(ranks: Sequence[int], before: list[list[int]], after: list[list[int]], last: int) -> list[bool]:
    """Tell for every rank whether the gap below it does more than continue."""
    broken = [False] * (last + 1)
    for index, rank in enumerate(ranks):
        if len(before[index]) != 1 and rank:
            broken[rank - 1] = True
        arrivals: dict[int, int] = {}
        for target in after[index]:
            arrivals[ranks[target]] = arrivals.get(ranks[target], 0) + 1
        end = max(arrivals, default=rank)
        leaving = arrivals.get(rank + 1, 0) + (end > rank + 1)
        if leaving != 1 and rank < last:
            broken[rank] = True
        for at, count in arrivals.items():
            if at > rank + 1 and count + (at < end) != 1:
                broken[at - 1] = True
    return broken


def build_layers(widths: Sequence[float], ranks: Sequence[int], edges: Edges) -> Layers:
    """Merge the ranks of one piece into layers.

    Parameters
    ----------
    widths, ranks : sequences, one entry per box
        Ranks start at 0 and leave none out.
    edges : sequence of (source, target)
        Distinct, every one from a lower to a higher rank.
    """
    before, after = adjacency(len(ranks), edges)
    last = max(ranks)
    broken = _breaks(ranks, before, after, last)
    at_rank: list[list[int]] = [[] for _ in range(last + 1)]
    for index, rank in enumerate(ranks):
        at_rank[rank].append(index)
    end = [max((ranks[t] for t in targets), default=ranks[i]) for i, targets in enumerate(after)]

    columns: list[list[Column]] = []
    links: list[list[tuple[int, int]]] = []
    alive: list[int] = []  # sources whose trunk enters the next layer
    heads: dict[int, int] = {}  # box or trunk (as -1 - source) -> column in the layer being built
    tails: list[int] = []  # per column of the previous layer: the box or trunk that it ends in
    top = 0
    while top <= last:
        bottom = top
        while bottom < last and not broken[bottom]:
            bottom += 1
        starts = at_rank[top] + [-1 - source for source in alive]
        heads = {item: position for position, item in enumerate(starts)}
        if columns:
            links.append(_links(tails, heads, ranks, after, end, top))
        layer, tails = [], []
        for item in starts:
            column, tail = _follow(item, top, bottom, widths, ranks, after, end)
            layer.append(column)
            tails.append(tail)
        columns.append(layer)
        alive = [-1 - t for t in tails if t < 0 and end[-1 - t] > bottom + 1]
        alive += [t for t in tails if t >= 0 and end[t] > bottom + 1]
        top = bottom + 1
    return Layers(columns, links)


def _follow(
    item: int,
    top: int,
    bottom: int,
    widths: Sequence[float],
    ranks: Sequence[int],
    after: list[list[int]],
    end: list[int],
) -> tuple[Column, int]:
    """Collect one column downwards from `item`; return it with the box or trunk that it ends in."""
    column = Column()
    rank = top
    while True:
        if item >= 0:
            column.boxes.append(item)
            column.width = max(column.width, widths[item])
            if rank == bottom:
                return column, item
            item = -1 - item if end[item] > rank + 1 else after[item][0]
            rank += 1
        else:
            source = -1 - item
            stop = min(bottom, end[source] - 1)
            column.trunks.append((source, rank, stop))
            if stop == bottom:
                return column, item
            item = next(t for t in after[source] if ranks[t] == end[source])
            rank = stop + 1


def _links(
    tails: list[int], heads: dict[int, int], ranks: Sequence[int], after: list[list[int]], end: list[int], top: int
) -> list[tuple[int, int]]:
    """Return the (upper, lower) column pairs of the gap above rank `top`."""
    pairs = []
    for upper, tail in enumerate(tails):
        source = tail if tail >= 0 else -1 - tail
        lower = [heads[t] for t in after[source] if ranks[t] == top]
        if end[source] > top:
            lower.append(heads[-1 - source])
        pairs += [(upper, position) for position in lower]
    return pairs
