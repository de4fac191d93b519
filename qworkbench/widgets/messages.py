"""From a message of the page to one call on the workbench: edits, history, runs, what is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from qworkbench.errors import QWorkbenchError, unknown_name
from qworkbench.widgets.asking import analyse, apply
from qworkbench.widgets.fields import Message, field, number
from qworkbench.widgets.page import Page


def _edit(page: Page, message: Message) -> None:
    from qworkbench.workbench.edits import edit_from_dict

    page.workbench.edit(*(edit_from_dict(edit) for edit in field(message, "edits", list)))
    if message.get("run") is not False:
        page.rerun()


def _undo(page: Page, _message: Message) -> None:
    page.workbench.undo()
    page.rerun()


def _redo(page: Page, _message: Message) -> None:
    page.workbench.redo()
    page.rerun()


def _reset(page: Page, _message: Message) -> None:
    page.workbench.reset()
    page.rerun()


def _jump(page: Page, message: Message) -> None:
    page.workbench.jump(field(message, "index", int))
    page.rerun()


def _calibrate(page: Page, message: Message) -> None:
    """Read thresholds by another method, or search for the best one; the widget runs the model when that is done."""
    percentile = number("percentile", message.get("percentile"), "0.9999")
    options: dict[str, Any] = {} if percentile is None else {"percentile": percentile}
    method, per_channel = field(message, "method", str), message.get("per_channel") is True
    page.follow(page.workbench.calibrate_async(None, method=method, per_channel=per_channel, **options))


def _compare(page: Page, message: Message) -> None:
    page.compare(None if message.get("index") is None else field(message, "index", int))


def _run(page: Page, _message: Message) -> None:
    page.run()


def _cancel(page: Page, _message: Message) -> None:
    page.workbench.cancel()


def _select(page: Page, message: Message) -> None:
    page.show(field(message, "node", str))


def _collapse(page: Page, message: Message) -> None:
    page.fold(field(message, "module", str), field(message, "collapsed", bool))


HANDLERS: Mapping[str, Callable[[Page, Message], None]] = {
    "edit": _edit,
    "undo": _undo,
    "redo": _redo,
    "reset": _reset,
    "jump": _jump,
    "calibrate": _calibrate,
    "analyse": analyse,
    "apply": apply,
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
