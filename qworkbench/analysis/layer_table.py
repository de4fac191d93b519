"""The layer-by-layer table as a result: its columns, and how it is shown, plotted and written.

Knows nothing of how a layer is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from qworkbench.analysis.plots import accumulated_figure, metric_figure, range_figure
from qworkbench.analysis.text import text_table
from qworkbench.errors import FileFormatError
from qworkbench.files import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GUIDE_COLUMNS = (
    "mod_name", "base_op_type", "analy_op_type", "shape", "quant_dtype", "qscale", "Cosine", "MSE", "L1", "KL", "SQNR",
    "Atol", "Rtol", "base_model_min", "analy_model_min", "base_model_max", "analy_model_max", "base_model_mean",
    "analy_model_mean", "base_model_var", "analy_model_var", "max_atol_diff", "max_qscale_diff",
)  # fmt: skip
OWN_COLUMNS = (
    "rmse_qscale", "local_Cosine", "local_L1", "local_SQNR", "local_Atol", "local_rmse_qscale", "healthy_rmse_qscale",
    "healthy_SQNR", "rounding_rmse", "truncation_rmse", "truncated", "channel_SQNR", "advice",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class LayerComparison:
    """What :func:`qworkbench.analysis.layers.compare_layers` found.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per model input that is quantized and per node, in topological order: the guide's columns, then
        ``rmse_qscale`` (cumulative rmse in steps of the scale), ``local_*`` (this op alone on float inputs), their
        yardsticks ``healthy_rmse_qscale`` (0.29) and ``healthy_SQNR``, the output format's own ``rounding_rmse``,
        ``truncation_rmse`` and ``truncated`` share on the float values, ``channel_SQNR`` (median over
        channels), and ``advice``.
    first_bad : str or None
        The first layer whose own error is unhealthy.
    """

    frame: pd.DataFrame
    first_bad: str | None

    @property
    def advice(self) -> pd.DataFrame:
        """The rows with advice: mod_name, quant_dtype, advice."""
        return self.frame.loc[self.frame["advice"] != "", ["mod_name", "quant_dtype", "advice"]]

    def __str__(self) -> str:
        columns = ["", *self.frame.columns]
        rows = [[index, *row] for index, row in zip(self.frame.index, self.frame.itertuples(index=False), strict=True)]
        return f"{text_table(columns, rows)}\n\n{self._first}"

    def __repr__(self) -> str:
        first = "no layer is bad by itself" if self.first_bad is None else f"first bad layer {self.first_bad!r}"
        return f"<LayerComparison: {len(self.frame)} rows, {first}, {len(self.advice)} with advice>"

    def _repr_html_(self) -> str:
        from qworkbench.view.tables import scrolling_table

        return f"<p>{escape(self._first)}</p>{scrolling_table(self.frame, rows_shown=len(self.frame))}"

    def _page(self) -> str:
        from qworkbench.view.tables import html_table

        return html_table(self.frame, caption=self._first)

    @property
    def _first(self) -> str:
        return "no layer is bad by itself" if self.first_bad is None else f"first bad layer: {self.first_bad}"

    def figure(self, metric: str = "Cosine") -> Figure:
        """Return `metric` per layer with the first bad layer marked; "ranges" and "accumulated" are figures, too."""
        if metric == "ranges":
            return range_figure(self.frame)
        if metric == "accumulated":
            return accumulated_figure(self.frame)
        return metric_figure(self.frame, metric, self.first_bad)

    def save(self, path: str | Path) -> Path:
        """Write the table as ``.csv``, ``.html`` or ``.txt``.

        Raises
        ------
        FileFormatError
        """
        target = Path(path)
        makers: dict[str, Callable[[], str]] = {
            ".csv": lambda: str(self.frame.to_csv()),
            ".html": self._page,
            ".txt": lambda: f"{self}\n",
        }
        if target.suffix not in makers:
            raise FileFormatError(f"{str(path)!r} must end in .csv, .html or .txt")
        return write_text(target, makers[target.suffix]())
