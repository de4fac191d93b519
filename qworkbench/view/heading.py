"""The head of a picture: title, sentence, and a legend of exactly the marks that occur in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qworkbench.view.colouring import COLOURINGS, Shading
from qworkbench.view.edges import ARROW, BOND
from qworkbench.view.nodes import DASH, glyph
from qworkbench.view.palette import TAGS, Swatch, Theme
from qworkbench.view.scene import Group, Outline, Words, cut, polygon, rounded
from qworkbench.view.text import text_width, wrap

HEADING_MARGIN = 20.0
TITLE, BODY, SMALL = 19.0, 13.0, 11.5
ROW = 24.0

Mark = tuple[list[Outline | Words], float, str]
"""What is drawn around (0, 0), how wide it is, and what it means."""


def draw_heading(
    view: Mapping[str, Any], theme: Theme, width: float, shading: Shading, *, titled: bool = True
) -> tuple[Group, float]:
    """Draw title, sentence and legend for a picture `width` wide; return them with the height that they take."""
    items: list[Outline | Words] = []
    left, y = HEADING_MARGIN, 30.0
    if titled:
        for line in wrap(view["title"], TITLE * 1.09, width - 2 * left):
            items.append(Words(left, y, line, TITLE, theme.text, True))
            y += 25
        y += 2
        for line in wrap(view["sentence"], BODY, width - 2 * left):
            items.append(Words(left, y, line, BODY, theme.muted))
            y += 19
        y += 12
    x = left
    for drawn, wide, meaning in _marks(view, theme, shading):
        total = wide + 7 + text_width(meaning, SMALL)
        if x > left and x + total > width - left:
            x, y = left, y + ROW
        items += [_moved(item, x + wide / 2, y) for item in drawn]
        items.append(Words(x + wide + 7, y, meaning, SMALL, theme.text))
        x += total + 20
    y += 20
    items.append(Outline((("M", (left, y)), ("L", (width - left, y))), None, theme.frame, 1.0))
    return Group("heading", tuple(items), label="legend"), y + 2


def _moved(item: Outline | Words, dx: float, dy: float) -> Outline | Words:
    if isinstance(item, Words):
        return Words(item.x + dx, item.y + dy, item.text, item.size, item.colour, item.bold, item.anchor)
    moved = tuple(
        (letter, tuple(value + (dy if i % 2 else dx) for i, value in enumerate(values)))
        for letter, values in item.commands
    )
    return Outline(moved, item.fill, item.stroke, item.width, item.dash)


def _marks(view: Mapping[str, Any], theme: Theme, shading: Shading) -> list[Mark]:
    ops = [node for node in view["nodes"] if node["kind"] == "op"]
    modules = [node for node in view["nodes"] if node["kind"] == "module"]
    places = theme.placement
    found: list[Mark] = []
    boxes = {
        "BPU": (rounded(0, 0, 26, 15, 4), "on BPU", None),
        "CPU": (cut(0, 0, 26, 15, 4.5), "on CPU", DASH),
        "NONE": (rounded(0, 0, 26, 13, 6.5), "removed at inference", None),
    }
    for on, (shape, meaning, dash) in boxes.items():
        if any(node["on"] == on for node in ops):
            swatch = places[on]
            fill = swatch.fill if shading.colouring == "placement" or shading.missing else theme.background
            found.append(([Outline(shape, fill, swatch.stroke, 1.5, dash)], 26, meaning))
    if modules:
        stack: list[Outline | Words] = [
            Outline(rounded(shift, shift, 23, 13, 3), theme.module.fill, theme.module.stroke, 1.2)
            for shift in (2.0, -1.0)
        ]
        stack.append(Outline(rounded(-4, 2, 11, 3, 1), places["BPU"].stroke))
        stack.append(Outline(rounded(4.5, 2, 6, 3, 1), places["CPU"].stroke))
        found.append((stack, 28, "folded module, BPU and CPU share"))
    neutral = Swatch(theme.background, theme.muted, theme.text)
    classes = {node["quant_class"] for node in ops if node["on"] != "NONE"}
    found += [
        (glyph(name, 0, 0, neutral, theme.background), 15, name)
        for name in ("active", "passive", "manual")
        if name in classes
    ]
    if any(node["group"] for node in ops):
        bond = Outline((("M", (-13, 0)), ("L", (13, 0))), None, places["BPU"].stroke, BOND)
        found.append(([bond], 26, "fused"))
    for kind, tag in TAGS.items():
        if any(edge["boundary"] == kind for edge in view["edges"]):
            found.append((_boundary_mark(tag, theme.boundary[kind], theme.background), 46, kind))
    return [*found, *_tone_marks(theme, shading)]


def _boundary_mark(tag: str, colour: str, paper: str) -> list[Outline | Words]:
    wide = text_width(tag, 9, bold=True) + 9
    return [
        Outline((("M", (-23, 0)), ("L", (23 - ARROW, 0))), None, colour, 1.8, (5, 3.5)),
        Outline(polygon([(23 - ARROW, -3.6), (23 - ARROW, 3.6), (23, 0)]), colour),
        Outline(rounded(-3, 0, wide, 13, 6.5), paper, colour, 1.2),
        Words(-3, 0, tag, 9, colour, True, "middle"),
    ]


def _tone_marks(theme: Theme, shading: Shading) -> list[Mark]:
    """Return what the fills mean, the first mark behind the name of the colouring."""
    name = COLOURINGS[shading.colouring]
    if shading.missing:
        return [([], 0, f"{name}: {shading.missing}")]
    marks: list[Mark] = []
    for number, (tone, meaning) in enumerate(shading.entries(theme)):
        swatch = tone.swatch(theme, theme.muted)
        text = meaning if number else f"{name} {meaning}"
        marks.append(([Outline(rounded(0, 0, 18, 15, 3), swatch.fill, swatch.stroke, 0.8)], 18, text))
    return marks
