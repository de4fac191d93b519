"""How wide a text is, and how to shorten it, without a font file.

Widths are those of the common grotesques (Helvetica, Arial, Liberation Sans) in units of the font size, rounded up
by group; other system fonts differ by a few percent, which the padding of the boxes absorbs.
"""

from __future__ import annotations

import math
import re
import unicodedata
from functools import lru_cache

_GROUPS = (
    (0.24, "ijl'|"),
    (0.29, " .,:;/\\!ftI[]·"),
    (0.35, '()r-`"*{}'),
    (0.52, "ckszvxyJ^"),
    (0.58, "abdeghnopqu0123456789_$?#L+<>=~"),
    (0.64, "FTZ"),
    (0.69, "ABEKPSVXY&"),
    (0.74, "CDHNRUw"),
    (0.80, "GOQ"),
    (0.86, "mM"),
    (0.96, "W%"),
    (1.05, "@…—"),
)
_WIDTHS = {character: width for width, group in _GROUPS for character in group}
_BOLD = 1.09


@lru_cache(maxsize=1 << 14)
def _units(text: str) -> float:
    total = 0.0
    for character in text:
        width = _WIDTHS.get(character)
        if width is None:
            width = 0.0 if unicodedata.combining(character) else 0.62
            if unicodedata.east_asian_width(character) in "WF":
                width = 1.05
        total += width
    return total


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Return the width of `text` set at `size`, in the unit of `size`."""
    return _units(text) * size * (_BOLD if bold else 1.0)


def shorten(text: str, limit: int) -> str:
    """Return `text` with its middle replaced by an ellipsis where it has more than `limit` characters."""
    if len(text) <= limit:
        return text
    tail = (limit - 1) * 2 // 3
    return f"{text[: limit - 1 - tail]}…{text[len(text) - tail :]}"


def wrap(text: str, size: float, width: float) -> list[str]:
    """Break `text` at spaces into lines no wider than `width`; a longer word gets a line of its own."""
    lines: list[str] = []
    for word in text.split():
        if lines and text_width(f"{lines[-1]} {word}", size) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def bytes_text(count: float) -> str:
    """Return ``12.8 kB`` for 12800: decimal units, three significant digits."""
    power = 0
    while count >= 1000 and power < 3:
        count, power = count / 1000, power + 1
    return f"{float(f'{count:.3g}'):g} {('B', 'kB', 'MB', 'GB')[power]}"


def number_text(value: float) -> str:
    """Return a number in three significant digits, as the widget writes it."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    text = f"{value:.2e}" if size and (size < 1e-4 or size >= 1e5) else f"{float(f'{value:.3g}'):.12g}"
    return re.sub(r"e([+-])0*(?=\d)", r"e\1", text).replace("e+", "e").replace("-", "−")


def last_part(name: str, op: str = "") -> str:
    """Return the end of a node or module name that still tells something.

    ``layer1.0.conv1`` gives ``conv1``; a bare number or the operator's own name keeps the part before it:
    ``features.0``, ``stem/Conv``.
    """
    for separator in ("/", "."):
        parts = [part for part in name.split(separator) if part]
        if len(parts) > 1:
            last = parts[-1]
            bare = last.split("#")[0].split("_")[0]
            if bare.isdigit() or (op and bare.lower() == op.lower() and separator == "/"):
                return separator.join(parts[-2:])
            return last if separator == "." else last_part(last, op)
    return name
