"""Boxes of a scene: shape and colour say where a box runs, a letter says its class, a figure says its cosine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qworkbench.view.boxes import DETAIL, GLYPH, LABEL, PADDING, PILE, detail_text
from qworkbench.view.colouring import Shading
from qworkbench.view.palette import GLYPHS, SHAPES, Swatch, Theme
from qworkbench.view.scene import Command, Group, Outline, Words, cut, rounded

DASH = (5.0, 3.0)
CLASS_NAMES = {"active": "active", "passive": "passive", "manual": "manual", "none": ""}
PLACES = {"BPU": "on BPU", "CPU": "on CPU", "NONE": "removed at inference"}


def node_text(node: Mapping[str, Any]) -> str:
    """Return what a box is, for screen readers and tooltips."""
    if node["kind"] != "op":
        return str(node["reason"])
    parts = [node["id"], node["op"], PLACES[node["on"]]]
    if GLYPHS[node["quant_class"]]:
        parts.append(CLASS_NAMES[node["quant_class"]])
    if node["dtype"]:
        parts.append(node["dtype"])
    if node["group"]:
        parts.append(f"fused unit {node['group']}")
    if node["cosine"] is not None:
        parts.append(f"cosine {node['cosine']:.6f}")
    if node["edited"]:
        parts.append("edited")
    if node["inserted"]:
        parts.append("inserted unit conv")
    text = ", ".join(parts)
    return f"{text}. {node['reason']}" if node["reason"] else text


def swatch_of(node: Mapping[str, Any], shading: Shading, theme: Theme) -> Swatch:
    """Return the colours of a box."""
    if node["kind"] in ("input", "output"):
        return theme.terminal
    share = node["bpu_share"]
    mixed = node["kind"] == "module" and share is not None and 0 < share < 1
    swatch = theme.module if mixed else theme.placement[node["on"]]
    tone = shading.tone(node)
    return swatch if tone is None else tone.swatch(theme, swatch.stroke)


def shape_of(node: Mapping[str, Any], x: float, y: float, grow: float = 0.0) -> tuple[Command, ...]:
    """Return the outline of a box around (`x`, `y`), `grow` pixels larger on every side."""
    w, h = node["w"] + 2 * grow, node["h"] + 2 * grow
    if node["kind"] in ("input", "output"):
        return rounded(x, y, w, h, h / 2)
    shape = SHAPES[node["on"]]
    if node["kind"] == "module" or shape == "rounded":
        return rounded(x, y, w, h, 8 + grow)
    return cut(x, y, w, h, 9 + grow / 2) if shape == "cut" else rounded(x, y, w, h, h / 2)


def draw_node(
    node: Mapping[str, Any], shading: Shading, theme: Theme, dx: float, dy: float, selected: bool = False
) -> Group:
    """Draw one box, moved by (`dx`, `dy`)."""
    x, y = node["x"] + dx, node["y"] + dy
    swatch = swatch_of(node, shading, theme)
    terminal = node["kind"] in ("input", "output")
    dashed = node["on"] == "CPU" and node["kind"] == "op"
    items: list[Outline | Words] = []
    if node["kind"] == "module":
        items += [
            Outline(rounded(x + shift, y + shift, node["w"], node["h"], 8), theme.background, swatch.stroke, 1.2)
            for shift in (PILE, PILE / 2)
        ]
    items.append(Outline(shape_of(node, x, y), swatch.fill, swatch.stroke, 1.6, DASH if dashed else None))
    if terminal:
        items.append(Words(x, y, node["label"], 12, swatch.text, True, "middle"))
    elif node["kind"] == "op" and node["on"] == "NONE":
        items.append(Words(x, y, node["label"], DETAIL, swatch.text, False, "middle"))
    else:
        items += _texts(node, shading, x, y, swatch)
    if node["kind"] == "module":
        items += _share_bar(node, x, y, theme)
    else:
        items += _glyph(node, x, y, swatch, theme.background)
    if selected:
        items.append(Outline(shape_of(node, x, y, grow=4), None, theme.selected, 2.6))
    if node["edited"] or node["inserted"]:
        items += _edit_mark(node, x, y, theme)
    return Group("node", tuple(items), name=node["id"], label=node_text(node))


def _texts(node: Mapping[str, Any], shading: Shading, x: float, y: float, swatch: Swatch) -> list[Outline | Words]:
    left, right = x - node["w"] / 2 + PADDING, x + node["w"] / 2 - PADDING
    up = 14.0 if node["kind"] == "module" else 9.0
    low = 3.0 if node["kind"] == "module" else 10.0
    items: list[Outline | Words] = [
        Words(left, y - up, node["label"], LABEL, swatch.text, True),
        Words(left, y + low, shading.word(node) or detail_text(node), DETAIL, swatch.text),
    ]
    score = shading.score(node)
    if score:
        items.append(Words(right, y + low, score, DETAIL, swatch.text, False, "end"))
    return items


def _glyph(node: Mapping[str, Any], x: float, y: float, swatch: Swatch, paper: str) -> list[Outline | Words]:
    letter = GLYPHS[node["quant_class"]]
    if not letter or node["on"] == "NONE":
        return []
    at = x + node["w"] / 2 - PADDING - GLYPH / 2 + 5, y - 9
    return glyph(node["quant_class"], *at, swatch, paper)


def glyph(quant_class: str, x: float, y: float, swatch: Swatch, paper: str) -> list[Outline | Words]:
    """Draw the mark of a quantization class: filled disc (active), ring (passive), square (manual), with its letter."""
    letter = GLYPHS[quant_class]
    if quant_class == "active":
        return [
            Outline(rounded(x, y, 15, 15, 7.5), swatch.stroke),
            Words(x, y, letter, 9.5, paper, True, "middle"),
        ]
    radius = 7.5 if quant_class == "passive" else 2.0
    return [
        Outline(rounded(x, y, 14, 14, radius), None, swatch.stroke, 1.2),
        Words(x, y, letter, 9.5, swatch.text, True, "middle"),
    ]


def _share_bar(node: Mapping[str, Any], x: float, y: float, theme: Theme) -> list[Outline | Words]:
    """Draw how much of a module runs on the BPU: a bar in the two placement colours."""
    share = node["bpu_share"]
    if share is None:
        return []
    wide, left, level = node["w"] - 2 * PADDING, x - node["w"] / 2 + PADDING, y + 18
    bpu = wide * share
    items: list[Outline | Words] = []
    if bpu < wide:
        cpu = wide - bpu
        items.append(Outline(rounded(left + bpu + cpu / 2, level, cpu, 5, 1.5), theme.placement["CPU"].stroke))
    if bpu > 0:
        items.append(Outline(rounded(left + bpu / 2, level, bpu, 5, 1.5), theme.placement["BPU"].stroke))
    return items


def _edit_mark(node: Mapping[str, Any], x: float, y: float, theme: Theme) -> list[Outline | Words]:
    """Draw a badge on the upper left corner: ``+`` for an inserted unit conv, a pencil stroke for an edit."""
    cx, cy = x - node["w"] / 2 + 1, y - node["h"] / 2 + 1
    badge: list[Outline | Words] = [Outline(rounded(cx, cy, 16, 16, 8), theme.edited, theme.background, 1.5)]
    if node["inserted"]:
        plus: tuple[Command, ...] = (
            ("M", (cx - 3.5, cy)),
            ("L", (cx + 3.5, cy)),
            ("M", (cx, cy - 3.5)),
            ("L", (cx, cy + 3.5)),
        )
        return [*badge, Outline(plus, None, theme.background, 1.8)]
    pencil: tuple[Command, ...] = (("M", (cx - 3, cy + 3)), ("L", (cx + 3.2, cy - 3.2)))
    return [*badge, Outline(pencil, None, theme.background, 2.4)]
