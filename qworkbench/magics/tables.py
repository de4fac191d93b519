"""A DataFrame as a subcommand hands it back: every column, many rows, and a sentence where there is no row.

pandas shortens to what a terminal of 80 columns and a page of 60 rows hold, which hides the very column that a table
is sorted by. Knows no command.
"""

from __future__ import annotations

import html
from typing import Any

import pandas as pd

TEXT_ROWS, HTML_ROWS = 100, 1000


class Table(pd.DataFrame):
    """A DataFrame that shows itself whole; parts of it do so, too.

    Attributes
    ----------
    nothing : str
        What an empty one says.
    note : str
        Stands above the rows: what they are of.
    """

    _metadata = ["nothing", "note"]  # noqa: RUF012 (pandas reads it from the class)
    nothing = "no rows"
    note = ""

    @property
    def _constructor(self) -> Any:
        return Table

    def __repr__(self) -> str:
        text = self.to_string(max_rows=TEXT_ROWS, max_colwidth=60) if len(self) else self.nothing
        return f"{self.note}\n{text}" if self.note else text

    def _repr_html_(self) -> str:
        note = f"<p>{html.escape(self.note)}</p>" if self.note else ""
        if not len(self):
            return f"{note}<p>{html.escape(self.nothing)}</p>"
        from qworkbench.view.tables import scrolling_table

        return note + scrolling_table(self, rows_shown=HTML_ROWS)


def table(frame: pd.DataFrame, nothing: str = "", note: str = "") -> Table:
    """Return `frame` as a :class:`Table`; `nothing` is what it says when empty, `note` stands above its rows."""
    made = Table(frame)
    made.note = note
    if nothing:
        made.nothing = nothing
    return made
