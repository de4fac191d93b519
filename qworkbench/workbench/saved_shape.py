"""What a saved file must look like, as a table: a damaged one is named by its field, not by words of Python."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qworkbench.errors import FileFormatError

TEXT, WHOLE, NUMBER, LIST, TABLE = "text", "a whole number", "a number", "a list", "a table"
_TYPES: dict[str, tuple[type, ...]] = {
    TEXT: (str,),
    WHOLE: (int,),
    NUMBER: (int, float),
    LIST: (list,),
    TABLE: (dict,),
}

FIELDS: tuple[tuple[str, str, bool], ...] = (
    ("model", TABLE, False),
    ("model.name", TEXT, False),
    ("model.structure", TEXT, False),
    ("model.weights", TEXT, False),
    ("model.inputs", TABLE, False),
    ("march", TEXT, False),
    ("edits", LIST, False),
    ("edits.*", LIST, False),
    ("edits.*.*", TABLE, False),
    ("cursor", WHOLE, False),
    ("calibration", TABLE, True),
    ("calibration.samples", WHOLE, False),
    ("calibration.methods", LIST, False),
    ("calibration.methods.*", TABLE, False),
    ("calibration.methods.*.method", TABLE, False),
    ("calibration.methods.*.method.name", TEXT, False),
    ("calibration.methods.*.method.percentile", NUMBER, False),
    ("calibration.methods.*.thresholds", TABLE, False),
    ("calibration.methods.*.thresholds.*", NUMBER, False),
    ("calibration.methods.*.channels", TABLE, False),
    ("calibration.methods.*.channels.*", TEXT, False),
    ("example", TABLE, True),
    ("example.*", TEXT, False),
)
"""(path, what it holds, whether it may be null); ``*`` stands for every entry."""

_MISSING = object()


def check_shape(document: dict[str, Any]) -> None:
    """Refuse a document in which a field is missing or holds something else than it must.

    Raises
    ------
    FileFormatError
        Names the field, what it must be and what it is.
    """
    for path, kind, optional in FIELDS:
        for name, value in _at(document, path.split("."), ""):
            if value is _MISSING:
                raise FileFormatError(f"the field {name!r} is missing")
            if value is None and optional:
                continue
            if not isinstance(value, _TYPES[kind]) or isinstance(value, bool):
                raise FileFormatError(f"the field {name!r} must be {kind}, got {_short(value)}")
    steps, cursor = len(document["edits"]), document["cursor"]
    if not 0 <= cursor <= steps:
        raise FileFormatError(f"the field 'cursor' is {cursor}, not a number of the {steps} steps")


def _at(value: Any, parts: list[str], name: str) -> Iterator[tuple[str, Any]]:
    """Yield (name, value) of every place that the path names; nothing below a null."""
    if not parts:
        yield name, value
    elif value is None:
        return
    elif parts[0] == "*":
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        for key, entry in entries:
            yield from _at(entry, parts[1:], f"{name}[{key}]" if isinstance(value, list) else f"{name}.{key}")
    else:
        yield from _at(value.get(parts[0], _MISSING), parts[1:], f"{name}.{parts[0]}".lstrip("."))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
