"""Fourth step: the x coordinate of every column, so that main chains run straight and branches lie evenly around them.

Sweeps down and up: every column wants to stand under (over) the weighted median of its neighbours, and each layer is
placed optimally for the weighted absolute distance to these wishes with the minimal separations kept (isotonic
regression by pooling adjacent violators). In between columns slide into free space where that straightens a line.
Weights make the longest of two branches keep the axis, and let lines step aside for boxes. Separators stay at x = 0, so
all pieces share one axis and nothing drifts.
"""

from __future__ import annotations

from itertools import pairwise

from qworkbench.view.layered.columns import Column, Layers

BOX_GAP = 26.0
LINE_GAP = 16.0
SEQUENCE = (*(("settle", True), ("settle", False)) * 4, ("slide", False), ("slide", True))
"""(step, downwards) in order; a piece of up to three layers needs only the first two."""

LINE, BOX, MAIN = 1, 1024, 4096
"""Weights of a passing line, of a column with boxes, and of the longer one where two leave the same box."""


def _median(wishes: list[tuple[float, int]]) -> float:
    """Return the weighted median; the middle of the interval where it is not unique."""
    if len(wishes) == 1:
        return wishes[0][0]
    wishes = sorted(wishes)
    half = sum(weight for _, weight in wishes)
    passed = 0
    for place, (value, weight) in enumerate(wishes):
        passed += 2 * weight
        if passed == half and place + 1 < len(wishes):
            return (value + wishes[place + 1][0]) / 2
        if passed >= half:
            return value
    raise AssertionError("weights are positive")


def place(wishes: list[tuple[float, int]], offsets: list[float]) -> list[float]:
    """Return increasing positions closest to weighted `wishes`.

    Parameters
    ----------
    wishes : list of (x, weight), left to right
    offsets : list of float
        Smallest distance of every item from the first one, so ``x[i + 1] - x[i] >= offsets[i + 1] - offsets[i]``.
    """
    blocks: list[tuple[float, list[tuple[float, int]]]] = []
    for (wish, weight), offset in zip(wishes, offsets, strict=True):
        members = [(wish - offset, weight)]
        value = members[0][0]
        while blocks and blocks[-1][0] > value:
            members = blocks.pop()[1] + members
            value = _median(members)
        blocks.append((value, members))
    flat = [value for value, members in blocks for _ in members]
    return [value + offset for value, offset in zip(flat, offsets, strict=True)]


def _weights(layers: Layers) -> list[list[int]]:
    weights = [[BOX if column.boxes else LINE for column in layer] for layer in layers.columns]
    for layer, pairs in enumerate(layers.links):
        children: dict[int, list[int]] = {}
        for upper, lower in pairs:
            if layers.columns[layer + 1][lower].boxes:
                children.setdefault(upper, []).append(lower)
        for group in children.values():
            if len(group) == 2:
                first, second = (len(layers.columns[layer + 1][c].boxes) for c in group)
                if first != second:
                    weights[layer + 1][group[0] if first > second else group[1]] = MAIN
    return weights


def _gap(left: Column, right: Column) -> float:
    return BOX_GAP if left.boxes and right.boxes else LINE_GAP


def assign(layers: Layers, positions: list[list[int]], pinned: frozenset[int]) -> list[list[float]]:
    """Return the x coordinate of every column.

    Parameters
    ----------
    layers : Layers
    positions : list per layer
        Position of every column, left to right.
    pinned : frozenset of int
        Layers of one column that stays at x = 0.
    """
    weights = _weights(layers)
    orders = [sorted(range(len(layer)), key=layer.__getitem__) for layer in positions]
    offsets: list[list[float]] = []
    for layer, order in enumerate(orders):
        columns = [layers.columns[layer][c] for c in order]
        run = [0.0]
        for left, right in pairwise(columns):
            run.append(run[-1] + (left.width + right.width) / 2 + _gap(left, right))
        offsets.append(run)
    x = [[0.0] * len(layer) for layer in positions]
    for layer, order in enumerate(orders):
        middle = 0.0 if layer in pinned else offsets[layer][-1] / 2
        for column, offset in zip(order, offsets[layer], strict=True):
            x[layer][column] = offset - middle

    above: list[list[list[int]]] = [[[] for _ in layer] for layer in positions]
    below: list[list[list[int]]] = [[[] for _ in layer] for layer in positions]
    for layer, pairs in enumerate(layers.links):
        for upper, lower in pairs:
            below[layer][upper].append(lower)
            above[layer + 1][lower].append(upper)

    def wishes(layer: int, beside: int, near: list[list[int]]) -> list[float]:
        found = []
        for column in orders[layer]:
            wanted = [(x[beside][n], weights[beside][n]) for n in near[column]]
            found.append(_median(wanted) if wanted else x[layer][column])
        return found

    def settle(layer: int, wanted: list[float]) -> None:
        """Put the layer where all columns together are closest to their wishes."""
        pairs = [(wish, weights[layer][column]) for wish, column in zip(wanted, orders[layer], strict=True)]
        for column, value in zip(orders[layer], place(pairs, offsets[layer]), strict=True):
            x[layer][column] = value

    def slide(layer: int, wanted: list[float]) -> None:
        """Move boxes towards their wishes as far as the boxes beside them allow; lines make room."""
        order, run = orders[layer], offsets[layer]
        boxes = [spot for spot, column in enumerate(order) if weights[layer][column] > LINE]
        for left, spot, right in zip([None, *boxes], boxes, [*boxes[1:], None], strict=False):
            if left is not None:
                wanted[spot] = max(wanted[spot], wanted[left] + run[spot] - run[left])
            if right is not None:
                wanted[spot] = min(wanted[spot], x[layer][order[right]] - run[right] + run[spot])
        settle(layer, wanted)

    count = len(positions)
    steps = {"settle": settle, "slide": slide}
    for name, downwards in SEQUENCE if count > 3 else SEQUENCE[:2]:
        near, behind = (above, -1) if downwards else (below, 1)
        for layer in range(1, count) if downwards else range(count - 2, -1, -1):
            if layer not in pinned:
                steps[name](layer, wishes(layer, layer + behind, near[layer]))
    return x
