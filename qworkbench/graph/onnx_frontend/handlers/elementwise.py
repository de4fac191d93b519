"""Functions of one tensor and operators on two, element by element; matrix products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from qworkbench.graph.einsum import as_product, is_identity
from qworkbench.graph.onnx_frontend.call import Call
from qworkbench.graph.onnx_frontend.importer import UnsupportedError

_LARGEST = float(np.finfo(np.float32).max)


def _same(c: Call) -> str:
    return c.emit(c.op, [c.x(0)])


def _hard_sigmoid(c: Call) -> str:
    """Return HardSigmoid; 1/6 as float32 is torch's 1/6."""
    alpha = c.attr("alpha", 0.2)
    exact = 1 / 6 if abs(alpha - 1 / 6) < 1e-6 else alpha
    return c.emit("HardSigmoid", [c.x(0)], {"alpha": exact, "beta": c.attr("beta", 0.5)})


def _with_alpha(default: float) -> Callable[[Call], str]:
    return lambda c: c.emit(c.op, [c.x(0)], {"alpha": c.attr("alpha", default)})


def _selu(c: Call) -> str:
    if abs(c.attr("alpha", 1.67326324) - 1.67326324) > 1e-5 or abs(c.attr("gamma", 1.05070098) - 1.05070098) > 1e-5:
        raise UnsupportedError("Selu with other constants")
    return _same(c)


def _gelu(c: Call) -> str:
    return c.emit("Gelu", [c.x(0)], {"approximate": c.attr("approximate", "none")})


def _swish(c: Call) -> str:
    if c.attr("alpha", 1.0) != 1.0:
        raise UnsupportedError("Swish with a factor inside")
    return _same(c)


def _prelu(c: Call) -> str:
    """Return PRelu with one slope, or one per channel (axis 1)."""
    slope, rank = c.sizes(1)[0], c.rank()
    padded = (1,) * (rank - len(slope)) + tuple(slope)
    if len(slope) > rank or any(d != 1 for axis, d in enumerate(padded) if axis != 1):
        raise UnsupportedError("PRelu whose slope varies along another axis than the channels")
    if c.is_known(1):
        return c.emit("PRelu", [c.x(0), c.constant(c.content(1).reshape(-1), "slope")])
    return c.emit("PRelu", [c.x(0), c.x(1)])


def _clip(c: Call) -> str:
    """Return Clip; bounds are attributes before opset 11 and inputs since, those of the float range count as none."""
    if not c.dtype().is_floating_point:
        raise UnsupportedError("Clip of integers")
    low, high = (c.attr("min"), c.attr("max")) if c.opset < 11 else (c.number(1), c.number(2))
    low = None if low is None or low <= -_LARGEST else float(low)
    high = None if high is None or high >= _LARGEST else float(high)
    return c.emit("Clip", [c.x(0)], {"min": low, "max": high})


def _operands(c: Call, slots: tuple[int, int] = (0, 1)) -> list[str]:
    """Return two operands; a constant of one element becomes a scalar where broadcasting allows it."""
    found = []
    for slot, other in (slots, slots[::-1]):
        scalar = c.is_known(slot) and c.content(slot).size == 1 and c.rank(slot) <= c.rank(other)
        if scalar and c.rank(slot) and not c.is_known(other):
            found.append(c.constant(c.content(slot).reshape(()), "scalar"))
        else:
            found.append(c.x(slot))
    return found


def _binary(c: Call) -> str:
    return c.emit(c.op, _operands(c))


def _div(c: Call) -> str:
    """Return Div; of integers ONNX rounds toward zero."""
    if c.dtype().is_floating_point:
        return _binary(c)
    return c.carry("Opaque", "Div", [c.x(0), c.x(1)], {"why": "division of integers"})[0]


def _pow(c: Call) -> str:
    if not c.dtype().is_floating_point:
        raise UnsupportedError("a power of integers")
    if c.dtype(1) != c.dtype(0) and c.is_known(1):
        exponent = c.content(1).astype(np.float32)
        scalar = exponent.size == 1 and exponent.ndim <= c.rank()
        return c.emit("Pow", [c.x(0), c.constant(exponent.reshape(()) if scalar else exponent, "exponent")])
    return _binary(c)


def _chain(op: str) -> Callable[[Call], str]:
    """Return a handler of an operator on any number of tensors: one node per pair."""

    def handler(c: Call) -> str:
        if len(c) == 1:
            return c.emit("Identity", [c.x(0)])
        if len(c) == 2:
            return c.emit(op, _operands(c))
        found = c.x(0)
        for slot in range(1, len(c)):
            last = slot == len(c) - 1
            found = c.emit(op, [found, c.x(slot)], sub=None if last else str(slot - 1))
        return found

    return handler


def _einsum(c: Call) -> str:
    """Return a product of matrices as MatMul between transpositions; any other equation is carried."""
    known = [slot for slot in range(len(c)) if c.is_known(slot)]
    product = None
    if len(c) == 2 and len(known) < 2 and {c.dtype(0), c.dtype(1)} == {torch.float32}:
        sizes = [tuple(zip(*c.sizes(slot), strict=True)) for slot in (0, 1)]
        product = as_product(str(c.attr("equation")), *sizes, right=known[0] if known else None)
    if product is None:
        raise UnsupportedError("no operator for it")
    slots = (1, 0) if product.swapped else (0, 1)
    sides = zip(slots, (product.left, product.right), ("left", "right"), strict=True)
    factors = [_turned(c, slot, perm, name) for slot, perm, name in sides]
    if is_identity(product.result):
        return c.emit("MatMul", factors)
    return c.emit("Transpose", [c.emit("MatMul", factors, sub="matmul")], {"perm": product.result})


def _turned(c: Call, slot: int, perm: tuple[int, ...], name: str) -> str:
    if is_identity(perm):
        return c.x(slot)
    if c.is_known(slot):
        return c.constant(np.ascontiguousarray(c.content(slot).transpose(perm)), "weight")
    return c.emit("Transpose", [c.x(slot)], {"perm": perm}, sub=f"{name}_transpose")


def _gemm(c: Call) -> str:
    """Return Gemm; factors go into the constants, what is not a bias per column is added behind it."""
    alpha, beta = c.attr("alpha", 1.0), c.attr("beta", 1.0)
    x = c.x(0)
    if c.attr("transA", 0):
        x = c.emit("Transpose", [x], {"perm": (1, 0)}, sub="transA")
    if alpha == 1.0:
        weight = c.x(1)
    elif c.is_known(1):
        weight = c.constant(c.content(1) * np.asarray(alpha, c.content(1).dtype), "weight")
    else:
        raise UnsupportedError("Gemm with a factor on two activations")
    transposed = bool(c.attr("transB", 0))
    bias, rest = _bias(c, beta, c.sizes(1)[0][0 if transposed else 1])
    found = c.emit("Gemm", [x, weight, bias], {"transB": transposed})
    return found if rest is None else c.emit("Add", [found, rest], sub="add")


def _bias(c: Call, beta: float, columns: int) -> tuple[str | None, str | None]:
    """Return C as a bias of one value per column, or as a tensor to add."""
    if not c.has(2) or beta == 0.0:
        return None, None
    if not c.is_known(2):
        if beta != 1.0:
            raise UnsupportedError("Gemm with a factor on an added activation")
        return None, c.x(2)
    array = c.content(2)
    if beta == 1.0 and array.shape == (columns,):
        return c.x(2), None
    array = array * np.asarray(beta, array.dtype)
    if array.size == 1 or (array.size == columns and array.shape[-1] == columns):
        return c.constant(np.broadcast_to(array.reshape(-1), (columns,)), "bias"), None
    return None, c.constant(array, "added")


def _where(c: Call) -> str:
    return c.carry("Where", "Where", [c.x(0), c.x(1), c.x(2)], {})[0]


def _carried(*slots: int) -> Callable[[Call], str]:
    return lambda c: c.carry(c.op, c.op, [c.x(slot) for slot in slots], {})[0]


def _mod(c: Call) -> str:
    truncated = bool(c.attr("fmod", 0))
    return c.carry("Mod", "Mod", [c.x(0), c.x(1)], {"fmod": truncated}, truncated)[0]


def _cast(c: Call) -> str:
    """Return the tensor itself where only the width of a float changes that is widened anyway."""
    from qworkbench.graph.onnx_frontend.importer import dtype_name
    from qworkbench.graph.onnx_frontend.tensors import torch_dtype

    to = c.dtype(1) if c.op == "CastLike" else torch_dtype(c.attr("to"), f"the result of {c.name!r}")
    if to == c.dtype():
        return c.x(0)
    return c.carry("Cast", "Cast", [c.x(0)], {"to": dtype_name(to)}, dtype_name(to))[0]


HANDLERS: dict[str, Callable[[Call], Any]] = {
    **dict.fromkeys(
        (
            "Relu Sigmoid HardSwish Mish Tanh Exp Log Sqrt Reciprocal Neg Abs Erf Sin Cos Tan Softplus Softsign Floor "
            "Ceil Round Sign Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Identity"
        ).split(),
        _same,
    ),
    **dict.fromkeys("Add Sub Mul Equal Greater GreaterOrEqual Less LessOrEqual".split(), _binary),
    "HardSigmoid": _hard_sigmoid,
    "LeakyRelu": _with_alpha(0.01),
    "Elu": _with_alpha(1.0),
    "Selu": _selu,
    "Gelu": _gelu,
    "Swish": _swish,
    "PRelu": _prelu,
    "Clip": _clip,
    "Div": _div,
    "Pow": _pow,
    "Sum": _chain("Add"),
    "Min": _chain("Min"),
    "Max": _chain("Max"),
    "Einsum": _einsum,
    "MatMul": lambda c: c.emit("MatMul", [c.x(0), c.x(1)]),
    "Gemm": _gemm,
    "Where": _where,
    "Mod": _mod,
    **dict.fromkeys(("Not", "IsNaN"), _carried(0)),
    **dict.fromkeys(("And", "Or", "Xor"), _carried(0, 1)),
    **dict.fromkeys(("Cast", "CastLike"), _cast),
}
