"""From a view to a scene: heading, legend, frames, edges, boxes, in the colours of one theme."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from qworkbench.errors import unknown_name
from qworkbench.view.colouring import Shading
from qworkbench.view.edges import draw_edge
from qworkbench.view.frames import overlap, rect_of
from qworkbench.view.heading import HEADING_MARGIN, draw_heading
from qworkbench.view.nodes import draw_node
from qworkbench.view.palette import THEMES, Swatch, Theme
from qworkbench.view.scene import Group, Outline, Scene, Words, rounded
from qworkbench.view.text import text_width

NARROWEST = 620.0
FRAME_TEXT = 11.0
CAPTION_MARGIN = 12.0


def theme_named(name: str) -> Theme:
    """Return the theme called `name`.

    Raises
    ------
    UnknownNameError
        If there is none.
    """
    if name not in THEMES:
        raise unknown_name("theme", name, THEMES)
    return THEMES[name]


def draw(view: Mapping[str, Any], *, theme: str = "light", selected: str | None = None, titled: bool = True) -> Scene:
    """Draw `view` (see :func:`qworkbench.view.model.build_view`).

    Parameters
    ----------
    view : Mapping
    theme : "light" | "dark"
    selected : str, optional
        Id of the box that is marked.
    titled : bool
        Whether title and sentence stand above the legend.

    Raises
    ------
    UnknownNameError
        For an unknown theme or a `selected` that is no box of the view.
    """
    colours = theme_named(theme)
    ids = [node["id"] for node in view["nodes"]]
    if selected is not None and selected not in ids:
        raise unknown_name("box", selected, ids)
    captions = _captions(view)
    left = min([0.0, *(words[0] - CAPTION_MARGIN for words in captions.values())])
    right = max([view["width"], *(words[1] + CAPTION_MARGIN for words in captions.values())])
    width = max(right - left, NARROWEST)
    shading = Shading(view["nodes"], view["edges"], view.get("color_by", "placement"))
    heading, top = draw_heading(view, colours, width, shading, titled=titled)
    dx, dy = (width - (right - left)) / 2 - left, top

    # boundaries last: their tags stay on top of the other lines
    edges = sorted(view["edges"], key=lambda edge: edge["boundary"] is not None)
    group_of = {node["id"]: (node["group"], node["on"]) for node in view["nodes"]}

    def fused(edge: Mapping[str, Any]) -> Swatch | None:
        name, on = group_of[edge["source"]]
        return colours.placement[on] if name and group_of[edge["target"]] == (name, on) else None

    groups = (
        heading,
        *(_frame(frame, captions.get(frame["module"]), colours, dx, dy) for frame in view.get("frames", ())),
        *(draw_edge(edge, colours, dx, dy, fused(edge)) for edge in edges),
        *(draw_node(node, shading, colours, dx, dy, node["id"] == selected) for node in view["nodes"]),
    )
    return Scene(
        round(width, 1),
        round(top + view["height"] + HEADING_MARGIN, 1),
        colours.background,
        view["title"],
        view["sentence"],
        groups,
    )


def _captions(view: Mapping[str, Any]) -> dict[str, tuple[float, float, str]]:
    """Return per framed module (left, right, side) of a caption that hides nothing; crowded frames get none."""
    frames = view.get("frames", ())
    taken = [rect_of(box) for box in [*view["nodes"], *frames]]
    spans = [
        (min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1]))
        for edge in view["edges"]
        for a, b in pairwise(edge["points"])
    ]
    found: dict[str, tuple[float, float, str]] = {}
    for frame in frames:
        x0, y0, x1, _ = rect_of(frame)
        wide = text_width(frame["module"], FRAME_TEXT, bold=True) + 8
        for side, start in (("left", x0 - wide), ("right", x1)):
            area = (start + 1, y0 + 1, start + wide - 1, y0 + 20)
            if not any(overlap(area, rect) for rect in taken) and not any(overlap(area, span) for span in spans):
                found[frame["module"]] = (start, start + wide, side)
                break
    return found


def _frame(
    frame: Mapping[str, Any], caption: tuple[float, float, str] | None, theme: Theme, dx: float, dy: float
) -> Group:
    x, y = frame["x"] + dx, frame["y"] + dy
    items: list[Outline | Words] = [Outline(rounded(x, y, frame["w"], frame["h"], 12), theme.surface, theme.frame, 1.0)]
    if caption:
        left, right, side = caption
        baseline = y - frame["h"] / 2 + 11
        if side == "left":
            items.append(Words(right + dx - 8, baseline, frame["module"], FRAME_TEXT, theme.muted, True, "end"))
        else:
            items.append(Words(left + dx + 8, baseline, frame["module"], FRAME_TEXT, theme.muted, True))
    return Group("frame", tuple(items), label=f"module {frame['module']}")
