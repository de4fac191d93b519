"""Two operands, broadcasting: arithmetic, comparison, matrix product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qworkbench.graph.structure import Slot
from qworkbench.graph.torch_frontend.builder import Builder
from qworkbench.graph.torch_frontend.values import UnsupportedError


def _binary(op: str) -> Callable[..., Any]:
    def handler(b: Builder, input: Any, other: Any) -> Slot:
        return b.emit(op, [input, other])

    return handler


def _with_alpha(op: str) -> Callable[..., Any]:
    def handler(b: Builder, input: Any, other: Any, alpha: float = 1) -> Slot:
        if alpha != 1:
            other = b.emit("Mul", [other, alpha], sub="alpha") if isinstance(other, Slot) else other * alpha
        return b.emit(op, [input, other])

    return handler


def _rsub(b: Builder, input: Any, other: Any, alpha: float = 1) -> Slot:
    if alpha != 1:
        raise UnsupportedError("rsub with alpha")
    return b.emit("Sub", [other, input])


def _div(b: Builder, input: Any, other: Any, *, rounding_mode: str | None = None) -> Slot:
    if rounding_mode is not None:
        raise UnsupportedError(f"division with rounding_mode {rounding_mode!r}")
    return b.emit("Div", [input, other])


def _square(b: Builder, input: Slot) -> Slot:
    return b.emit("Pow", [input, 2.0])


def matmul(b: Builder, input: Slot, other: Slot) -> Slot:
    """Return the product; with a two-dimensional weight on the right it is a Gemm over the last axis."""
    ranks = b.rank(input), b.rank(other)
    if min(ranks) < 2:
        raise UnsupportedError(f"product of tensors of rank {ranks[0]} and {ranks[1]}")
    if b.is_weight(other) and ranks[1] == 2 and not b.is_weight(input):
        return b.emit("Gemm", [input, other, None], {"transB": False})
    return b.emit("MatMul", [input, other])


def linear(b: Builder, input: Slot, weight: Slot, bias: Slot | None = None) -> Slot:
    """Return ``input @ weight.T + bias``."""
    if b.rank(weight) != 2:
        raise UnsupportedError(f"linear with a weight of rank {b.rank(weight)}")
    return b.emit("Gemm", [input, weight, bias], {"transB": True})


def _addmm(b: Builder, input: Slot, mat1: Slot, mat2: Slot, *, beta: float = 1, alpha: float = 1) -> Slot:
    if beta != 1 or alpha != 1 or not b.is_weight(mat2) or not b.is_weight(input):
        raise UnsupportedError("addmm of activations or with factors")
    return b.emit("Gemm", [mat1, mat2, input], {"transB": False})


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": _with_alpha("Add"),
    "sub": _with_alpha("Sub"),
    "rsub": _rsub,
    "mul": _binary("Mul"),
    "div": _div,
    "pow": _binary("Pow"),
    "square": _square,
    "minimum": _binary("Min"),
    "maximum": _binary("Max"),
    "eq": _binary("Equal"),
    "gt": _binary("Greater"),
    "ge": _binary("GreaterOrEqual"),
    "lt": _binary("Less"),
    "le": _binary("LessOrEqual"),
    "matmul": matmul,
    "linear": linear,
    "addmm": _addmm,
}
