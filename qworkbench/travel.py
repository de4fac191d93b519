"""Pickling of values for a worker of another process: read-only mappings travel, what holds addresses does not."""

from __future__ import annotations

from dataclasses import fields
from types import MappingProxyType
from typing import Any


class Travelling:
    """Base of frozen dataclasses whose ``__post_init__`` makes mappings read-only: they travel as plain dicts."""

    __slots__ = ()

    def __getstate__(self) -> dict[str, Any]:
        held = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {name: dict(value) if isinstance(value, MappingProxyType) else value for name, value in held.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)
        self.__post_init__()

    def __post_init__(self) -> None:
        """Make mappings read-only; subclasses say which."""


class Local(dict[Any, Any]):
    """What was prepared on this machine, in this process, beside a value that travels; it arrives empty."""

    def __reduce__(self) -> tuple[type[Local], tuple[()]]:
        return Local, ()

    def keep(self, key: Any, value: Any, most: int) -> None:
        """Hold `value` under `key`; of more than `most` entries the oldest go."""
        for old in list(self)[: max(len(self) + 1 - most, 0)]:
            self.pop(old, None)
        self[key] = value
