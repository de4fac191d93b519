"""One line of progress for work that lasts, and none for work that does not."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

QUIET_SECONDS = 1.0


@contextmanager
def reporter(what: str) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a callback (item, done, total) that rewrites one line of stderr after the first second."""
    started = last = time.monotonic()
    width = 0

    def report(item: str, done: int, total: int) -> None:
        nonlocal last, width
        now = time.monotonic()
        if now - started < QUIET_SECONDS or now - last < 0.1:
            return
        last = now
        line = f"{what}: {done}{f'/{total}' if total else ''} {item}"[:100]
        sys.stderr.write("\r" + line.ljust(width))
        sys.stderr.flush()
        width = len(line)

    try:
        yield report
    finally:
        if width:
            sys.stderr.write("\r" + " " * width + "\r")
            sys.stderr.flush()
