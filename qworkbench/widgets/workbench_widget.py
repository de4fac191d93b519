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

from qworkbench.errors import QWorkbenchError, UnknownNameError, unknown_name
from qworkbench.view.plain import plain
from qworkbench.widgets.messages import dispatch
from qworkbench.widgets.progress import Progress, ended_text
from qworkbench.widgets.protocol import JobLike, WorkbenchLike
from qworkbench.widgets.reading import Reading
from qworkbench.widgets.results import PAGES, partial_page
from qworkbench.widgets.traits import Shown
from qworkbench.widgets.variables import namespace, variable


class WorkbenchWidget(Shown):
    """A workbench in a cell: graph, reasons, edits, outputs, analyses.

    Parameters
    ----------
    workbench : WorkbenchLike
        What is shown. The widget listens to it until :meth:`close`.
    """

    def __init__(self, workbench: WorkbenchLike) -> None:
        self.workbench = workbench
        display = workbench.display
        self._reading = Reading(workbench, display.get("collapsed"))
        self._tickets = itertools.count()
        self._newest: dict[str, int] = {}
        self._pushing = threading.RLock()
        self._progress = Progress()
        self._job: JobLike | None = None
        self._readers: dict[str, Callable[[], Any]] = {
            **self._reading.readers,
            "panel": lambda: self._reading.panel(self.view, self.selected, self.picked),
            "comparison": lambda: self._reading.comparison(self.view),
        }
        super().__init__(
            colouring=str(display.get("colouring", "")),
            **{name: plain(read()) for name, read in self._reading.readers.items()},
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
        """Run the integer model in the background, on the inputs that it ran on last."""
        self.follow(self.workbench.run_again_async())

    def rerun(self) -> None:
        """Do the same after an edit, if there are thresholds to run the model with."""
        if self.workbench.statistics is not None:
            self.run()

    def follow(self, job: JobLike) -> None:
        """Take `job` as the newest one: the end of an older one is not shown any more."""
        self._job = job

    def variable(self, path: str) -> Any:
        """Return the notebook variable `path`."""
        return variable(path, namespace())

    def compare(self, index: int | None) -> None:
        """Show step `index` of the journal beside the state in force; None ends that.

        Raises
        ------
        EditError
            When there is no such step.
        """
        if index is not None:
            self.workbench.at(index)
        self._reading.against = index
        self._refresh("comparison")

    def show(self, node: str) -> None:
        """Select `node`; an empty name selects nothing."""
        self.selected = node

    def fold(self, module: str, collapsed: bool) -> None:
        """Draw `module` as one box, or its content; the empty name is the whole model: its outer modules, or all nodes.

        Raises
        ------
        UnknownNameError
            If there is no such module.
        """
        if module and module not in self.view["modules"]:
            raise unknown_name("module", module, self.view["modules"])
        folded = set(self.view["collapsed"])
        if module:
            self._reading.collapsed = folded | {module} if collapsed else folded - {module}
        else:
            self._reading.collapsed = set(self.workbench.view("overview")["collapsed"]) if collapsed else set()
        self._refresh("view")
        if self._reading.against is not None:
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
        elif event == "rows":
            self._show_partial(str(data["analysis"]), data["result"])
        elif event == "found" and data in PAGES:
            self._refresh(f"found_{data}", "standing", "variables")
            if data == "sensitivity":
                self._refresh("view", "table", "flags")
        elif event == "ran":
            self._set(status=self._progress.ran(data))
            self._show_all()
        elif event == "calibrated":
            self._set(status=self._progress.analysed("calibrated"))
            self.rerun()
        elif event == "analysed":
            self._set(status=self._progress.analysed(ended_text(data["analysis"])))
        elif event in ("cancelled", "error") and not self._superseded():
            self._set(status=self._progress.ended(event, str(data or "")))
            if event == "error":
                self._set(error=str(data))
        if event in ("cancelled", "error"):
            self._drop_partial()

    def _superseded(self) -> bool:
        """Tell whether the run that ended has made way for one of ours that is going on."""
        return self._job is not None and self._job.running and not self._job.cancelled

    def _show_partial(self, analysis: str, result: Any) -> None:
        """Show what an analysis has found so far."""
        if analysis in PAGES:
            self._set(**{f"found_{analysis}": plain(partial_page(analysis, result))})

    def _drop_partial(self) -> None:
        """Go back to the last whole result of an analysis that gave none."""
        names = [f"found_{name}" for name in PAGES if getattr(self, f"found_{name}").get("partial")]
        if names:
            self._refresh(*names)

    # -- reading and setting ------------------------------------------------------------------------------------------
    def _remember(self) -> None:
        """Leave with the workbench what is shown, so that a saved file brings it back."""
        folded = None if self._reading.collapsed is None else sorted(self._reading.collapsed)
        self.workbench.display = {"collapsed": folded, "selected": self.selected, "colouring": self.colouring}

    def _show_all(self) -> None:
        names = ("view", "outputs", "history", "table", "flags", "settings", "code", "inputs", "standing", "variables")
        self._refresh(*names)
        if self._reading.against is not None:
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
        """Stop listening to the workbench and remove the widget from the page; more than once does no harm."""
        unsubscribe = self.__dict__.pop("_unsubscribe", None)
        if unsubscribe is not None:
            unsubscribe()
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
        data: Mapping[str, Any] = {**live, **still_forms(self.view)}
        kept = {
            mime: value
            for mime, value in data.items()
            if (not include or mime in include) and (not exclude or mime not in exclude)
        }
        return kept, metadata
