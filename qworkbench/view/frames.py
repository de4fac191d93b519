"""Frames around the boxes of one open module, where they stand together.

Labels show only the last part of a name; the frame says which module they are in. A frame is drawn for the innermost
modules with a few boxes whose surroundings hold no foreign box.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qworkbench.view.modules import ancestors

PADDING = 9.0
FEWEST = 4

Rect = tuple[float, float, float, float]


def overlap(a: Rect, b: Rect) -> bool:
    """Tell whether two (left, top, right, bottom) rectangles share an area."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def rect_of(box: Mapping[str, Any]) -> Rect:
    """Return the rectangle of a box given by its centre ``x``, ``y`` and size ``w``, ``h``."""
    return (
        box["x"] - box["w"] / 2,
        box["y"] - box["h"] / 2,
        box["x"] + box["w"] / 2,
        box["y"] + box["h"] / 2,
    )


def module_frames(nodes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return frames ``{"module", "x", "y", "w", "h"}`` (centre and size) for the boxes of a view."""
    members: dict[str, list[Rect]] = {}
    for node in nodes:
        for path in ancestors(node["module"]):
            members.setdefault(path, []).append(rect_of(node))
    everything = sorted((rect_of(node) for node in nodes), key=lambda r: r[1])
    frames: list[dict[str, Any]] = []
    taken: set[str] = set()
    for path in sorted(members, key=lambda p: (-p.count("."), members[p][0][1], p)):
        rects = members[path]
        if len(rects) < FEWEST or path in taken:
            continue
        taken.update(ancestors(path))
        left, top = min(r[0] for r in rects) - PADDING, min(r[1] for r in rects) - PADDING
        right, bottom = max(r[2] for r in rects) + PADDING, max(r[3] for r in rects) + PADDING
        frame = (left, top, right, bottom)
        if sum(overlap(frame, rect) for rect in everything) > len(rects):
            continue
        frames.append(
            {
                "module": path,
                "x": round((left + right) / 2, 2),
                "y": round((top + bottom) / 2, 2),
                "w": round(right - left, 2),
                "h": round(bottom - top, 2),
            }
        )
    return sorted(frames, key=lambda f: (f["y"] - f["h"] / 2, f["module"]))
