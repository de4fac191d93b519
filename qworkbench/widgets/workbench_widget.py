"""The live widget: shows a workbench and passes on what the user asks of it.

Holds no state of its own beyond what is selected and which modules are folded. Events of the workbench may arrive on
any thread, and so may messages of the page (that changed twice within ipykernel 7). So state is numbered, read without
a lock of ours, and set under one lock only if nothing newer was set: no two threads wait for each other, and an old
state never replaces a new one.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any

import anywidget
import traitlets as t

from qworkbench.errors import EditError, QWorkbenchError, UnknownNameError, unknown_name
from qworkbench.widgets.bundle import script, style
from qworkbench.widgets.comparison import comparison
from qworkbench.widgets.messages import dispatch
from qworkbench.widgets.plain import plain
from qworkbench.widgets.progress import IDLE, Progress
from qworkbench.widgets.protocol import JobLike, WorkbenchLike
from qworkbench.widgets.selection import common_details


class WorkbenchWidget(anywidget.AnyWidget):
    """A workbench in a cell: graph, reasons, edits, outputs.

    Parameters
    ----------
    workbench : WorkbenchLike
        What is shown. The widget listens to it until :meth:`close`.

    Attributes
    ----------
    view, panel, outputs, history, table, flags, settings, code, comparison, status, error
        What the page shows, set by the kernel only.
    selected : str
        Id of the selected node, set from both sides.
    picked : list of str
        Ids of all selected nodes where there are several, `selected` among them; set from both sides.
    colouring : str
        What the fill of a node says, set from both sides; empty leaves it to the page.
    """

    _esm = script()
    _css = style()

    view = t.Dict().tag(sync=True)
    selected = t.Unicode("").tag(sync=True)
    panel = t.Dict().tag(sync=True)
    outputs: t.List[Any] = t.List().tag(sync=True)
    history: t.List[Any] = t.List().tag(sync=True)
    table: t.List[Any] = t.List().tag(sync=True)
    flags = t.Dict().tag(sync=True)
    settings = t.Dict().tag(sync=True)
    code = t.Unicode("").tag(sync=True)
    comparison = t.Dict().tag(sync=True)
    picked: t.List[Any] = t.List(t.Unicode()).tag(sync=True)
    colouring = t.Unicode("").tag(sync=True)
    status = t.Dict(dict(IDLE)).tag(sync=True)
    error = t.Unicode("").tag(sync=True)

    def __init__(self, workbench: WorkbenchLike) -> None:
        self.workbench = workbench
        display = workbench.display
        known = display.get("collapsed")
        self._collapsed: set[str] | None = None if known is None else set(known)
        self._effects: dict[str, float] = {}
        self._against: int | None = None
        self._tickets = itertools.count()
        self._newest: dict[str, int] = {}
        self._pushing = threading.RLock()
        self._progress = Progress()
        self._job: JobLike | None = None
        self._readers: dict[str, Callable[[], Any]] = {
            "view": self._read_view,
            "panel": self._read_panel,
            "outputs": workbench.output_rows,
            "history": workbench.journal_rows,
            "table": self._read_table,
            "flags": self._read_flags,
            "settings": workbench.settings_row,
            "code": workbench.as_code,
            "comparison": self._read_comparison,
        }
        super().__init__(
            colouring=str(display.get("colouring", "")),
            **{name: plain(read()) for name, read in self._readers.items() if name != "panel"},
        )
        if display.get("selected") in {row["id"] for row in self.table}:
            self.selected = str(display["selected"])
            self._refresh("panel")
        self.observe(lambda _: self._selection_changed(), ["selected", "picked"])
        self.observe(lambda _: self._remember(), ["selected", "colouring", "view"])
        self.on_msg(self._receive)
        self._unsubscribe = workbench.subscribe(self._on_event)

    # -- what a message can ask ---------------------------------------------------------------------------------------
    def run(self) -> None:
        """Run the integer model in the background."""
        self._job = self.workbench.run_async()

    def rerun(self) -> None:
        """Do the same after an edit, if there are thresholds to run the model with."""
        if self.workbench.statistics is not None:
            self.run()

    def calibrate(self, method: str, percentile: float | None, per_channel: bool) -> None:
        """Read thresholds by another method, or search for the best one, in the background; then run."""
        options: dict[str, Any] = {} if percentile is None else {"percentile": float(percentile)}
        self._job = self.workbench.calibrate_async(None, method=method, per_channel=per_channel, **options)

    def analyse(self) -> None:
        """Measure the sensitivity of every node, in the background."""
        self._job = self.workbench.in_background("sensitivity")

    def compare(self, index: int | None) -> None:
        """Show step `index` of the journal beside the state in force; None ends that.

        Raises
        ------
        EditError
            When there is no such step.
        """
        if index is not None:
            self.workbench.at(index)
        self._against = index
        self._refresh("comparison")

    def show(self, node: str) -> None:
        """Select `node`; an empty name selects nothing."""
        self.selected = node

    def fold(self, module: str, collapsed: bool) -> None:
        """Draw `module` as one box, or its content.

        Raises
        ------
        UnknownNameError
            If there is no such module.
        """
        if module not in self.view["modules"]:
            raise unknown_name("module", module, self.view["modules"])
        folded = set(self.view["collapsed"])
        self._collapsed = folded | {module} if collapsed else folded - {module}
        self._refresh("view")
        if self._against is not None:
            self._refresh("comparison")

    # -- from the page ------------------------------------------------------------------------------------------------
    def _receive(self, _widget: object, content: object, _buffers: object) -> None:
        self._set(error="")  # the same error twice is two errors
        try:
            dispatch(self, content)
        except QWorkbenchError as error:
            self._fail(str(error))
        except Exception as error:
            self._fail(f"internal error, please report it: {type(error).__name__}: {error}")
            raise

    def _fail(self, text: str) -> None:
        """Show `text`; the page then also takes back what it showed ahead of the answer."""
        self._set(error=text)

    def _selection_changed(self) -> None:
        try:
            self._refresh("panel")
        except UnknownNameError as error:
            self._set(panel={})
            self._fail(str(error))

    # -- from the workbench -------------------------------------------------------------------------------------------
    def _on_event(self, event: str, data: Any) -> None:
        """Follow an event of the workbench; may run on any thread."""
        if event == "progress":
            step = self._progress.step(data)
            if step is not None:
                self._set(status=step)
        elif event == "running":
            self._set(status=self._progress.running(), error="")
        elif event == "edited":
            self._show_all()
        elif event == "ran":
            self._set(status=self._progress.ran(data))
            self._show_all()
        elif event == "calibrated":
            self._set(status=self._progress.analysed("calibrated"))
            self.rerun()
        elif event == "analysed":
            self._effects = effects_of(data)
            self._set(status=self._progress.analysed("sensitivity measured" if self._effects else "analysed"))
            self._refresh("view", "table")
        elif event in ("cancelled", "error") and not self._superseded():
            self._set(status=self._progress.ended(event, str(data or "")))
            if event == "error":
                self._set(error=str(data))

    def _superseded(self) -> bool:
        """Tell whether the run that ended has made way for one of ours that is going on."""
        return self._job is not None and self._job.running and not self._job.cancelled

    # -- reading and setting ------------------------------------------------------------------------------------------
    def _read_view(self) -> Mapping[str, Any]:
        try:
            view = self.workbench.view(self._collapsed)
        except UnknownNameError:  # an undone unit conv was the second node of a folded module
            self._collapsed = (self._collapsed or set()) & set(self.workbench.view()["modules"])
            view = self.workbench.view(self._collapsed)
        if not self._effects:
            return view
        return {**view, "nodes": [{**node, "sensitivity": self._effects.get(node["id"])} for node in view["nodes"]]}

    def _read_table(self) -> list[Mapping[str, Any]]:
        rows = self.workbench.node_rows()
        return [{**row, "sensitivity": self._effects.get(row["id"])} for row in rows] if self._effects else [*rows]

    def _read_panel(self) -> Mapping[str, Any]:
        """Details of the selected nodes; the page describes modules and model inputs and outputs itself."""
        boxes = {node["id"] for node in self.view.get("nodes", ()) if node["kind"] != "op"}
        picked = [name for name in self.picked if name not in boxes]
        if len(picked) > 1:
            return {"several": common_details([self.workbench.node_details(name) for name in picked])}
        name = self.selected
        return self.workbench.node_details(name) if name and name not in boxes else {}

    def _read_comparison(self) -> Mapping[str, Any]:
        if self._against is None:
            return {}
        try:
            return comparison(self.workbench, self._against, self.view)
        except EditError:  # a new edit dropped the step that was compared with
            self._against = None
            return {}

    def _remember(self) -> None:
        """Leave with the workbench what is shown, so that a saved file brings it back."""
        folded = None if self._collapsed is None else sorted(self._collapsed)
        self.workbench.display = {"collapsed": folded, "selected": self.selected, "colouring": self.colouring}

    def _read_flags(self) -> dict[str, Any]:
        wb = self.workbench
        return {"can_undo": wb.can_undo, "can_redo": wb.can_redo, "stale": wb.stale, "march": wb.march}

    def _show_all(self) -> None:
        self._refresh("view", "outputs", "history", "table", "flags", "settings", "code")
        if self._against is not None:
            self._refresh("comparison")
        try:
            self._refresh("panel")
        except UnknownNameError:  # the selected node went with the edit that had made it
            self.picked, self.selected = [], ""

    def _refresh(self, *names: str) -> None:
        """Read `names` from the workbench and show them, unless something newer has been shown meanwhile."""
        ticket = next(self._tickets)
        state = {name: plain(self._readers[name]()) for name in names}
        with self._pushing:
            fresh = {name: value for name, value in state.items() if self._newest.get(name, -1) < ticket}
            self._newest.update(dict.fromkeys(fresh, ticket))
            self._set(**fresh)

    def _set(self, **state: Any) -> None:
        with self._pushing, self.hold_sync():
            for name, value in state.items():
                setattr(self, name, value)

    # -- display ------------------------------------------------------------------------------------------------------
    def close(self) -> None:
        """Stop listening to the workbench and remove the widget from the page."""
        if hasattr(self, "_unsubscribe"):
            self._unsubscribe()
        super().close()

    def __repr__(self) -> str:
        """Return one line that is the same in every session."""
        return f"<WorkbenchWidget {self.view['sentence']}>"

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None, **_: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the live widget, the view, and what is left of it without a kernel: PNG, SVG, one sentence."""
        from qworkbench.view.forms import still_forms

        live, metadata = super()._repr_mimebundle_() or ({}, {})
        data = {**live, **still_forms(self.view)}
        kept = {
            mime: value
            for mime, value in data.items()
            if (not include or mime in include) and (not exclude or mime not in exclude)
        }
        return kept, metadata


def effects_of(table: Any) -> dict[str, float]:
    """Return the largest effect per node of a sensitivity table; nothing for the result of another analysis."""
    if not {"op_name", "L1"} <= set(getattr(table, "columns", ())):
        return {}
    return {str(name): float(value) for name, value in table.groupby("op_name")["L1"].max().items()}
