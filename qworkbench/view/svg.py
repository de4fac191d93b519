"""A view as one self-contained SVG document, readable by eyes and by screen readers.

No script, no network, no font file. Every name from the model is escaped, and characters that XML forbids are replaced.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from qworkbench.view.draw import draw
from qworkbench.view.scene import Group, Outline, Scene, Words

FONT = "'Helvetica Neue',Arial,'Liberation Sans','Segoe UI',Roboto,system-ui,sans-serif"
_ROLES = {"node": "graphics-symbol", "heading": "group"}


def to_svg(view: Mapping[str, Any], *, theme: str = "light", selected: str | None = None, titled: bool = True) -> str:
    """Return `view` as SVG text.

    Parameters
    ----------
    view : Mapping
        From :func:`qworkbench.view.model.build_view`.
    theme : "light" | "dark"
    selected : str, optional
        Id of the box that is marked.
    titled : bool
        Whether title and sentence stand above the legend; they are in the description for screen readers either way.

    Raises
    ------
    UnknownNameError
        For an unknown theme or box.
    """
    return scene_to_svg(draw(view, theme=theme, selected=selected, titled=titled))


def clean(text: str) -> str:
    """Return `text` with the characters that XML 1.0 does not allow replaced by U+FFFD."""
    return "".join(
        c if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c >= "\U00010000" else "\ufffd"
        for c in text
    )


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _outline(item: Outline) -> str:
    data = "".join(letter + " ".join(map(_number, values)) for letter, values in item.commands)
    text = f'<path d="{data}" fill="{item.fill or "none"}"'
    if item.stroke:
        text += f' stroke="{item.stroke}" stroke-width="{_number(item.width)}"'
    if item.dash:
        text += f' stroke-dasharray="{" ".join(map(_number, item.dash))}"'
    return text + "/>"


def _words(item: Words) -> str:
    text = f'<text x="{_number(item.x)}" y="{_number(item.y + 0.355 * item.size)}" font-size="{_number(item.size)}"'
    if item.bold:
        text += ' font-weight="600"'
    if item.anchor != "start":
        text += f' text-anchor="{item.anchor}"'
    return f'{text} fill="{item.colour}">{escape(clean(item.text))}</text>'


def _group(group: Group) -> str:
    opening = f'<g class="qwb-{group.role}"'
    if group.role in _ROLES:
        opening += f' role="{_ROLES[group.role]}" aria-label={quoteattr(clean(group.label))}'
    else:
        opening += ' aria-hidden="true"'
    if group.name:
        opening += f" data-id={quoteattr(clean(group.name))}"
    tooltip = f"<title>{escape(clean(group.label))}</title>" if group.role != "heading" else ""
    body = "".join(_outline(i) if isinstance(i, Outline) else _words(i) for i in group.items)
    return f"{opening}>{tooltip}{body}</g>"


def scene_to_svg(scene: Scene) -> str:
    """Return `scene` as SVG text."""
    body = "\n".join(_group(group) for group in scene.groups)
    key = f"qwb{zlib.crc32(f'{scene.title}{scene.description}{body}'.encode('utf-8', 'replace')):08x}"
    width, height = _number(scene.width), _number(scene.height)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="graphics-document" aria-roledescription="network graph" aria-labelledby="{key}-t {key}-d" '
        f'font-family="{FONT}" style="max-width:100%;height:auto">\n'
        f'<title id="{key}-t">{escape(clean(scene.title))}</title>\n'
        f'<desc id="{key}-d">{escape(clean(scene.description))}</desc>\n'
        f'<rect width="100%" height="100%" fill="{scene.background}"/>\n{body}\n</svg>\n'
    )
