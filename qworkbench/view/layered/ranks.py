"""First step: the rank (row) of every box, and the ranks at which the graph can be cut.

Every edge goes from a lower to a higher rank. A rank that holds one box and that no edge passes over is a separator:
what lies above and below it can be laid out on its own. Works on integer indices; knows nothing of sizes or names.
"""

from __future__ import annotations

from collections.abc import Sequence

Edges = Sequence[tuple[int, int]]


def adjacency(count: int, edges: Edges) -> tuple[list[list[int]], list[list[int]]]:
    """Return (predecessors, successors) per index."""
    before: list[list[int]] = [[] for _ in range(count)]
    after: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        before[target].append(source)
        after[source].append(target)
    return before, after


def topological(before: list[list[int]], after: list[list[int]]) -> list[int]:
    """Return the indices in topological order; those on a cycle, and what follows them, are missing."""
    waiting = [len(sources) for sources in before]
    order = [index for index, missing in enumerate(waiting) if not missing]
    for index in order:
        for target in after[index]:
            waiting[target] -= 1
            if not waiting[target]:
                order.append(target)
    return order


def rank(before: list[list[int]], after: list[list[int]], order: list[int]) -> list[int]:
    """Return the rank per index: the longest path from a source, then moved down where that shortens edges.

    A box with more readers than sources moves next to its first reader. So does a side input together with the boxes
    that only it feeds, while branches that leave a common box stay at the top, beside each other.
    """
    ranks = [0] * len(before)
    private = [False] * len(before)
    for index in order:
        sources = before[index]
        ranks[index] = max((ranks[s] + 1 for s in sources), default=0)
        private[index] = all(private[s] and len(after[s]) == 1 for s in sources)
    for index in reversed(order):
        readers = after[index]
        if readers and (private[index] or len(readers) > len(before[index])):
            ranks[index] = min(ranks[r] for r in readers) - 1
    return ranks


def separators(ranks: Sequence[int], edges: Edges) -> list[int]:
    """Return the ranks, ascending, that hold exactly one box and that no edge passes over."""
    last = max(ranks, default=-1)
    boxes = [0] * (last + 1)
    for value in ranks:
        boxes[value] += 1
    opened = [0] * (last + 2)
    for source, target in edges:
        opened[ranks[source] + 1] += 1
        opened[ranks[target]] -= 1
    found, passing = [], 0
    for value in range(last + 1):
        passing += opened[value]
        if boxes[value] == 1 and not passing:
            found.append(value)
    return found
