"""From a message of the page to one call on the workbench. The page is not trusted: all that it sends is checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from qworkbench.errors import QWorkbenchError, unknown_name
from qworkbench.widgets.protocol import WorkbenchLike


class Page(Protocol):
    """What a message can ask of the widget itself."""

    @property
    def workbench(self) -> WorkbenchLike:
        """The workbench that is shown."""

    def run(self) -> None:
        """Run the integer model in the background."""

    def rerun(self) -> None:
        """Do the same after an edit, if the model can run at all."""

    def calibrate(self, method: str, percentile: float | None, per_channel: bool) -> None:
        """Read thresholds by another method, or search for the best one, in the background."""

    def analyse(self) -> None:
        """Measure the sensitivity of every node, in the background."""

    def compare(self, index: int | None) -> None:
        """Show step `index` of the journal beside the state in force; None ends that."""

    def show(self, node: str) -> None:
        """Select `node`."""

    def fold(self, module: str, collapsed: bool) -> None:
        """Draw `module` as one box, or its content."""


def _field(message: Mapping[str, Any], name: str, kind: type) -> Any:
    value = message.get(name)
    if not isinstance(value, kind):
        raise QWorkbenchError(f"a {message['type']!r} message needs {name!r} as {kind.__name__}, got {value!r}")
    return value


def _edit(page: Page, message: Mapping[str, Any]) -> None:
    from qworkbench.workbench.edits import edit_from_dict

    page.workbench.edit(*(edit_from_dict(edit) for edit in _field(message, "edits", list)))
    if message.get("run") is not False:
        page.rerun()


def _undo(page: Page, _message: Mapping[str, Any]) -> None:
    page.workbench.undo()
    page.rerun()


def _redo(page: Page, _message: Mapping[str, Any]) -> None:
    page.workbench.redo()
    page.rerun()


def _reset(page: Page, _message: Mapping[str, Any]) -> None:
    page.workbench.reset()
    page.rerun()


def _jump(page: Page, message: Mapping[str, Any]) -> None:
    page.workbench.jump(_field(message, "index", int))
    page.rerun()


def _calibrate(page: Page, message: Mapping[str, Any]) -> None:
    percentile = message.get("percentile")
    if percentile is not None and not isinstance(percentile, (int, float)):
        raise QWorkbenchError(f"percentile must be a number, got {percentile!r}; e.g. 0.9999")
    page.calibrate(_field(message, "method", str), percentile, message.get("per_channel") is True)


def _analyse(page: Page, _message: Mapping[str, Any]) -> None:
    page.analyse()


def _compare(page: Page, message: Mapping[str, Any]) -> None:
    page.compare(None if message.get("index") is None else _field(message, "index", int))


def _run(page: Page, _message: Mapping[str, Any]) -> None:
    page.run()


def _cancel(page: Page, _message: Mapping[str, Any]) -> None:
    page.workbench.cancel()


def _select(page: Page, message: Mapping[str, Any]) -> None:
    page.show(_field(message, "node", str))


def _collapse(page: Page, message: Mapping[str, Any]) -> None:
    page.fold(_field(message, "module", str), _field(message, "collapsed", bool))


HANDLERS: Mapping[str, Callable[[Page, Mapping[str, Any]], None]] = {
    "edit": _edit,
    "undo": _undo,
    "redo": _redo,
    "reset": _reset,
    "jump": _jump,
    "calibrate": _calibrate,
    "sensitivity": _analyse,
    "compare": _compare,
    "run": _run,
    "cancel": _cancel,
    "select": _select,
    "collapse": _collapse,
}


def dispatch(page: Page, message: object) -> None:
    """Do what `message` asks.

    Raises
    ------
    QWorkbenchError
        When it is no message, or asks for something that does not exist or cannot be done.
    """
    if not isinstance(message, Mapping):
        raise QWorkbenchError(f"a message is a mapping with a 'type', got {type(message).__name__}")
    kind = str(message.get("type"))
    if kind not in HANDLERS:
        raise unknown_name("message", kind, HANDLERS)
    HANDLERS[kind](page, message)
