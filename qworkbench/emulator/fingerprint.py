"""Content digests: equal content gives equal digests, in this process and in the next.

A step's fingerprint is the digest of its kind, parameters and its inputs' fingerprints, so equal fingerprints mean
equal results. Knows nothing of plans or caches.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from qworkbench.travel import Local

SIZE = 16


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
        """Return ``digest(*parts)``."""
        found = self._held.get(parts)
        if found is None:
            if len(self._held) >= self._keep:
                self._held.clear()
            found = self._held[parts] = digest(*parts)
        return found


def digest(*parts: Any) -> bytes:
    """Return a 16-byte digest of `parts` (numbers, strings, arrays, tensors, dataclasses, nested containers)."""
    state = hashlib.blake2b(digest_size=SIZE)
    for part in parts:
        _feed(state, part)
    return state.digest()


@cache
def _names_of(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


def _feed(state: Any, part: Any) -> None:
    if isinstance(part, Uncounted):
        return
    if isinstance(part, Packed):
        state.update(b"P" + part.digest)
    elif isinstance(part, np.ndarray):
        state.update(f"A{part.dtype.str}{part.shape}".encode())
        state.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data if part.size else b"")
    elif isinstance(part, bytes):
        state.update(b"B%d:" % len(part) + part)
    elif isinstance(part, str):
        text = part.encode()
        state.update(b"S%d:" % len(text) + text)
    elif part is None or isinstance(part, (bool, int, float, np.generic)):
        state.update(f"N{type(part).__name__}{part!r};".encode())
    elif isinstance(part, (tuple, list)):
        state.update(b"L%d:" % len(part))
        for item in part:
            _feed(state, item)
    elif isinstance(part, Mapping):
        state.update(b"M%d:" % len(part))
        for key in sorted(part, key=str):
            _feed(state, str(key))
            _feed(state, part[key])
    elif dataclasses.is_dataclass(part):
        state.update(b"D" + type(part).__name__.encode())
        kind: Any = type(part)
        for name in _names_of(kind):
            _feed(state, getattr(part, name))
    elif hasattr(part, "detach"):
        _feed(state, part.detach().cpu().contiguous().numpy())
    elif callable(part):
        # an opaque call has no content that can be read; its identity holds for this process
        state.update(f"C{getattr(part, '__qualname__', '')}{id(part)};".encode())
    else:
        state.update(f"O{type(part).__name__}{part!r};".encode())
