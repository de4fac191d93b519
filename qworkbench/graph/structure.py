"""Nested Python structures with tensors at their leaves: what a model takes, what it returns, what a call was given.

A structure is any nesting of tuples, named tuples, lists, dicts, slices and dataclasses. Where a tensor stood, a
template holds a :class:`Slot`. Knows nothing of torch: a leaf is whatever is not a container.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qworkbench.graph.node import Sym


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of a tensor in a template: position `index` of the tensors that fill it."""

    index: int


def _is_record(tree: Any) -> bool:
    return dataclasses.is_dataclass(tree) and not isinstance(tree, (type, Slot, Sym))


def map_leaves(fn: Callable[[Any], Any], tree: Any) -> Any:
    """Return `tree` with every leaf replaced by ``fn(leaf)``; lists and dicts are always fresh copies.

    A tuple subclass without fields (``torch.Size``, ``torch.return_types``) becomes a plain tuple; a dataclass is
    rebuilt only if one of its fields changed.
    """
    if isinstance(tree, tuple):
        mapped = [map_leaves(fn, item) for item in tree]
        return type(tree)(*mapped) if hasattr(tree, "_fields") else tuple(mapped)
    if isinstance(tree, list):
        return [map_leaves(fn, item) for item in tree]
    if _is_record(tree):
        fields = {f.name: getattr(tree, f.name) for f in dataclasses.fields(tree) if f.init}
        new = {name: map_leaves(fn, value) for name, value in fields.items()}
        changed = any(a is not b for (_, a), (_, b) in zip(leaves(tree), leaves(new), strict=True))
        return dataclasses.replace(tree, **new) if changed else tree
    if isinstance(tree, Mapping):
        pairs = {key: map_leaves(fn, value) for key, value in tree.items()}
        return pairs if type(tree) is dict else type(tree)(pairs)  # type: ignore[call-arg]
    if isinstance(tree, slice):
        return slice(*(map_leaves(fn, part) for part in (tree.start, tree.stop, tree.step)))
    return fn(tree)


def leaves(tree: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Return ``(path, leaf)`` of every leaf in order; a path holds keys, field names and positions as text."""
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        items: list[tuple[str, Any]] = list(zip(tree._fields, tree, strict=True))
    elif isinstance(tree, (tuple, list)):
        items = [(str(i), item) for i, item in enumerate(tree)]
    elif _is_record(tree):
        items = [(f.name, getattr(tree, f.name)) for f in dataclasses.fields(tree) if f.init]
    elif isinstance(tree, Mapping):
        items = [(str(key), value) for key, value in tree.items()]
    elif isinstance(tree, slice):
        items = [("start", tree.start), ("stop", tree.stop), ("step", tree.step)]
    else:
        return [(path, tree)]
    return [found for key, item in items for found in leaves(item, (*path, key))]


def slots(template: Any) -> list[int]:
    """Return the slot indices of `template` in order, repeats included."""
    return [leaf.index for _, leaf in leaves(template) if isinstance(leaf, Slot)]


def fill(template: Any, tensors: Sequence[Any] | Mapping[int, Any], batch: int) -> Any:
    """Return `template` with slots replaced by `tensors` and every ``Sym`` by its size at `batch`."""

    def put(leaf: Any) -> Any:
        if isinstance(leaf, Slot):
            return tensors[leaf.index]
        return leaf.factor * batch if isinstance(leaf, Sym) else leaf

    return map_leaves(put, template)


def has_sym(template: Any) -> bool:
    """Tell whether any leaf of `template` follows the batch."""
    return any(isinstance(leaf, Sym) for _, leaf in leaves(template))
