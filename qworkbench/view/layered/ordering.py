"""Third step: the left-to-right order of the columns of every layer, with few crossings.

Barycentre sweeps down and up, then exchanges of neighbours; the order with the fewest crossings wins. Ties keep the
order that the boxes came in, with passing lines on the right, so equal graphs get equal pictures.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence

Links = list[list[tuple[int, int]]]

SWEEPS = 6
SMALL = 400
"""Up to this many columns a piece is also improved by exchanging neighbours."""


def crossings(pairs: Sequence[tuple[int, int]], upper: Sequence[int], lower: Sequence[int]) -> int:
    """Count the crossings in one gap; `upper` and `lower` hold the position of every column."""
    seen: list[int] = []
    found = 0
    for _, position in sorted((upper[a], lower[b]) for a, b in pairs):
        found += len(seen) - bisect_right(seen, position)
        insort(seen, position)
    return found


def _total(links: Links, positions: list[list[int]]) -> int:
    return sum(crossings(pairs, positions[i], positions[i + 1]) for i, pairs in enumerate(links))


def _sort(count: int, neighbours: list[list[int]], beside: list[int], current: list[int]) -> list[int]:
    """Return new positions by the mean position of the neighbours; columns without one keep their place."""
    wanted = [
        (sum(beside[n] for n in near) / len(near) if near else float(current[c])) for c, near in enumerate(neighbours)
    ]
    positions = [0] * count
    for position, column in enumerate(sorted(range(count), key=lambda c: (wanted[c], current[c]))):
        positions[column] = position
    return positions


def _neighbours(links: Links, sizes: list[int]) -> tuple[list[list[list[int]]], list[list[list[int]]]]:
    above: list[list[list[int]]] = [[[] for _ in range(size)] for size in sizes]
    below: list[list[list[int]]] = [[[] for _ in range(size)] for size in sizes]
    for layer, pairs in enumerate(links):
        for a, b in pairs:
            below[layer][a].append(b)
            above[layer + 1][b].append(a)
    return above, below


def _pair(near_left: list[int], near_right: list[int], beside: list[int]) -> int:
    """Return how many crossings an exchange of two neighbouring columns saves (negative: adds)."""
    left = [beside[n] for n in near_left]
    right = [beside[n] for n in near_right]
    return sum((a > b) - (a < b) for a in left for b in right)


def _exchange(positions: list[list[int]], above: list[list[list[int]]], below: list[list[list[int]]]) -> None:
    """Exchange neighbouring columns in place while that removes crossings."""
    improved, rounds = True, 0
    while improved and rounds < 8:
        improved, rounds = False, rounds + 1
        for layer, current in enumerate(positions):
            order = sorted(range(len(current)), key=current.__getitem__)
            for place in range(len(order) - 1):
                a, b = order[place], order[place + 1]
                saved = 0
                if layer:
                    saved += _pair(above[layer][a], above[layer][b], positions[layer - 1])
                if layer + 1 < len(positions):
                    saved += _pair(below[layer][a], below[layer][b], positions[layer + 1])
                if saved > 0:
                    order[place], order[place + 1] = b, a
                    current[a], current[b] = place + 1, place
                    improved = True


def order_columns(sizes: list[int], links: Links) -> list[list[int]]:
    """Return per layer the position of every column.

    Parameters
    ----------
    sizes : list of int
        Number of columns per layer.
    links : list per gap of (upper column, lower column)
    """
    above, below = _neighbours(links, sizes)
    positions = [list(range(size)) for size in sizes]
    best, fewest = positions, _total(links, positions)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        positions = [list(layer) for layer in positions]
        if sweep % 2 == 0:
            for layer in range(1, len(sizes)):
                positions[layer] = _sort(sizes[layer], above[layer], positions[layer - 1], positions[layer])
        else:
            for layer in range(len(sizes) - 2, -1, -1):
                positions[layer] = _sort(sizes[layer], below[layer], positions[layer + 1], positions[layer])
        now = _total(links, positions)
        if now < fewest:
            best, fewest = positions, now
    if fewest and sum(sizes) <= SMALL:
        best = [list(layer) for layer in best]
        _exchange(best, above, below)
    return best
