"""Tables as plain text with dashes under the headings, the form of the guide's text files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def text_table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return aligned columns: text to the left, numbers to the right with six significant digits."""
    body = [list(row) for row in rows]
    cells = [[_cell(value) for value in row] for row in body]
    right = [bool(body) and all(isinstance(row[i], (int, float)) for row in body) for i in range(len(headings))]
    widths = [max([len(head), *(len(row[i]) for row in cells)]) for i, head in enumerate(headings)]
    lines = [list(headings), ["-" * width for width in widths], *cells]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if aligned else cell.ljust(width)
            for cell, width, aligned in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
