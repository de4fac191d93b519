"""One line of progress for work that lasts, and none for work that does not.

In a notebook it is a bar that leaves nothing behind: a line of stderr would stay as an empty red strip, in the saved
file, too. Anywhere else it is one line of stderr, rewritten. Knows no command.
"""

from __future__ import annotations

import contextvars
import html
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, Timer
from typing import Any, Protocol

QUIET_SECONDS = 1.0
BETWEEN_SECONDS = 0.1
LONGEST = 100


class Line(Protocol):
    """Where progress is shown."""

    def show(self, what: str, item: str, done: int, total: int) -> None:
        """Show how far it is, in place of what was shown before."""

    def clear(self) -> None:
        """Leave nothing behind."""


@contextmanager
def reporter(what: str, unit: str = "") -> Iterator[Callable[[str, int, int], None]]:
    """Yield a callback (item, done, total) that shows one line after the first second, rewritten as it goes.

    `unit` names what is counted: ``running: 12/60 nodes layer1.conv2``.
    In a notebook the bar comes after that second also where nothing was reported yet.
    """
    started = last = time.monotonic()
    line: Line | None = None
    ended, lock = False, Lock()

    def report(item: str, done: int, total: int) -> None:
        nonlocal last, line
        now = time.monotonic()
        if now - started < QUIET_SECONDS or now - last < BETWEEN_SECONDS:
            return
        with lock:
            if ended:
                return
            last = now
            line = line or (_Bar() if in_notebook else _Stderr())
            line.show(what, f"{unit} {item}".strip() if done or total else item, done, total)

    in_notebook = _in_notebook()
    # the context tells the kernel which cell an output belongs to
    waiting = Timer(QUIET_SECONDS, contextvars.copy_context().run, args=(report, "", 0, 0))
    waiting.daemon = True
    if in_notebook:
        waiting.start()
    try:
        yield report
    finally:
        waiting.cancel()
        with lock:
            ended = True
        if line is not None:
            line.clear()


def _in_notebook() -> bool:
    from IPython.core.getipython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


def _words(what: str, item: str, done: int, total: int, between: str) -> str:
    count = f": {done}{f'{between}{total}' if total else ''}" if done or total else " ..."
    return f"{what}{count} {item}"[:LONGEST].rstrip()


class _Stderr:
    """One line of a terminal."""

    def __init__(self) -> None:
        self._width = 0

    def show(self, what: str, item: str, done: int, total: int) -> None:
        line = _words(what, item, done, total, "/")
        sys.stderr.write("\r" + line.ljust(self._width))
        sys.stderr.flush()
        self._width = len(line)

    def clear(self) -> None:
        sys.stderr.write("\r" + " " * self._width + "\r")
        sys.stderr.flush()


class _Bar:
    """A display of a notebook cell that is updated, and emptied at the end: an empty one takes no room."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, what: str, item: str, done: int, total: int) -> None:
        text = _words(what, item, done, total, " of ")
        share = f" value='{done}' max='{total}'" if total else ""
        bar = f"<progress style='width: 14em; vertical-align: middle'{share}></progress>"
        self._publish({"text/html": f"<div>{bar} <small>{html.escape(text)}</small></div>", "text/plain": text})

    def clear(self) -> None:
        self._publish({"text/html": "", "text/plain": ""})

    def _publish(self, forms: dict[str, str]) -> None:
        from IPython.display import display

        if self._handle is None:
            self._handle = display(forms, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(forms, raw=True)
