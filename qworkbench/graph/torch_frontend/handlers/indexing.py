"""Reading parts: slices, integer and tensor indices, embeddings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from qworkbench.graph.node import Dim, Sym
from qworkbench.graph.structure import Slot
from qworkbench.graph.torch_frontend.builder import Builder
from qworkbench.graph.torch_frontend.values import UnsupportedError

_END = 2**63 - 1


def _index(b: Builder, position: int) -> Slot:
    return b.constant(torch.tensor(position), "index")


def _bounds(part: slice, dim: Dim) -> tuple[Any, Any, int] | None:
    """Return start, end, step of `part` on an axis of size `dim`; None if it keeps everything."""
    step = 1 if part.step is None else part.step
    if step < 1:
        raise UnsupportedError("a slice that runs backward")
    if isinstance(dim, int) and not isinstance(part.start, Sym) and not isinstance(part.stop, Sym):
        start, end, _ = part.indices(dim)
        return None if (start, end, step) == (0, dim, 1) else (start, max(start, end), step)
    start, end = 0 if part.start is None else part.start, _END if part.stop is None else part.stop
    if any(isinstance(v, int) and v < 0 for v in (start, end)):
        raise UnsupportedError("a slice counted from the end of an axis that follows the batch")
    if (start, step) == (0, 1) and (end in (_END, dim)):
        return None
    return start, end, step


def _select(b: Builder, x: Slot, axis: int, position: int, sub: str | None) -> Slot:
    dim = b.shape(x)[axis]
    if position < 0 and isinstance(dim, int):
        position += dim
    return b.emit("Gather", [x, _index(b, position)], {"axis": axis}, sub=sub)


def _getitem(b: Builder, input: Slot, index: Any) -> Slot:
    """Return basic indexing as Slice, then Gather per integer, then Unsqueeze; one integer tensor as Gather."""
    parts = list(index) if isinstance(index, tuple) else [index]
    if any(
        isinstance(p, (bool, list, Sym)) or not isinstance(p, (int, slice, Slot, type(None), type(...))) for p in parts
    ):
        raise UnsupportedError("indexing by a list, a truth value or the batch size")
    if sum(isinstance(p, Slot) for p in parts) > 1 or any(
        isinstance(p, Slot) and b.dtype(p) in (torch.bool, torch.uint8) for p in parts
    ):
        raise UnsupportedError("indexing by a mask or by several tensors")
    taken = sum(p is not None and p is not ... for p in parts)
    filler: list[Any] = [slice(None)] * (b.rank(input) - taken)
    if ... in [p for p in parts if not isinstance(p, Slot)]:
        at = next(i for i, p in enumerate(parts) if p is ...)
        parts = [*parts[:at], *filler, *parts[at + 1 :]]
    else:
        parts += filler
    shape, axes = b.shape(input), [p for p in parts if p is not None]
    if any(isinstance(p, Slot) for p in axes) and any(isinstance(p, int) or p is None for p in parts):
        raise UnsupportedError("indexing by a tensor together with integers or new axes")
    steps: list[Callable[[Slot, str | None], Slot]] = []
    cuts = [
        (axis, *found) for axis, p in enumerate(axes) if isinstance(p, slice) and (found := _bounds(p, shape[axis]))
    ]
    if cuts:
        names = ("axes", "starts", "ends", "steps")
        attrs = {name: tuple(cut[i] for cut in cuts) for i, name in enumerate(names)}
        steps.append(lambda x, sub: b.emit("Slice", [x], attrs, sub=sub and "slice"))
    for axis in reversed(range(len(axes))):
        p = axes[axis]
        if isinstance(p, Slot):
            steps.append(lambda x, sub, axis=axis, p=p: b.emit("Gather", [x, p], {"axis": axis}, sub=sub and "gather"))  # type: ignore[misc]
        elif not isinstance(p, slice):
            steps.append(lambda x, sub, axis=axis, p=p: _select(b, x, axis, p, sub and f"select{axis}"))  # type: ignore[misc]
    kept = [p for p in parts if p is None or isinstance(p, slice)]
    new = tuple(i for i, p in enumerate(kept) if p is None)
    if new:
        steps.append(lambda x, sub: b.emit("Unsqueeze", [x], {"axes": new}, sub=sub and "unsqueeze"))
    for i, step in enumerate(steps):
        input = step(input, None if i == len(steps) - 1 else "helper")
    return input


def _select_function(b: Builder, input: Slot, dim: int, index: int) -> Slot:
    if not isinstance(index, int):
        raise UnsupportedError("a position that is not a number")
    return _select(b, input, b.axis(input, dim), index, None)


def _unbind(b: Builder, input: Slot, dim: int = 0) -> tuple[Slot, ...]:
    axis = b.axis(input, dim)
    count = b.static(b.shape(input)[axis], "the axis that is taken apart")
    parts = b.emit_many("Split", [input], {"axis": axis, "split": (1,) * count}, count, sub="split")
    return tuple(b.emit("Squeeze", [part], {"axes": (axis,)}, sub=str(i)) for i, part in enumerate(parts))


def _narrow(b: Builder, input: Slot, dim: int, start: int, length: int) -> Slot:
    axis = b.axis(input, dim)
    bounds = _bounds(slice(start, start + length), b.shape(input)[axis])
    if bounds is None:
        return input
    names = ("starts", "ends", "steps")
    return b.emit("Slice", [input], {"axes": (axis,), **{n: (v,) for n, v in zip(names, bounds, strict=True)}})


def _index_select(b: Builder, input: Slot, dim: int, index: Slot) -> Slot:
    return b.emit("Gather", [input, index], {"axis": b.axis(input, dim)})


def embedding(
    b: Builder,
    input: Slot,
    weight: Slot,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Slot:
    """Return the rows of `weight` at `input`."""
    if max_norm is not None:
        raise UnsupportedError("an embedding that renormalises its rows")
    return b.emit("Gather", [weight, input], {"axis": 0})


def _flip(b: Builder, input: Slot, dims: Any, *more: int) -> Slot:
    """Return the axes back to front: one Slice with steps of -1, as exporters write it."""
    axes = b.axes(input, (dims, *more) if isinstance(dims, int) else dims) if dims != () else ()
    turned = tuple(axis for axis in axes if b.static(b.shape(input)[axis], "the flipped axis") > 1)
    if not turned:
        return input
    starts = tuple(b.static(b.shape(input)[axis], "the flipped axis") - 1 for axis in turned)
    ends = tuple(-size - 2 for size in starts)  # in front of the first, counted from the end
    return b.emit("Slice", [input], {"axes": turned, "starts": starts, "ends": ends, "steps": (-1,) * len(turned)})


def _roll(b: Builder, input: Slot, shifts: Any, dims: Any = None) -> Slot:
    """Return a cyclic shift: two slices and a Concat per axis."""
    if dims is None or dims == ():
        raise UnsupportedError("a roll over the flattened tensor")
    by = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    over = (dims,) if isinstance(dims, int) else tuple(dims)
    moves = []
    for shift, dim in zip(by, over, strict=True):
        axis = b.axis(input, dim)
        size = b.static(b.shape(input)[axis], "the rolled axis")
        if shift % size:
            moves.append((axis, size, shift % size))
    for i, (axis, size, shift) in enumerate(moves):
        cut = {"axes": (axis,), "steps": (1,)}
        back = b.emit("Slice", [input], {**cut, "starts": (size - shift,), "ends": (size,)}, sub=f"back{i}")
        front = b.emit("Slice", [input], {**cut, "starts": (0,), "ends": (size - shift,)}, sub=f"front{i}")
        last = i == len(moves) - 1
        input = b.emit("Concat", [back, front], {"axis": axis}, sub=None if last else f"concat{i}")
    return input


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "getitem": _getitem,
    "select": _select_function,
    "unbind": _unbind,
    "narrow": _narrow,
    "index_select": _index_select,
    "embedding": embedding,
    "roll": _roll,
    "flip": _flip,
    "fliplr": partial(_flip, dims=(1,)),
    "flipud": partial(_flip, dims=(0,)),
}
