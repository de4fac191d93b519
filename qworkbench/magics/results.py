"""What a subcommand hands back where it is not a table: a picture, or a step of the history.

Each knows how to show itself; the magics only return it.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

MANY = 20
"""Changes of a step that are listed; more are counted."""


class Picture:
    """A graph as it is now, in four still forms: our own JSON, PNG, SVG and one sentence."""

    def __init__(self, view: Mapping[str, Any]) -> None:
        self.view = view

    @property
    def svg(self) -> str:
        """The picture as SVG text."""
        from qworkbench.view.svg import to_svg

        return to_svg(dict(self.view))

    @property
    def png(self) -> bytes:
        """The picture as PNG."""
        from qworkbench.view.png import to_png

        return to_png(dict(self.view))

    def __repr__(self) -> str:
        return str(self.view["sentence"])

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        from qworkbench.view.forms import still_forms

        return still_forms(self.view)


class Step:
    """A step of the history: what was done, and what it changed in the placement."""

    def __init__(self, text: str, changes: list[str], hint: str = "%qwb run shows the numbers") -> None:
        self.text, self.changes, self.hint = text, changes, hint

    def as_part(self) -> Step:
        """Return the same without the hint: something follows in the same cell."""
        return Step(self.text, self.changes, "")

    def __repr__(self) -> str:
        more = len(self.changes) - MANY
        lines = [self.text, *(f"  {line}" for line in self.changes[:MANY])]
        lines += [f"  ... and {more} more nodes"] if more > 0 else []
        return "\n".join([*lines, f"  ({self.hint})"] if self.hint else lines)

    def _repr_html_(self) -> str:
        first, rest = (_items(part) for part in (self.changes[:MANY], self.changes[MANY:]))
        more = f"<details><summary>{len(self.changes) - MANY} more nodes</summary>{rest}</details>" if rest else ""
        hint = f"<small>{html.escape(self.hint)}</small>" if self.hint else ""
        return f"<div class='qwb-step'><b>{html.escape(self.text)}</b>{first}{more}{hint}</div>"


def _items(lines: list[str]) -> str:
    return f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in lines)}</ul>" if lines else ""


class Lines:
    """Plain lines of text: a diff, a journal, a guide."""

    def __init__(self, lines: list[str], empty: str = "") -> None:
        self.lines = lines or ([empty] if empty else [])

    def __repr__(self) -> str:
        return "\n".join(self.lines)

    def _repr_html_(self) -> str:
        """Return the lines so that long ones break between words, and their rest stays behind their indent."""
        made = []
        for line in (part for text in self.lines for part in text.split("\n")):
            depth = len(line) - len(line.lstrip())
            style = f"padding-left: {depth + 4}ch; text-indent: -4ch; min-height: 1.3em"
            made.append(f"<div style='{style}'>{html.escape(line.lstrip())}</div>")
        font = "font-family: var(--jp-code-font-family, monospace); font-size: var(--jp-code-font-size, 13px)"
        return f"<div style='{font}; line-height: 1.3; white-space: pre-wrap'>{''.join(made)}</div>"

    def __iter__(self) -> Any:
        return iter(self.lines)

    def __len__(self) -> int:
        return len(self.lines)
