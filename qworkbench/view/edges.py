"""Edges of a scene: a line with an arrow head; a boundary is dashed and carries a tag (Q, DQ, RQ) and its bytes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from qworkbench.view.palette import TAGS, Swatch, Theme
from qworkbench.view.scene import Group, Outline, Words, curve, polygon, rounded
from qworkbench.view.text import bytes_text, text_width

ARROW = 7.0
BOND = 5.0
TAG = 9.0
ROOM = 16.0
"""Height that a stretch needs to carry a tag."""
SAYS = {
    "quantize": "quantize: float to integer",
    "dequantize": "dequantize: integer to float",
    "requantize": "requantize: brought to another scale",
}


def edge_text(edge: Mapping[str, Any]) -> str:
    """Return what an edge is, for tooltips: ends, tensor, elements, and what happens to the numbers."""
    text = f"{edge['source']} to {edge['target']}: {edge['value']}, {edge['elements']:,} elements"
    if not edge["boundary"]:
        return text
    cost = f", {bytes_text(edge['cost'])} read and written" if edge.get("cost") else ""
    return f"{text}, {SAYS[edge['boundary']]}{cost}"


def draw_edge(edge: Mapping[str, Any], theme: Theme, dx: float, dy: float, fused: Swatch | None = None) -> Group:
    """Draw one edge, moved by (`dx`, `dy`); inside a `fused` unit it is a bond in that colour, without arrow."""
    points = [(x + dx, y + dy) for x, y in edge["points"]]
    boundary = edge["boundary"]
    if fused and not boundary:
        return Group("edge", (Outline(curve(points), None, fused.stroke, BOND),), label=f"{edge_text(edge)}, fused")
    colour = theme.boundary[boundary] if boundary else theme.edge
    (_, above), (x, y) = points[-2:]
    (x0, y0), (x1, y1) = next(
        ((p, q) for p, q in pairwise(reversed(points)) if p[1] - q[1] >= ROOM), (points[-1], points[-2])
    )
    shaft = [*points[:-1], (x, max(y - ARROW + 1, above))]
    items: list[Outline | Words] = [
        Outline(curve(shaft), None, colour, 1.8 if boundary else 1.4, (5, 3.5) if boundary else None),
        Outline(polygon([(x - 3.6, y - ARROW), (x + 3.6, y - ARROW), (x, y)]), colour),
    ]
    if boundary:
        tag = TAGS[boundary]
        wide = text_width(tag, TAG, bold=True) + 9
        at = ((x0 + x1) / 2, (y0 + y1) / 2)
        if x0 == x1:
            at = (x0 + wide / 2 + 5, max(y1, y0 - 30) / 2 + y0 / 2)
        items += [
            Outline(rounded(*at, wide, 13, 6.5), theme.background, colour, 1.2),
            Words(*at, tag, TAG, colour, True, "middle"),
        ]
        if edge.get("cost"):
            items.append(Words(at[0] + wide / 2 + 4, at[1], bytes_text(edge["cost"]), TAG, theme.muted))
    return Group("edge", tuple(items), label=edge_text(edge))
