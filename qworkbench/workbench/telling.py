"""What a workbench tells: reasons, details of a node, steps of the history, tables, rows for panels, pictures.

Reads the state and changes nothing; files that go to the toolchain are :mod:`.exchanging`'s.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qworkbench.errors import EditError, QWorkbenchError
from qworkbench.workbench.costing import Costing
from qworkbench.workbench.details import node_details
from qworkbench.workbench.explain import Explanation, explain
from qworkbench.workbench.histogram import histogram
from qworkbench.workbench.rows import input_rows, journal_rows, node_rows, output_rows, settings_row
from qworkbench.workbench.states import State, differing_nodes
from qworkbench.workbench.threshold_words import Reach, thresholds_around

if TYPE_CHECKING:
    import pandas as pd

    from qworkbench.emulator.plan import Plan
    from qworkbench.graph.ir import Graph
    from qworkbench.march import March
    from qworkbench.placement.types import Placement
    from qworkbench.toolchain.result_tables import ResultTable


class Telling(Costing):
    """A workbench that answers."""

    def why(self, name: str) -> Explanation:
        """Explain where node `name` runs: reason, rule, facts, thresholds, and the cheapest ways to change it."""
        return explain(self.graph, self.placement, name, self._threshold_sentences(name))

    def _threshold_sentences(self, name: str) -> tuple[str, ...]:
        """Return what is known of the thresholds around `name`; nothing before calibration."""
        if self._stages.statistics is None or name not in self.graph.nodes:
            return ()
        try:
            plan = self._stages.plan(self.config)
        except QWorkbenchError as error:
            return (f"not known: {error}",)
        return tuple(reach.text for reach in self._reaches(plan, name))

    def _reaches(self, plan: Plan, name: str) -> tuple[Reach, ...]:
        method = self._stages.thresholds(self.config).method
        return thresholds_around(self.graph, self.placement, plan, self.config, self._history.initial, method, name)

    def node_details(self, name: str) -> dict[str, Any]:
        """Return everything that a panel shows of one node, as plain data."""
        plan = self._stages.plan(self.config) if self._stages.statistics is not None else None
        run = self._last if self._last is not None and not self.stale else None
        metrics = None if run is None else run.metrics
        found = node_details(self.graph, self.placement, plan, self.config, metrics, name)
        reaches = () if plan is None else self._reaches(plan, name)
        return {**found, "thresholds": [reach.as_dict() for reach in reaches], "histogram": self.histogram(name)}

    def histogram(self, name: str) -> dict[str, Any] | None:
        """Return how the values that node `name`, or the unit it is fused into, writes were spread in calibration.

        Returns
        -------
        dict or None
            ``low``, ``high``, ``counts`` (in equal bins), ``total``; None where no statistics are kept.
        """
        statistics, placement = self._stages.statistics, self.placement
        writer = placement.unit_of(name).tail if placement[name].on != "NONE" else name
        value = self.graph.nodes[writer].output
        known = self._stages.aliases(self.config).get(value, value)
        sketch = None if statistics is None else statistics.sketch(known)
        return None if sketch is None else histogram(sketch)

    def at(self, index: int) -> State:
        """Return step `index` of the journal, 0 being the state at load, to look at or to compare with.

        Raises
        ------
        EditError
            When there is no such step.
        """
        entries = self._history.entries
        if not 0 <= index <= len(entries):
            raise EditError(f"the journal has the steps 0 to {len(entries)}, got {index}")
        config = entries[index - 1].config if index else self._history.initial
        graph = self._stages.graph(config)
        inserted = frozenset(name for name in graph.nodes.names() if name not in self._stages.base.nodes)
        return State(
            f"{self._stages.base.name} on {config.march}",
            entries[index - 1].text if index else "as loaded",
            config.march,
            config,
            graph,
            self._stages.placement(config),
            self._trail.find(config, self._stages.calibrated),
            config.edited() | inserted,
        )

    def differing_nodes(self, index: int) -> dict[str, str]:
        """Return per node what differs between step `index` and now, in words."""
        return differing_nodes(self.at(index), self.at(self._history.cursor))

    def vendor_table(self) -> pd.DataFrame:
        """Return the table that the vendor's converter prints: node, on, subgraph, type, cosine, threshold, dtype.

        Thresholds (of a row's first input) are those in force, NaN before calibration; cosines come from the newest
        run, NaN before any.
        """
        from qworkbench.toolchain.frame import vendor_frame

        layers = None if self._last is None else self._last.layers
        return vendor_frame(*self._vendor_view(), layers, self._image_inputs())

    def _vendor_view(self) -> tuple[Graph, Placement, March, Plan | None]:
        plan = self._stages.plan(self.config) if self._stages.statistics is not None else None
        return self.graph, self.placement, self.config.machine, plan

    def _image_inputs(self) -> tuple[str, ...] | None:
        """Return the inputs that are declared as images; None where nothing is declared."""
        declared = self.config.inputs
        return tuple(name for name, one in declared.items() if one.is_image) if declared else None

    def result_table(self, form: str = "makertbin-dtype") -> ResultTable:
        """Return a table in a format of the vendor's tools, which prints, and writes text, CSV and HTML.

        Parameters
        ----------
        form : str
            "checker", "checker-dtypes", "makertbin", "makertbin-dtypes", "makertbin-dtype" or "outputs"; the newest
            run gives cosines and outputs.

        Raises
        ------
        UnknownNameError
        QWorkbenchError
            "outputs" before any run.
        """
        from qworkbench.toolchain.frame import vendor_rows
        from qworkbench.toolchain.result_tables import check_form, no_run, node_table, output_table

        check_form(form)
        if form == "outputs":
            if self._last is None:
                raise no_run()
            return output_table(self._last.table, self._last.outputs)
        sources = [row.source for row in vendor_rows(*self._vendor_view(), self._image_inputs())]
        return node_table(form, self.vendor_table(), sources, self.placement)

    def output_rows(self) -> list[dict[str, Any]]:
        """Return the newest run's outputs as plain rows; empty before any run."""
        rows = [] if self._last is None else output_rows(self._last)
        for row in rows:
            row.update({f"{column}_trail": self._trail.series(row["output"], column) for column in ("cosine", "l1")})
        return rows

    def node_rows(self) -> list[dict[str, Any]]:
        """Return one plain row per node, with the newest run's distances."""
        return node_rows(self.graph, self.placement, self._last)

    def settings_row(self) -> dict[str, Any]:
        """Return march and calibration with what can be chosen for each, as plain data."""
        return settings_row(self.config, self.statistics)

    def input_rows(self) -> list[dict[str, Any]]:
        """Return one row per model input: shape, what is declared about it, and what can be, as plain data."""
        return input_rows(self.base_graph, self.config)

    def journal_rows(self) -> list[dict[str, Any]]:
        """Return the steps of the history as plain rows."""
        return journal_rows(self._history)

    def view(self, collapsed: Collection[str] | None = None, *, colour: str = "placement") -> dict[str, Any]:
        """Return the picture as plain data (:mod:`qworkbench.view.model`), coloured by `colour`.

        Raises
        ------
        UnknownNameError
            For an unknown module, or a `colour` that is none of :data:`qworkbench.view.colouring.COLOURINGS`.
        """
        from qworkbench.view.model import build_view

        return build_view(self, collapsed=collapsed, color_by=colour)

    def save_picture(
        self,
        path: str | Path,
        *,
        colour: str = "placement",
        theme: str = "light",
        collapsed: Collection[str] | None = None,
        full: bool = False,
    ) -> Path:
        """Write the picture as ``.svg`` or ``.png``, without a browser.

        A long network stands in columns side by side, as its sentence in the picture says.

        Parameters
        ----------
        path : str or Path
        colour : str
            What the fill of a box says: "placement", "class", "dtype", "subgraph", "cosine", "l1", "sensitivity" (of
            the newest table) or "cost".
        theme : "light" | "dark"
        collapsed : collection of module paths, optional
        full : bool
            One column, however tall.

        Raises
        ------
        FileFormatError
            Another ending, or a path that cannot be written.
        UnknownNameError
            An unknown colour, theme or module.
        """
        from qworkbench.view.forms import write_picture

        return write_picture(self.view(collapsed, colour=colour), Path(path), theme, full=full)
