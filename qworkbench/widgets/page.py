"""What a message of the page can ask of the widget itself."""

from __future__ import annotations

from typing import Any, Protocol

from qworkbench.widgets.protocol import JobLike, WorkbenchLike


class Page(Protocol):
    """The widget, as messages see it."""

    @property
    def workbench(self) -> WorkbenchLike:
        """The workbench that is shown."""

    def run(self) -> None:
        """Run the integer model in the background."""

    def rerun(self) -> None:
        """Do the same after an edit, if the model can run at all."""

    def follow(self, job: JobLike) -> None:
        """Take `job` as the newest one: the end of an older one is not shown any more."""

    def variable(self, path: str) -> Any:
        """Return the notebook variable `path`."""

    def compare(self, index: int | None) -> None:
        """Show step `index` of the journal beside the state in force; None ends that."""

    def show(self, node: str) -> None:
        """Select `node`."""

    def fold(self, module: str, collapsed: bool) -> None:
        """Draw `module` as one box, or its content; the empty name is the whole model."""
