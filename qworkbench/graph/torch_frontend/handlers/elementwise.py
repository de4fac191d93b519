"""Two operands, broadcasting: arithmetic, comparison, matrix product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from qworkbench.graph.einsum import as_product, is_identity
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


def einsum(b: Builder, equation: Any, *operands: Any) -> Any:
    """Return a product of matrices as MatMul or Gemm between transpositions; any other equation is carried."""
    given = operands[0] if len(operands) == 1 and isinstance(operands[0], (tuple, list)) else operands
    if not isinstance(equation, str) or len(given) != 2 or not all(isinstance(one, Slot) for one in given):
        return b.replay("Einsum")
    weights = [number for number in (0, 1) if b.is_weight(given[number])]
    floats = {b.dtype(one) for one in given} <= {torch.float32}
    right = weights[0] if len(weights) == 1 else None
    product = as_product(equation, *(b.shape(one) for one in given), right=right) if floats else None
    if product is None or len(weights) == 2:
        return b.replay("Einsum")
    left, other = reversed(given) if product.swapped else given
    closing = not is_identity(product.result)
    sub = "matmul" if closing else None
    flat = b.is_weight(other) and b.rank(other) == 2
    if b.is_weight(other) and not flat and not is_identity(product.right):
        return b.replay("Einsum")
    left = _turned(b, left, product.left, "left")
    if flat:
        made = b.emit("Gemm", [left, other, None], {"transB": product.right == (1, 0)}, sub=sub)
    else:
        made = b.emit("MatMul", [left, _turned(b, other, product.right, "right")], sub=sub)
    return b.emit("Transpose", [made], {"perm": product.result}) if closing else made


def _turned(b: Builder, x: Slot, perm: tuple[int, ...], name: str) -> Slot:
    return x if is_identity(perm) else b.emit("Transpose", [x], {"perm": perm}, sub=f"{name}_transpose")


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
    "einsum": einsum,
    "linear": linear,
    "addmm": _addmm,
}
