"""Shape changes: the target is the traced result's shape, so that views, ``-1`` and ``view_as`` all read alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from qworkbench.graph.structure import Slot
from qworkbench.graph.torch_frontend.builder import Builder
from qworkbench.graph.torch_frontend.values import UnsupportedError


def _reshape(b: Builder, input: Slot, *shape: Any, **sizes: Any) -> Slot:
    if shape and isinstance(shape[0], torch.dtype):
        raise UnsupportedError("a view as another dtype")
    return b.emit("Reshape", [input], {"shape": b.result()})


def _flatten(b: Builder, input: Slot, start_dim: int = 0, end_dim: int = -1) -> Slot:
    rank = b.rank(input)
    if rank >= 2 and b.axis(input, start_dim) == 1 and b.axis(input, end_dim) == rank - 1:
        return b.emit("Flatten", [input], {"axis": 1})
    return b.emit("Reshape", [input], {"shape": b.result()})


def _transpose_to(b: Builder, x: Slot, perm: tuple[int, ...]) -> Slot:
    return b.emit("Transpose", [x], {"perm": perm})


def _permute(b: Builder, input: Slot, *dims: Any) -> Slot:
    order = dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims
    return _transpose_to(b, input, tuple(b.axis(input, d) for d in order))


def _transpose(b: Builder, input: Slot, dim0: int = -2, dim1: int = -1) -> Slot:
    perm = list(range(b.rank(input)))
    first, second = b.axis(input, dim0), b.axis(input, dim1)
    perm[first], perm[second] = perm[second], perm[first]
    return _transpose_to(b, input, tuple(perm))


def _reversed(b: Builder, input: Slot) -> Slot:
    return _transpose_to(b, input, tuple(reversed(range(b.rank(input)))))


def _movedim(b: Builder, input: Slot, source: Any, destination: Any) -> Slot:
    sources = [b.axis(input, d) for d in ((source,) if isinstance(source, int) else source)]
    targets = [b.axis(input, d) for d in ((destination,) if isinstance(destination, int) else destination)]
    rest = iter(d for d in range(b.rank(input)) if d not in sources)
    by_target = dict(zip(targets, sources, strict=True))
    return _transpose_to(b, input, tuple(by_target[i] if i in by_target else next(rest) for i in range(b.rank(input))))


def _squeeze(b: Builder, input: Slot, dim: Any = None) -> Slot:
    axes = tuple(a for a in b.axes(input, dim) if b.shape(input)[a] == 1)
    return b.emit("Squeeze", [input], {"axes": axes}) if axes else input


def _unsqueeze(b: Builder, input: Slot, dim: int) -> Slot:
    return b.emit("Unsqueeze", [input], {"axes": (b.axis(input, dim, extra=1),)})


def _expand(b: Builder, input: Slot, *shape: Any, **kwargs: Any) -> Slot:
    return b.emit("Expand", [input], {"shape": b.result()})


def _cat(b: Builder, tensors: Any, dim: int = 0, *, axis: int | None = None) -> Slot:
    parts = [t for t in tensors if b.shape(t) != (0,)]
    return b.emit("Concat", parts, {"axis": b.axis(parts[0], dim if axis is None else axis)})


def _stack(b: Builder, tensors: Any, dim: int = 0) -> Slot:
    axis = b.axis(tensors[0], dim, extra=1)
    parts = [b.emit("Unsqueeze", [t], {"axes": (axis,)}, sub=f"unsqueeze{i}") for i, t in enumerate(tensors)]
    return b.emit("Concat", parts, {"axis": axis})


def _split_into(b: Builder, x: Slot, axis: int) -> tuple[Slot, ...]:
    parts = [b.static(b.result(i)[axis], "the split axis") for i in range(len(b.call.result))]
    return b.emit_many("Split", [x], {"axis": axis, "split": tuple(parts)}, len(parts))


def _split(b: Builder, input: Slot, sizes: Any = None, dim: int = 0, **named: Any) -> tuple[Slot, ...]:
    return _split_into(b, input, b.axis(input, dim))


def _no_op(b: Builder, input: Slot, *args: Any, **kwargs: Any) -> Slot:
    return input


def _view_write(b: Builder, parent: Slot, new: Slot, view: Any, args: Any, kwargs: Any) -> Slot:
    if view.item is None and view.fn == "alias":
        return new
    if view.item is None and view.fn in ("view", "reshape", "flatten", "squeeze", "unsqueeze", "unflatten", "Flatten"):
        return b.emit("Reshape", [new], {"shape": b.shape(parent)})
    return b.replay("ScatterND")  # type: ignore[no-any-return]


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("view", "reshape", "unflatten", "view_as", "reshape_as"), _reshape),
    "flatten": _flatten,
    "ravel": _reshape,
    "permute": _permute,
    **dict.fromkeys(("transpose", "t", "mT"), _transpose),
    "T": _reversed,
    "movedim": _movedim,
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    **dict.fromkeys(("expand", "expand_as", "broadcast_to"), _expand),
    "cat": _cat,
    "stack": _stack,
    **dict.fromkeys(("chunk", "split", "tensor_split", "split_with_sizes", "unsafe_chunk", "unsafe_split"), _split),
    **dict.fromkeys(("contiguous", "clone", "detach", "data", "alias", "positive", "cpu", "requires_grad"), _no_op),
    "view_write": _view_write,
}
