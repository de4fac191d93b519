"""The vendor's result tables as they print them, and as frames, CSV and HTML: checker, makertbin, outputs.

Columns changed between versions of the tools, so the variants are named after what they add. Figures as published: six
decimals for cosines and distances, six significant digits for thresholds, ``--`` where a row has none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qworkbench.errors import FileFormatError, QWorkbenchError, unknown_name
from qworkbench.files import write_text

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from qworkbench.placement.types import Placement

BOTH = "In/Out DataType"
FORMS: Mapping[str, tuple[str, ...]] = {
    "checker": ("Node", "ON", "Subgraph", "Type"),
    "checker-dtypes": ("Node", "ON", "Subgraph", "Type", BOTH),
    "makertbin": ("Node", "ON", "Subgraph", "Type", "Cosine Similarity", "Threshold"),
    "makertbin-dtypes": ("Node", "ON", "Subgraph", "Type", "Cosine Similarity", "Threshold", BOTH),
    "makertbin-dtype": ("Node", "ON", "Subgraph", "Type", "Cosine Similarity", "Threshold", "DataType"),
    "outputs": ("Output", "Cosine Similarity", "L1 Distance", "L2 Distance", "Chebyshev Distance"),
}
_SOURCE = {
    "Node": "node",
    "ON": "on",
    "Subgraph": "subgraph",
    "Type": "type",
    "Cosine Similarity": "cosine",
    "Threshold": "threshold",
    "DataType": "dtype",
}
BLANK_REQUANTIZE = ("makertbin-dtypes",)  # this version leaves the cells of a Requantize empty
NONE = "--"
SUFFIXES = (".txt", ".csv", ".html")


@dataclass(frozen=True, eq=False)
class ResultTable:
    """One table in one of the forms of :data:`FORMS`."""

    form: str
    frame: pd.DataFrame

    @property
    def cells(self) -> list[list[str]]:
        """The cells as the tool prints them."""
        rows = []
        for record in self.frame.to_dict("records"):
            blank = "" if self.form in BLANK_REQUANTIZE and record.get("Type") == "HzRequantize" else NONE
            rows.append([printed(str(column), record[column], blank) for column in self.frame.columns])
        return rows

    @property
    def text(self) -> str:
        """The table as the tool prints it."""
        columns = [str(column) for column in self.frame.columns]
        lines = [columns, *self.cells]
        widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
        made = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        ]
        across = sum(widths) + 2 * (len(widths) - 1)
        title = "The quantify model output:" if self.form == "outputs" else "The converted model node information:"
        return "\n".join([title, "=" * across, made[0], "-" * across, *made[1:]])

    @property
    def csv(self) -> str:
        """The figures with all their digits, comma-separated; cells without a figure are empty."""
        return str(self.frame.to_csv(index=False))

    @property
    def html(self) -> str:
        """The cells as an HTML table; every name is escaped."""
        import pandas as pd

        from qworkbench.view.tables import html_table

        return html_table(pd.DataFrame(self.cells, columns=list(self.frame.columns)), caption=self.form)

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.html

    def write(self, path: str | Path) -> Path:
        """Write ``.txt``, ``.csv`` or ``.html``.

        Raises
        ------
        FileFormatError
            Another suffix, or a path that cannot be written.
        """
        target = Path(path)
        if target.suffix not in SUFFIXES:
            raise FileFormatError(f"{str(path)!r} must end in one of {', '.join(SUFFIXES)}")
        content = {".txt": lambda: f"{self.text}\n", ".csv": lambda: self.csv, ".html": lambda: self.html}
        return write_text(target, content[target.suffix]())


def printed(column: str, value: Any, blank: str = NONE) -> str:
    """Return one cell as the tool prints it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return blank
    if not isinstance(value, float):
        return str(value)
    if column == "Threshold":
        text = f"{value:.6g}"
        return text if any(c in text for c in ".en") else f"{text}.0"
    return f"{value:.6f}"


def node_table(form: str, vendor: pd.DataFrame, sources: list[str | None], placement: Placement) -> ResultTable:
    """Return a table of nodes.

    Parameters
    ----------
    form : str
        A key of :data:`FORMS` other than "outputs".
    vendor : DataFrame
        As :func:`qworkbench.toolchain.frame.vendor_frame` returns it.
    sources : list of str or None
        The graph node whose output each row makes.
    placement : Placement
    """
    check_form(form)
    table = vendor.rename(columns={theirs: ours for ours, theirs in _SOURCE.items()})
    pairs = []
    for dtype, source in zip(vendor["dtype"], sources, strict=True):
        made = placement[source].dtype if source is not None and dtype != "float" else dtype
        pairs.append(f"{dtype}/{'float' if made.startswith('float') else made}")
    table[BOTH] = pairs
    return ResultTable(form, table[list(FORMS[form])])


def output_table(table: pd.DataFrame, outputs: Mapping[str, np.ndarray]) -> ResultTable:
    """Return the table of outputs: L1 = mean ``|d|``, L2 = ``||d|| / N``, Chebyshev = max ``|d|``.

    Parameters
    ----------
    table : DataFrame
        A run's, indexed by output, with cosine, l1, mse and atol.
    outputs : Mapping of str to numpy.ndarray
        The run's outputs, for their sizes.
    """
    import pandas as pd

    rows = [
        (
            name,
            float(row["cosine"]),
            float(row["l1"]),
            math.sqrt(row["mse"] / outputs[str(name)].size),
            float(row["atol"]),
        )
        for name, row in table.iterrows()
    ]
    return ResultTable("outputs", pd.DataFrame(rows, columns=list(FORMS["outputs"])))


def check_form(form: str) -> None:
    """Raise UnknownNameError for a form that does not exist."""
    if form not in FORMS:
        raise unknown_name("result table", form, FORMS)


def no_run() -> QWorkbenchError:
    """Return the error of a table of outputs before any run."""
    return QWorkbenchError("nothing ran yet, so there are no outputs to compare; wb.run() or %qwb run comes first")
