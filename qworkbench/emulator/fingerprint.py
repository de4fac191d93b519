"""Content digests: equal content gives equal digests, in this process and in the next.

A step's fingerprint is the digest of its kind, parameters and its inputs' fingerprints, so equal fingerprints mean
equal results. Knows nothing of plans or caches.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from qworkbench.travel import Local

SIZE = 16
Update = Callable[[Any], None]
Plain = bool | int | float | str | bytes | tuple["Plain", ...] | None
Feeder = Callable[[Update, Any], object]


@dataclasses.dataclass(frozen=True, eq=False)
class Packed:
    """An array whose digest is already known (weights, which are large and seldom change).

    `forms` is where kernels keep what they make of it: packed for their instructions, made once per model.
    """

    array: np.ndarray
    digest: bytes
    forms: Local = dataclasses.field(default_factory=Local, repr=False)


@dataclasses.dataclass(frozen=True, eq=False)
class Uncounted:
    """Something that a step needs at hand but whose content is counted elsewhere."""

    value: Any


class Chain:
    """Digests of short tuples of digests, remembered: a plan after an edit links mostly what the one before linked."""

    def __init__(self, keep: int = 50_000) -> None:
        self._keep = keep
        self._held: dict[tuple[Any, ...], bytes] = {}

    def link(self, *parts: bytes | int) -> bytes:
        """Return ``brief(*parts)``."""
        found = self._held.get(parts)
        if found is None:
            if len(self._held) >= self._keep:
                self._held.clear()
            found = self._held[parts] = brief(*parts)
        return found


def digest(*parts: Any) -> bytes:
    """Return a 16-byte digest of `parts` (numbers, strings, arrays, tensors, dataclasses, nested containers)."""
    state = hashlib.blake2b(digest_size=SIZE)
    _feed_all(state.update, parts)
    return state.digest()


def brief(*parts: Plain) -> bytes:
    """Return a digest of plain `parts`, in a fraction of the time that :func:`digest` takes."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=SIZE).digest()


def _feed_all(update: Update, parts: Iterable[Any]) -> None:
    for part in parts:
        kind: Any = type(part)
        (_FEEDERS.get(kind) or _feeder(kind))(update, part)


@cache
def _feeder(kind: Any) -> Feeder:
    """Return what feeds a type that is not in the table: a subclass of one that is, a dataclass, a tensor, a call."""
    name: str = kind.__name__
    for known, feeder in _FEEDERS.items():
        if issubclass(kind, known):
            return feeder
    if dataclasses.is_dataclass(kind):
        head, names = b"D" + name.encode(), tuple(field.name for field in dataclasses.fields(kind))

        def fields(update: Update, part: Any) -> None:
            update(head)
            _feed_all(update, [getattr(part, name) for name in names])

        return fields
    return _opaque


def _opaque(update: Update, part: Any) -> None:
    if hasattr(part, "detach"):
        _array(update, part.detach().cpu().contiguous().numpy())
    elif callable(part):
        # an opaque call has no content that can be read; its identity holds for this process
        update(f"C{getattr(part, '__qualname__', '')}{id(part)};".encode())
    else:
        update(f"O{type(part).__name__}{part!r};".encode())


def _array(update: Update, part: np.ndarray) -> None:
    update(f"A{part.dtype.str}{part.shape}".encode())
    update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data if part.size else b"")


def _text(update: Update, part: str) -> None:
    text = part.encode()
    update(b"S%d:" % len(text) + text)


def _sequence(update: Update, part: Sequence[Any]) -> None:
    update(b"L%d:" % len(part))
    _feed_all(update, part)


def _mapping(update: Update, part: Mapping[Any, Any]) -> None:
    update(b"M%d:" % len(part))
    for key in sorted(part, key=str):
        _text(update, str(key))
        _feed_all(update, (part[key],))


def _number(update: Update, part: Any) -> None:
    update(f"N{type(part).__name__}{part!r};".encode())


_FEEDERS: Mapping[type, Feeder] = {
    Uncounted: lambda _, __: None,
    Packed: lambda update, part: update(b"P" + part.digest),
    np.ndarray: _array,
    bytes: lambda update, part: update(b"B%d:" % len(part) + part),
    str: _text,
    type(None): _number,
    bool: _number,
    int: _number,
    float: _number,
    np.generic: _number,
    tuple: _sequence,
    list: _sequence,
    dict: _mapping,
    Mapping: _mapping,
}
