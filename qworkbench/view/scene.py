"""What a picture consists of: outlines and texts in absolute pixels, in named groups.

The drawing code makes one scene; the SVG and the PNG writer each walk it. So the two can not differ in anything but
the font. Knows nothing of graphs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

Anchor = Literal["start", "middle", "end"]
Command = tuple[str, tuple[float, ...]]
"""``("M", (x, y))``, ``("L", (x, y))``, ``("C", (x1, y1, x2, y2, x, y))`` or ``("Z", ())``."""


@dataclass(frozen=True, slots=True)
class Outline:
    """A path; colours are ``#rrggbb`` or None, `dash` is (on, off)."""

    commands: tuple[Command, ...]
    fill: str | None = None
    stroke: str | None = None
    width: float = 1.0
    dash: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """One line of text; `y` is its vertical centre."""

    x: float
    y: float
    text: str
    size: float
    colour: str
    bold: bool = False
    anchor: Anchor = "start"


@dataclass(frozen=True, slots=True)
class Group:
    """Drawn things that mean one thing.

    Attributes
    ----------
    role : str
        ``node``, ``edge``, ``frame``, ``legend`` or ``heading``.
    name : str
        Box id of a node; "" elsewhere.
    label : str
        What a screen reader says, and what a tooltip shows.
    """

    role: str
    items: tuple[Outline | Words, ...]
    name: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """A finished picture."""

    width: float
    height: float
    background: str
    title: str
    description: str
    groups: tuple[Group, ...] = field(default=())

    def items(self) -> Iterator[Outline | Words]:
        """Yield everything in drawing order."""
        for group in self.groups:
            yield from group.items


_ROUND = 0.5523  # control distance of a cubic that follows a quarter circle


def rounded(x: float, y: float, w: float, h: float, radius: float) -> tuple[Command, ...]:
    """Return a rectangle with round corners, given its centre and size."""
    left, top, right, bottom = x - w / 2, y - h / 2, x + w / 2, y + h / 2
    r = min(radius, w / 2, h / 2)
    k = r * (1 - _ROUND)
    return (
        ("M", (left + r, top)),
        ("L", (right - r, top)),
        ("C", (right - k, top, right, top + k, right, top + r)),
        ("L", (right, bottom - r)),
        ("C", (right, bottom - k, right - k, bottom, right - r, bottom)),
        ("L", (left + r, bottom)),
        ("C", (left + k, bottom, left, bottom - k, left, bottom - r)),
        ("L", (left, top + r)),
        ("C", (left, top + k, left + k, top, left + r, top)),
        ("Z", ()),
    )


def cut(x: float, y: float, w: float, h: float, corner: float) -> tuple[Command, ...]:
    """Return a rectangle with straight cut corners, given its centre and size."""
    left, top, right, bottom = x - w / 2, y - h / 2, x + w / 2, y + h / 2
    c = min(corner, w / 2, h / 2)
    return polygon(
        [
            (left + c, top),
            (right - c, top),
            (right, top + c),
            (right, bottom - c),
            (right - c, bottom),
            (left + c, bottom),
            (left, bottom - c),
            (left, top + c),
        ]
    )


def polygon(points: Sequence[tuple[float, float]]) -> tuple[Command, ...]:
    """Return a closed outline through `points`."""
    return (("M", points[0]), *(("L", point) for point in points[1:]), ("Z", ()))


def curve(points: Sequence[tuple[float, float]]) -> tuple[Command, ...]:
    """Return a line through `points` whose slanted stretches leave and arrive vertically.

    A stretch stays inside its bounding box, so a layout that keeps those boxes free keeps the curve free.
    """
    commands: list[Command] = [("M", points[0])]
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 == x1:
            commands.append(("L", (x1, y1)))
        else:
            middle = (y0 + y1) / 2
            commands.append(("C", (x0, middle, x1, middle, x1, y1)))
    return tuple(commands)
