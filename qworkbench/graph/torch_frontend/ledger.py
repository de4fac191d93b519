"""Which tensor object stands for which traced value, through views and in-place writes.

In-place code becomes single assignment here: a write gives the tensor a new value, every tensor that it is a view of
gets a ``view_write`` call, and other views of the same storage are derived afresh when they are next read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from qworkbench.graph.structure import Slot, map_leaves
from qworkbench.graph.torch_frontend.trace import Call


class ParentMark:
    """Stands for the viewed tensor in the arguments of a view that is written through."""


PARENT = ParentMark()


@dataclass(frozen=True, slots=True)
class View:
    """How a view is made: the function, its plain name, and which of its results it is."""

    func: Callable[..., Any]
    fn: str
    item: int | None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the view itself."""
        made = self.func(*args, **kwargs)
        return made if self.item is None else made[self.item]


def write_through(parent: Tensor, new: Tensor, view: View, args: Any, kwargs: Any) -> Tensor:
    """Return `parent` with its part ``view(*args, **kwargs)`` replaced by `new`; ``PARENT`` marks the parent."""
    changed = parent.clone()
    args, kwargs = map_leaves(lambda v: changed if isinstance(v, ParentMark) else v, (args, kwargs))
    view(*args, **kwargs).copy_(new)
    return changed


@dataclass(slots=True)
class Entry:
    """One tensor object: its value, how old that is, and the call that views `parent`, whose value was `viewed`."""

    tensor: Tensor
    slot: int
    epoch: int
    parent: Entry | None = None
    view: Call | None = None
    item: int | None = None
    viewed: int = -1


def _storage(tensor: Tensor) -> int | None:
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):
        return None


def _substitute(call: Call, old: int, new: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    def put(leaf: Any) -> Any:
        return new if isinstance(leaf, Slot) and leaf.index == old else leaf

    return map_leaves(put, call.args), map_leaves(put, call.kwargs)


class Ledger:
    """Tensor objects of one trace; keeps them alive so that an id is never reused.

    Parameters
    ----------
    emit : callable
        ``emit(call, shaped_like) -> slot`` writes a call down and returns the value that it makes.
    """

    def __init__(self, emit: Callable[[Call, Tensor], int]) -> None:
        self._emit = emit
        self._entries: dict[int, Entry] = {}
        self._epochs: dict[int, int] = {}

    def _epoch(self, tensor: Tensor) -> int:
        key = _storage(tensor)
        return 0 if key is None else self._epochs.get(key, 0)

    def add(self, tensor: Tensor, slot: int) -> None:
        """Note that `tensor` holds the value `slot`."""
        self._entries[id(tensor)] = Entry(tensor, slot, self._epoch(tensor))

    def find(self, tensor: Tensor) -> int | None:
        """Return the current value of `tensor`, None if it was never seen."""
        entry = self._entries.get(id(tensor))
        return None if entry is None else self._fresh(entry)

    def link(self, made: Tensor, sources: list[Tensor], call: Call, item: int | None = None) -> None:
        """Note that `made`, a result of `call`, is a view of the first of `sources` that shares its storage."""
        key = _storage(made)
        entry = self._entries[id(made)]
        for source in sources:
            parent = self._entries.get(id(source))
            if parent is not None and source is not made and key is not None and _storage(source) == key:
                entry.parent, entry.view, entry.item, entry.viewed = parent, call, item, parent.slot
                return

    def _fresh(self, entry: Entry) -> int:
        now = self._epoch(entry.tensor)
        if entry.epoch == now or entry.parent is None or entry.view is None:
            return entry.slot
        viewed = self._fresh(entry.parent)
        if viewed != entry.viewed:
            args, kwargs = _substitute(entry.view, entry.viewed, Slot(viewed))
            entry.view, entry.viewed = replace(entry.view, args=args, kwargs=kwargs), viewed
            again = replace(entry.view, name=f"{entry.view.name}.again")
            if entry.item is not None:
                again.func, again.fn = View(again.func, again.fn, entry.item), "view_item"
            entry.slot = self._emit(again, entry.tensor)
        entry.epoch = now
        return entry.slot

    def write(self, tensor: Tensor, slot: int, write_name: str) -> None:
        """Note that `tensor` was written in place and now holds the value `slot`."""
        entry = self._entries[id(tensor)]
        ancestors: list[Entry] = []
        above = entry.parent
        while above is not None:
            self._fresh(above)
            ancestors.append(above)
            above = above.parent
        key = _storage(tensor)
        if key is not None:
            self._epochs[key] = self._epochs.get(key, 0) + 1
        now = self._epoch(tensor)
        entry.slot, entry.epoch = slot, now
        child = entry
        for parent in ancestors:
            view = child.view
            assert view is not None
            args, kwargs = _substitute(view, child.viewed, PARENT)
            write = Call(
                name=f"{write_name}.view_write",
                fn="view_write",
                source_op="write through a view",
                func=write_through,
                args=(Slot(parent.slot), Slot(child.slot), View(view.func, view.fn, child.item), args, kwargs),
                kwargs={},
                scope=view.scope,
                location=view.location,
            )
            parent.slot, parent.epoch = self._emit(write, parent.tensor), now
            args, kwargs = _substitute(view, child.viewed, Slot(parent.slot))
            child.view, child.viewed = replace(view, args=args, kwargs=kwargs), parent.slot
            child = parent
