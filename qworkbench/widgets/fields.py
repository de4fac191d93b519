"""Reads fields of a message. The page is not trusted: every one is checked before it is used."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from qworkbench.errors import QWorkbenchError

Message = Mapping[str, Any]


def field(message: Message, name: str, kind: type) -> Any:
    """Return a field of one type.

    Raises
    ------
    QWorkbenchError
    """
    value = message.get(name)
    if not isinstance(value, kind):
        raise QWorkbenchError(f"a {message['type']!r} message needs {name!r} as {kind.__name__}, got {value!r}")
    return value


def number(name: str, value: Any, example: str) -> float | None:
    """Return an optional number, None where there is none.

    Raises
    ------
    QWorkbenchError
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise QWorkbenchError(f"{name} must be a number, got {value!r}; e.g. {example}")
    return float(value)
