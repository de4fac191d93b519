"""Reductions over axes, and norms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from qworkbench.graph.replay import Replay
from qworkbench.graph.structure import Slot
from qworkbench.graph.torch_frontend.builder import Builder
from qworkbench.graph.torch_frontend.values import UnsupportedError


def _reduce(op: str) -> Callable[..., Any]:
    def handler(
        b: Builder,
        input: Slot,
        dim: Any = None,
        keepdim: bool = False,
        *,
        dtype: torch.dtype | None = None,
        axis: Any = None,
    ) -> Slot:
        if dtype is not None and dtype != b.dtype(input):
            raise UnsupportedError(f"{op} that converts to {dtype}")
        return b.emit(op, [input], {"axes": b.axes(input, axis if dim is None else dim), "keepdims": bool(keepdim)})

    return handler


def _extreme(op: str, pair_op: str, arg_op: str) -> Callable[..., Any]:
    def handler(b: Builder, input: Slot, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
        second = dim if isinstance(dim, Slot) else other
        if isinstance(second, Slot):
            return b.emit(pair_op, [input, second])
        if dim is None:
            return b.emit(op, [input], {"axes": b.axes(input, None), "keepdims": False})
        axis = b.axis(input, dim)
        values = b.emit(op, [input], {"axes": (axis,), "keepdims": bool(keepdim)})
        return values, b.emit(arg_op, [input], {"axis": axis, "keepdims": bool(keepdim)}, sub="indices")

    return handler


def _arg(op: str) -> Callable[..., Any]:
    def handler(b: Builder, input: Slot, dim: int | None = None, keepdim: bool = False) -> Slot:
        if dim is None:
            raise UnsupportedError(f"{op} over all axes at once")
        return b.emit(op, [input], {"axis": b.axis(input, dim), "keepdims": bool(keepdim)})

    return handler


def _vector_norm(x: Tensor, order: float, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(x, order, axes, keepdims)
    return length


def _norm_node(b: Builder, x: Slot, order: float, dim: Any, keepdim: bool, sub: str | None) -> Slot:
    if order not in (1, 2):
        raise UnsupportedError(f"norm of order {order}")
    axes = b.axes(x, dim)
    run = Replay(_vector_norm, (Slot(0), order, axes, keepdim), {}, b.batch)
    attrs = {"axes": axes, "keepdims": bool(keepdim)}
    return b.emit("ReduceL2" if order == 2 else "ReduceL1", [x], attrs, sub=sub, replay=run)


def _norm(b: Builder, input: Slot, p: Any = "fro", dim: Any = None, keepdim: bool = False) -> Slot:
    order = 2 if p in ("fro", None) else p
    return _norm_node(b, input, order, dim, keepdim, None)


def _linalg_norm(b: Builder, x: Slot, ord: float = 2, dim: Any = None, keepdim: bool = False) -> Slot:
    return _norm_node(b, x, ord, dim, keepdim, None)


def _normalize(b: Builder, input: Slot, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Slot:
    length = _norm_node(b, input, p, dim, True, "norm")
    length = b.emit("Clip", [length], {"min": eps, "max": None}, sub="clip")
    return b.emit("Div", [input, length])


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "mean": _reduce("ReduceMean"),
    "sum": _reduce("ReduceSum"),
    "amax": _reduce("ReduceMax"),
    "amin": _reduce("ReduceMin"),
    "max": _extreme("ReduceMax", "Max", "ArgMax"),
    "min": _extreme("ReduceMin", "Min", "ArgMin"),
    "argmax": _arg("ArgMax"),
    "argmin": _arg("ArgMin"),
    "norm": _norm,
    "linalg_vector_norm": _linalg_norm,
    "normalize": _normalize,
}
