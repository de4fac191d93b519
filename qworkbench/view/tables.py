"""Data frames as HTML and as aligned text, with figures formatted by what they measure.

Cosines have 6 decimals, distances 4 significant digits, differences a sign. A column's name decides, so every table
of the product prints the same figure the same way. Everything from the model is escaped.
"""

from __future__ import annotations

import math
import re
import unicodedata
from html import escape
from typing import Any

import pandas as pd

from qworkbench.view.figures import Figures
from qworkbench.view.palette import DARK, LIGHT, Theme

HEADERS = {
    "on": "on",
    "l1": "L1",
    "mse": "MSE",
    "atol": "max |Δ|",
    "rtol": "rel. Δ",
    "sqnr": "SQNR dB",
    "op": "op",
    "macs": "MACs",
}
_BETTER = {"delta_cosine": 1, "delta_sqnr": 1, "delta_l1": -1, "delta_mse": -1, "delta_atol": -1}
_COMPARES = re.compile("^delta_|_before$")
MISSING = "–"
LONG = 40
"""Characters from which on a text cell is a sentence, which may take several lines."""


def header(column: str) -> str:
    """Return how a column is headed: ``L1 before``, ``Δ cosine``."""
    if column in HEADERS:
        return HEADERS[column]
    if column.startswith("delta_"):
        return f"Δ {header(column.removeprefix('delta_'))}"
    if column.endswith("_before"):
        return f"{header(column.removesuffix('_before'))} before"
    return column.replace("_", " ")


def is_missing(value: Any) -> bool:
    """Tell whether a cell is empty (None, NaN, NA)."""
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))


def format_cell(column: str, value: Any) -> str:
    """Return the text of one cell."""
    if is_missing(value):
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return str(value)
    if column.endswith("share"):
        return "<0.01%" if 0 < value < 0.0001 else f"{value:.2%}"
    sign = "+" if column.startswith("delta_") else ""
    if "cosine" in column.lower():
        return f"{value:{sign}.6f}"
    return f"{value:{sign}.4g}"


Table = pd.DataFrame | Figures


def _has_index(table: Table) -> bool:
    return isinstance(table, Figures) or not isinstance(table.index, pd.RangeIndex)


def _cells(frame: Table) -> list[tuple[str, list[Any], bool]]:
    """Return (column, values as Python objects, numeric) with the index first, unless it only counts.

    Columns that compare with a run before are left out where there is none.
    """
    return [
        (name, values, numeric)
        for name, values, numeric in _all_cells(frame)
        if not (values and _COMPARES.search(name) and all(map(is_missing, values)))
    ]


def _all_cells(frame: Table) -> list[tuple[str, list[Any], bool]]:
    if isinstance(frame, Figures):
        return frame.cells()
    columns: list[tuple[str, list[Any], bool]] = []
    if _has_index(frame):
        columns.append(("" if frame.index.name is None else str(frame.index.name), frame.index.tolist(), False))
    for position, name in enumerate(frame.columns):
        series = frame.iloc[:, position]
        numeric = pd.api.types.is_numeric_dtype(series) and not pd.api.types.is_bool_dtype(series)
        columns.append((str(name), series.tolist(), numeric))
    return columns


def _trend(column: str, value: Any) -> str:
    if column not in _BETTER or is_missing(value) or not float(format_cell(column, value)):
        return ""
    return " qwb-better" if value * _BETTER[column] > 0 else " qwb-worse"


def table_markup(frame: Table, *, caption: str, rows_shown: int | None = None, own_names: bool = False) -> str:
    """Return the ``<table>`` alone, without its style sheet.

    Parameters
    ----------
    frame : pandas.DataFrame or Figures
    caption : str
        Empty: none.
    rows_shown : int, optional
        Later rows are counted in a last one.
    own_names : bool
        Head columns by the names that the frame has them under, so that they can be asked for.
    """
    columns = _cells(frame)
    has_index = _has_index(frame)
    head = "".join(
        f'<th scope="col"{" class=qwb-n" if numeric else ""}>{escape(name if own_names else header(name))}</th>'
        for name, _, numeric in columns
    )
    rows = []
    shown = len(frame) if rows_shown is None else min(len(frame), rows_shown)
    for i in range(shown):
        cells = []
        for place, (name, values, numeric) in enumerate(columns):
            text = escape(format_cell(name, values[i]))
            if has_index and place == 0:
                cells.append(f'<th scope="row">{text}</th>')
            elif name == "on" and text in ("BPU", "CPU", "NONE"):
                cells.append(f'<td><span class="qwb-on qwb-{text.lower()}">{text}</span></td>')
            elif numeric:
                cells.append(f'<td class="qwb-n{_trend(name, values[i])}">{text}</td>')
            else:
                cells.append(f"<td{' class=qwb-t' if len(text) > LONG else ''}>{text}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    if not rows:
        rows = [f'<tr><td colspan="{max(len(columns), 1)}">nothing to show</td></tr>']
    if shown < len(frame):
        rows.append(f'<tr><td colspan="{len(columns)}">{len(frame) - shown} more rows</td></tr>')
    return (
        f'<table class="qwb-figures">{f"<caption>{escape(caption)}</caption>" if caption else ""}'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def html_table(frame: Table, *, caption: str) -> str:
    """Return `frame` as an HTML table with its own style, for a notebook cell.

    Parameters
    ----------
    frame : pandas.DataFrame or Figures
        The index becomes row headers, unless it only counts.
    caption : str
    """
    return f"<style>{TABLE_CSS}</style>{table_markup(frame, caption=caption)}"


def scrolling_table(frame: pd.DataFrame, *, rows_shown: int) -> str:
    """Return `frame` in a box of limited height for a notebook cell: heads and row names stay while it scrolls."""
    inner = table_markup(frame, caption="", rows_shown=rows_shown, own_names=True)
    return f'<style>{TABLE_CSS}{SCROLL_CSS}</style><div class="qwb-scroll" tabindex="0">{inner}</div>'


def _display_width(text: str) -> int:
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _pad(text: str, width: int, *, right: bool) -> str:
    space = " " * (width - _display_width(text))
    return space + text if right else text + space


def text_table(frame: Table) -> str:
    """Return `frame` as aligned plain text: a header, a rule, one line per row; figures to the right."""
    columns = []
    for name, values, numeric in _cells(frame):
        texts = [header(name), *(" ".join(format_cell(name, value).split()) for value in values)]
        columns.append((texts, max(map(_display_width, texts)), numeric))
    lines = [
        "  ".join(_pad(texts[i], width, right=numeric) for texts, width, numeric in columns).rstrip()
        for i in range(len(frame) + 1)
    ]
    lines.insert(1, "  ".join("-" * width for _, width, _ in columns))
    return "\n".join(lines)


def _placement_css(theme: Theme, scope: str) -> str:
    rules = [
        f"{scope} .qwb-{on.lower()}{{background:{s.fill};border-color:{s.stroke};color:{s.text}}}"
        for on, s in theme.placement.items()
    ]
    rules += [f"{scope} .qwb-better{{color:{theme.better}}}", f"{scope} .qwb-worse{{color:{theme.worse}}}"]
    return "".join(rules)


_DARK_NOTEBOOK = "[data-jp-theme-light=false] .qwb-figures"
# three times the class, so that a notebook's own rules for tables (padding, alignment, fixed layout) do not win
SCOPE = ".qwb-figures.qwb-figures.qwb-figures"
TABLE_CSS = (
    f"{SCOPE}{{border-collapse:collapse;table-layout:auto;margin:0 0 12px;font-size:13px;line-height:1.4;"
    "font-variant-numeric:tabular-nums}"
    f"{SCOPE} caption{{caption-side:top;text-align:left;font-weight:600;padding:0 0 6px;white-space:nowrap}}"
    f"{SCOPE} th,{SCOPE} td{{padding:4px 12px 4px 0;text-align:left;vertical-align:top;white-space:nowrap}}"
    f"{SCOPE} thead th{{border-bottom:1.5px solid currentColor;font-weight:600}}"
    f"{SCOPE} tbody th{{font-weight:500;max-width:30em;white-space:normal;overflow-wrap:break-word}}"
    f"{SCOPE} tbody tr+tr>*{{border-top:1px solid rgba(128,140,152,.25)}}"
    f"{SCOPE} .qwb-n{{text-align:right}}"
    f"{SCOPE} .qwb-t{{white-space:normal;min-width:36em;max-width:60em}}"
    ".qwb-figures .qwb-on{display:inline-block;padding:0 7px;border:1.2px solid;border-radius:5px;font-size:11px}"
    ".qwb-figures .qwb-cpu{border-style:dashed;border-radius:1px}.qwb-figures .qwb-none{border-radius:9px}"
    ".qwb-better,.qwb-worse{font-weight:600}"
    f"{_placement_css(LIGHT, '.qwb-figures')}"
    f"{_placement_css(DARK, _DARK_NOTEBOOK)}"
)
"""Style of a table; follows JupyterLab's theme."""

_PAPER = "var(--jp-layout-color0,var(--vscode-editor-background,Canvas))"
SCROLL_CSS = (
    ".qwb-scroll{max-height:34em;overflow:auto}"
    f".qwb-scroll {SCOPE}{{border-collapse:separate;border-spacing:0;margin:0}}"
    f".qwb-scroll {SCOPE} thead th{{position:sticky;top:0;z-index:2;background:{_PAPER}}}"
    f".qwb-scroll {SCOPE} :is(thead th:first-child,tbody th){{position:sticky;left:0;background:{_PAPER}}}"
    f".qwb-scroll {SCOPE} thead th:first-child{{z-index:3}}"
    f".qwb-scroll {SCOPE} tbody th{{max-width:22em}}"
)
"""What :func:`scrolling_table` adds to it."""


def dark_table_css() -> str:
    """Return the rules that a page in dark mode adds to :data:`TABLE_CSS`."""
    return _placement_css(DARK, ".qwb-figures")
