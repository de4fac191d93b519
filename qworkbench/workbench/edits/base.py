"""What every edit is: a small frozen command, one pure step from a configuration to the next.

Undo, journal, saved file, the widget's messages and "copy as code" all come from it. Whether an edit fits the model is
checked by the workbench, which knows the graph; an edit knows only its own fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any

from qworkbench.errors import EditError
from qworkbench.workbench.config import Config

# what a field may hold, by its annotation, and how to say it
_KINDS_OF_VALUE: Mapping[str, tuple[tuple[type, ...], str]] = {
    "str": ((str,), "text"),
    "str | None": ((str, type(None)), "text"),
    "int": ((int,), "a whole number"),
    "int | None": ((int, type(None)), "a whole number"),
    "float": ((int, float), "a number"),
    "bool": ((bool,), "True or False"),
}


@dataclass(frozen=True)
class Edit:
    """Base of every edit; a NumPy or torch number in a field becomes a Python number, which files and code can hold."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
                object.__setattr__(self, field.name, value.item())

    def check(self) -> None:
        """Raise EditError when a field holds a value of the wrong type."""
        for field in fields(self):
            value = getattr(self, field.name)
            types, wanted = _KINDS_OF_VALUE[str(field.type)]
            if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
                raise EditError(f"{type(self).__name__}: {field.name} must be {wanted}, got {value!r}")

    def apply(self, config: Config) -> Config:
        """Return the configuration after this edit.

        Raises
        ------
        QWorkbenchError
            When the edit's own fields are wrong; `config` is never changed.
        """
        raise NotImplementedError

    def describe(self) -> str:
        """Return one line for the journal."""
        raise NotImplementedError

    def targets(self) -> tuple[tuple[str, Any], ...]:
        """Return the (setting, wanted value) pairs that this edit decides, to find contradictions."""
        return ()

    def as_dict(self) -> dict[str, Any]:
        """Return plain data with the edit's kind; :func:`edit_from_dict` reads it back."""
        return {"kind": type(self).__name__, **{k: v for k, v in asdict(self).items() if v is not None}}

    def as_code(self) -> str:
        """Return the Python expression that makes this edit."""
        parts = []
        for field in fields(self):
            value = getattr(self, field.name)
            required = field.default is MISSING
            if required:
                parts.append(repr(value))
            elif value != field.default:
                parts.append(f"{field.name}={value!r}")
        return f"q.{type(self).__name__}({', '.join(parts)})"
