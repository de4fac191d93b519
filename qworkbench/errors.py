"""Errors that a user reads: one sentence that names the value, the rule and the next step.

Every error raised on purpose derives from :class:`QWorkbenchError`, so that the magics and the widget can print it
without a traceback and nothing else is swallowed. Knows nothing of graphs, marches or notebooks.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class QWorkbenchError(Exception):
    """Base of every error that qworkbench raises on purpose; ``str(error)`` is one readable sentence."""


class QWorkbenchWarning(UserWarning):
    """Something was done as asked that can hardly be meant; the text says why."""


class CaptureError(QWorkbenchError):
    """A model could not be turned into a graph; the text names the user's file and line where it is known."""


class UnknownNameError(QWorkbenchError):
    """A name (node, march, subcommand, dtype ...) that does not exist; the text holds the nearest match."""


class EditError(QWorkbenchError):
    """An edit that cannot be applied; the workbench stays as it was."""


class CalibrationError(QWorkbenchError):
    """Calibration data that cannot be used (shape, NaN, empty)."""


class FileFormatError(QWorkbenchError):
    """A file that is not what its name says, is damaged, or belongs to another model."""


class EmulationError(QWorkbenchError):
    """The integer plan could not be built or run."""


class AnalysisError(QWorkbenchError):
    """An accuracy analysis that cannot be made as asked: no data, nothing comparable, a target out of reach."""


class Cancelled(QWorkbenchError):  # noqa: N818 (a cancel is an outcome, not a fault)
    """The user cancelled a job; results up to the last finished state are kept."""


def nearest(name: str, known: Iterable[str], *, count: int = 3) -> list[str]:
    """Return up to `count` names of `known` closest to `name`, best first.

    After names that look alike come those that contain `name` (or are contained in it), since users type the last part
    of ``layer1.0.conv1``, then those that contain its last part, best in the same module: ``head.softmax`` means
    ``head._generated_softmax_0``, and so does ``sofmax``. Vague likeness comes last.
    """
    pool = list(dict.fromkeys(known))
    lowered = name.lower()
    module, _, last = lowered.replace("/", ".").rpartition(".")
    containing = [k for k in pool if lowered and lowered in k.lower()]
    contained = [k for k in pool if k and k.lower() in lowered]
    ending = [k for k in pool if len(last) > 2 and last in k.lower()]
    ending.sort(key=lambda k: (not k.lower().replace("/", ".").startswith(module), len(k)))
    alike = difflib.get_close_matches(name, pool, n=count, cutoff=0.8)
    words = {word: k for k in reversed(pool) for word in re.split(r"[^a-z]+", k.lower()) if len(word) > 2}
    spelt = [words[word] for word in difflib.get_close_matches(last, words, n=count, cutoff=0.75)]
    vague = difflib.get_close_matches(name, pool, n=count, cutoff=0.5)
    return list(
        dict.fromkeys(
            [*alike, *sorted(containing, key=len), *ending, *spelt, *sorted(contained, key=len, reverse=True), *vague]
        )
    )[:count]


def unknown_name(what: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Build the error for an unknown `name`: ``no node 'sofmax'; did you mean 'softmax'?``."""
    pool = list(dict.fromkeys(known))
    hints = nearest(str(name), pool)
    if hints:
        return UnknownNameError(f"no {what} {name!r}; did you mean {' or '.join(map(repr, hints))}?")
    shown = ", ".join(map(_shortened, pool[:8])) + (f" ... ({len(pool)} in all)" if len(pool) > 8 else "")
    return UnknownNameError(f"no {what} {name!r}; known: {shown or 'none'}")


def _shortened(name: str, length: int = 60) -> str:
    return name if len(name) <= length else f"{name[: length // 2]}...{name[-length // 2 + 3 :]}"
