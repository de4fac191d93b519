"""What each trait of the page is read from: the workbench, and what is selected, folded and compared."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from qworkbench.errors import EditError, UnknownNameError
from qworkbench.view.model import node_effects
from qworkbench.widgets.comparison import comparison
from qworkbench.widgets.protocol import WorkbenchLike
from qworkbench.widgets.results import PAGES, page_of, standing
from qworkbench.widgets.selection import common_details
from qworkbench.widgets.variables import likely_samples, namespace


class Reading:
    """Reads the state of a page; holds which modules are folded and which step is compared with.

    Parameters
    ----------
    workbench : WorkbenchLike
    collapsed : collection of str, optional
        Folded modules; None leaves it to the view.
    """

    def __init__(self, workbench: WorkbenchLike, collapsed: Collection[str] | None = None) -> None:
        self.workbench = workbench
        self.collapsed = None if collapsed is None else set(collapsed)
        self.against: int | None = None
        self._effects: tuple[Any, dict[str, float]] = (None, {})
        self.readers: dict[str, Callable[[], Any]] = {
            "view": self._view,
            "outputs": workbench.output_rows,
            "history": workbench.journal_rows,
            "table": self._table,
            "flags": self._flags,
            "settings": workbench.settings_row,
            "code": workbench.as_code,
            "inputs": workbench.input_rows,
            "standing": lambda: standing(workbench),
            "variables": lambda: likely_samples(namespace()),
            **{f"found_{analysis}": partial(page_of, workbench, analysis) for analysis in PAGES},
        }

    def panel(self, view: Mapping[str, Any], selected: str, picked: Collection[str]) -> Mapping[str, Any]:
        """Return details of the selected nodes; the page describes modules and model inputs and outputs itself."""
        boxes = {node["id"] for node in view.get("nodes", ()) if node["kind"] != "op"}
        several = [name for name in picked if name not in boxes]
        if len(several) > 1:
            return {"several": common_details([self.workbench.node_details(name) for name in several])}
        return self.workbench.node_details(selected) if selected and selected not in boxes else {}

    def comparison(self, view: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the step that is compared with; nothing where there is none (any more)."""
        if self.against is None:
            return {}
        try:
            return comparison(self.workbench, self.against, view)
        except EditError:  # a new edit dropped the step that was compared with
            self.against = None
            return {}

    def _view(self) -> Mapping[str, Any]:
        try:
            view = self.workbench.view(self.collapsed)
        except UnknownNameError:  # an undone unit conv was the second node of a folded module
            self.collapsed = (self.collapsed or set()) & set(self.workbench.view()["modules"])
            view = self.workbench.view(self.collapsed)
        return view

    def _table(self) -> list[Mapping[str, Any]]:
        effects, rows = self._sensitivity(), self.workbench.node_rows()
        return [{**row, "sensitivity": effects.get(row["id"])} for row in rows] if effects else [*rows]

    def _sensitivity(self) -> dict[str, float]:
        """Return the largest effect per node of the newest sensitivity table."""
        finding = self.workbench.findings.get("sensitivity")
        if finding is not self._effects[0]:
            self._effects = (finding, node_effects(self.workbench))
        return self._effects[1]

    def _flags(self) -> dict[str, Any]:
        wb = self.workbench
        flags = {"can_undo": wb.can_undo, "can_redo": wb.can_redo, "stale": wb.stale, "march": wb.march}
        old = "sensitivity" in wb.findings and not wb.holds("sensitivity")
        return {**flags, "sensitivity_stale": old}
