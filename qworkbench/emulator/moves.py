"""Operators that move numbers and compute nothing, by numpy: what follows from a shape is worked out once for it.

Each move gives what the float kernel of :mod:`qworkbench.graph.float_movement` would, on codes as on floats. What needs
no copy is a view. A move that this page does not do is None, errors of the model's shapes included: torch says them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from qworkbench.emulator.kernels.moving import channels_of, compacted, resurfaced
from qworkbench.emulator.kernels.surface import planes_of, surface_of

Arrays = tuple[np.ndarray, ...]
Attrs = Mapping[str, Any]
Shape = tuple[int, ...]
Move = Callable[[np.ndarray], Arrays]


def move_of(op: str, attrs: Attrs, shape: Shape) -> Move | None:
    """Return what moves an array of `shape` as the node does; None for any other operator, and where torch must.

    Parameters
    ----------
    op : str
    attrs : Mapping
        Of the node, with the batch filled in; of a Gather, ``index`` is the one that it takes.
    shape : tuple of int
    """
    make = MOVES.get(op)
    return None if make is None else make(attrs, shape)


def _reshaped(to: Shape) -> Move:
    def move(x: np.ndarray) -> Arrays:
        if x.flags.c_contiguous:
            return (x.reshape(to),)
        runs = compacted(x, to)
        return (planes_of(x).reshape(to) if runs is None else runs,)

    return move


def _viewed(view: Callable[[np.ndarray], np.ndarray]) -> Move:
    """Return a move by one view of numpy; parts of a surface lie on a surface of their own again."""

    def move(x: np.ndarray) -> Arrays:
        return (_settled(view(x), x),)

    return move


def _settled(part: np.ndarray, x: np.ndarray) -> np.ndarray:
    if part.ndim != 4 or part.flags.c_contiguous:
        return part
    return resurfaced(part, x)


def _reshape(attrs: Attrs, shape: Shape) -> Move | None:
    to, size = list(attrs["shape"]), prod(shape)
    if to.count(-1) == 1:
        known = prod(n for n in to if n != -1)
        if not known or size % known:
            return None
        to[to.index(-1)] = size // known
    return _reshaped(tuple(to)) if min(to, default=0) >= 0 and prod(to) == size else None


def _flatten(attrs: Attrs, shape: Shape) -> Move | None:
    rows = prod(shape[: attrs["axis"]])
    return _reshaped((rows, prod(shape) // rows)) if prod(shape) else None


def _transpose(attrs: Attrs, shape: Shape) -> Move | None:
    perm = tuple(axis + len(shape) if axis < 0 else axis for axis in attrs["perm"])
    if sorted(perm) != list(range(len(shape))):
        return None
    if perm == tuple(range(len(shape))):
        return lambda x: (x,)
    return _viewed(lambda x: x.transpose(perm))


def _squeeze(attrs: Attrs, shape: Shape) -> Move | None:
    rank, axes = len(shape), attrs.get("axes")
    named = range(rank) if axes is None else axes
    if any(not -rank <= axis < rank for axis in named):
        return None
    gone = {axis % rank for axis in named if shape[axis] == 1}
    return _indexed(tuple(0 if axis in gone else slice(None) for axis in range(rank)))


def _unsqueeze(attrs: Attrs, shape: Shape) -> Move | None:
    index: list[Any] = [slice(None)] * len(shape)
    for axis in sorted(attrs["axes"]):
        if not -len(index) - 1 <= axis <= len(index):
            return None
        index.insert(axis if axis >= 0 else axis + len(index) + 1, None)
    return _indexed(tuple(index))


def _indexed(index: tuple[Any, ...]) -> Move:
    return _viewed(lambda x: x[index])


def _gather(attrs: Attrs, shape: Shape) -> Move | None:
    axis, index = attrs["axis"], attrs.get("index")
    if index is None or not -len(shape) <= axis < len(shape) or not -shape[axis] <= index < shape[axis]:
        return None
    return _indexed((*(slice(None),) * (axis % len(shape)), index))


def _slice(attrs: Attrs, shape: Shape) -> Move | None:
    parts = zip(attrs["axes"], attrs["starts"], attrs["ends"], attrs["steps"], strict=True)
    index: dict[int, slice] = {}
    turned = False
    for axis, start, end, step in parts:
        if axis in index or not 0 <= axis < len(shape) or not step:
            return None
        index[axis] = slice(start, end, step)
        if step < 0:
            size, turned = shape[axis], True
            first, last = start + size if start < 0 else min(start, size - 1), max(end + size if end < 0 else end, -1)
            if not 0 <= last + 1 <= first + 1 <= size:
                return None
            index[axis] = slice(first, None if last < 0 else last, step)
    cut = tuple(index.get(axis, slice(None)) for axis in range(len(shape)))
    return (lambda x: (np.ascontiguousarray(x[cut]),)) if turned else _indexed(cut)


def _split(attrs: Attrs, shape: Shape) -> Move | None:
    axis, sizes = attrs["axis"], tuple(attrs["split"])
    if not -len(shape) <= axis < len(shape) or min(sizes, default=-1) < 0 or sum(sizes) != shape[axis]:
        return None
    ends = np.cumsum(sizes).tolist()
    cuts = [
        (*(slice(None),) * (axis % len(shape)), slice(end - size, end)) for size, end in zip(sizes, ends, strict=True)
    ]
    on_channels = len(shape) == 4 and axis % 4 == 1 and min(shape[0], *sizes, *shape[2:]) > 0

    def move(x: np.ndarray) -> Arrays:
        surface = surface_of(x) if on_channels else None
        return tuple(_settled(x[cut], x) for cut in cuts) if surface is None else channels_of(x, sizes)

    return move


def _expand(attrs: Attrs, shape: Shape) -> Move | None:
    to = tuple(attrs["shape"])
    own = (1,) * (len(to) - len(shape)) + shape
    whole = tuple(n if size == -1 else size for n, size in zip(own, to, strict=False))
    if len(own) != len(to) or any(n not in (1, size) for n, size in zip(own, whole, strict=True)):
        return None
    if -1 in to[: len(to) - len(shape)]:
        return None

    def move(x: np.ndarray) -> Arrays:
        out = np.empty(whole, x.dtype)
        out[...] = x
        return (out,)

    return move


MOVES: Mapping[str, Callable[[Attrs, Shape], Move | None]] = {
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Gather": _gather,
    "Slice": _slice,
    "Split": _split,
    "Expand": _expand,
}
