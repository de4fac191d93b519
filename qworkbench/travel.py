"""Pickling of frozen values that hold read-only mappings, so that a worker of another process can take them."""

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
