"""The part of a workbench that the widget uses. Knows nothing of graphs or edits beyond plain data."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

Row = Mapping[str, Any]


class JobLike(Protocol):
    """A run on the worker thread."""

    @property
    def running(self) -> bool:
        """Whether it is still going on."""

    @property
    def cancelled(self) -> bool:
        """Whether a stop was asked for."""


class WorkbenchLike(Protocol):
    """What the widget reads and calls; every method may be called from any thread."""

    @property
    def title(self) -> str:
        """Model and march in a few words."""

    @property
    def march(self) -> str:
        """Name of the march."""

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to make again."""

    @property
    def stale(self) -> bool:
        """Whether there are edits that no run has seen."""

    @property
    def statistics(self) -> Any:
        """What calibration learned; None before, and then nothing can run."""

    display: dict[str, Any]
    """What a view last showed: folded modules, selection, colouring; kept for the saved file."""

    @property
    def graph(self) -> Any:
        """The model as it is edited now."""

    @property
    def config(self) -> Any:
        """The configuration in force."""

    @property
    def findings(self) -> Mapping[str, Any]:
        """The newest result of each analysis, with the state that it was measured on."""

    def holds(self, analysis: str) -> bool:
        """Tell whether the newest result of `analysis` was measured on the state in force."""

    def input_rows(self) -> Sequence[Row]:
        """Return one row per model input: shape, what is declared about it, what can be."""

    def use_candidate(self, name: str) -> Any:
        """Apply another candidate of the newest calibration search."""

    def repair(self, ops: Sequence[str], how: str = "int16") -> Sequence[Any]:
        """Return the edits that take `ops` out of int8."""

    def range_proposals(self, ranges: Any = None) -> Sequence[Any]:
        """Look for tensors whose range is known."""

    def at(self, index: int) -> Any:
        """Return a step of the journal to look at."""

    def differing_nodes(self, index: int) -> Mapping[str, str]:
        """Return per node what differs between that step and now."""

    def settings_row(self) -> Row:
        """Return march and calibration with their choices."""

    def as_code(self) -> str:
        """Return the Python calls that make the state in force."""

    def view(self, collapsed: Collection[str] | None = None) -> Mapping[str, Any]:
        """Return the picture as plain data, with modules `collapsed`."""

    def node_details(self, name: str) -> Mapping[str, Any]:
        """Return what the panel shows of node `name`."""

    def output_rows(self) -> Sequence[Row]:
        """Return one row per model output."""

    def journal_rows(self) -> Sequence[Row]:
        """Return one row per step of the history."""

    def node_rows(self) -> Sequence[Row]:
        """Return one row per node."""

    def edit(self, *edits: Any) -> Any:
        """Apply `edits` as one step."""

    def undo(self) -> Any:
        """Take back the last step."""

    def redo(self) -> Any:
        """Make the step that was undone last again."""

    def reset(self) -> Any:
        """Take back every edit."""

    def jump(self, index: int) -> Any:
        """Go to a step of the journal."""

    def calibrate_async(self, data: Any = None, **options: Any) -> JobLike:
        """Calibrate on the worker thread; without data, another method on the statistics that are there."""

    def in_background(self, analysis: str, *given: Any, **options: Any) -> JobLike:
        """Run an analysis on the worker thread."""

    def run_again_async(self) -> JobLike:
        """Start a run on the inputs of the newest one, on the worker thread; it ends the one before."""

    def cancel(self) -> Any:
        """Stop the run."""

    def subscribe(self, listener: Callable[[str, Any], None], /) -> Callable[[], None]:
        """Call ``listener(event, data)`` on every change, on any thread; the returned function ends that."""
