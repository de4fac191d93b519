"""Checks on finished drawings, written without the layout's own helpers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from qworkbench.view.layout import LayoutResult
from tests.view.corpus import Net

Rect = tuple[float, float, float, float]


def rectangles(net: Net, result: LayoutResult) -> dict[str, Rect]:
    return {
        name: (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        for name, w, h in net.boxes
        for x, y in [result.positions[name]]
    }


def overlaps(a: Rect, b: Rect, slack: float = 0.0) -> bool:
    return a[0] < b[2] - slack and b[0] < a[2] - slack and a[1] < b[3] - slack and b[1] < a[3] - slack


def overlapping_boxes(net: Net, result: LayoutResult) -> Iterator[tuple[str, str]]:
    boxes = sorted(rectangles(net, result).items(), key=lambda item: item[1][1])
    active: list[tuple[str, Rect]] = []
    for name, rect in boxes:
        active = [(n, r) for n, r in active if r[3] > rect[1]]
        yield from ((other, name) for other, r in active if overlaps(r, rect))
        active.append((name, rect))


def crossed_boxes(net: Net, result: LayoutResult) -> Iterator[tuple[str, str, str]]:
    """Yield (source, target, box) where the bounding box of a stretch of the edge meets a strange box.

    The bounding box, since drawings may bend a stretch within it.
    """
    boxes = [(r[1], 0, (name, r)) for name, r in rectangles(net, result).items()]
    stretches = [
        (p[1], 1, (edge, (min(p[0], q[0]) - 0.01, p[1], max(p[0], q[0]) + 0.01, q[1])))
        for edge, points in zip(net.edges, result.edges, strict=True)
        for p, q in pairwise(points)
    ]
    active: tuple[list[Any], list[Any]] = ([], [])
    for y, kind, item in sorted([*boxes, *stretches], key=lambda event: event[:2]):
        for other in active:
            other[:] = [entry for entry in other if entry[1][3] > y]
        active[kind].append(item)
        for partner in active[1 - kind]:
            (name, rect), (edge, line) = (item, partner) if kind == 0 else (partner, item)
            if name not in edge and overlaps(line, rect, slack=0.1):
                yield (*edge, name)


def count_crossings(result: LayoutResult) -> int:
    """Count pairs of slanted stretches that cross (touching ends and shared lines do not count)."""
    slanted = sorted(
        {(p, q) for points in result.edges for p, q in pairwise(points) if p[0] != q[0]}, key=lambda s: s[0][1]
    )
    found = 0
    for i, (p, q) in enumerate(slanted):
        for r, s in slanted[i + 1 :]:
            if r[1] >= q[1]:
                break
            found += (p[0] - r[0]) * (q[0] - s[0]) < 0 and p[1] < s[1]
    return found
