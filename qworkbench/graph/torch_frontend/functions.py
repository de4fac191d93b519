"""Plain names of torch functions, and which of them the tracer treats specially.

``x + y``, ``torch.add``, ``x.add`` and ``x.add_`` are all ``add``: handlers and generated names know one word.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_OPERATORS = {
    "add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "div": "div", "floordiv": "floor_divide",
    "pow": "pow", "matmul": "matmul", "mod": "remainder", "neg": "neg", "pos": "positive", "getitem": "getitem",
    "setitem": "setitem", "eq": "eq", "ne": "ne", "lt": "lt", "le": "le", "gt": "gt", "ge": "ge",
    "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "invert": "bitwise_not", "abs": "abs",
    "lshift": "bitwise_left_shift", "rshift": "bitwise_right_shift",
}  # fmt: skip
_SYNONYMS = {
    "concat": "cat", "concatenate": "cat", "true_divide": "div", "divide": "div", "multiply": "mul",
    "subtract": "sub", "greater": "gt", "greater_equal": "ge", "less": "lt", "less_equal": "le", "not_equal": "ne",
    "clip": "clamp", "absolute": "abs", "negative": "neg", "swapaxes": "transpose", "swapdims": "transpose",
    "adjoint": "transpose", "_softmax": "softmax", "special_softmax": "softmax", "special_expit": "sigmoid",
    "special_erf": "erf", "_log_softmax": "log_softmax", "moveaxis": "movedim", "arccos": "acos", "arcsin": "asin",
    "arctan": "atan", "mm": "matmul", "bmm": "matmul", "upsample": "interpolate", "tile": "repeat",
    "boolean_dispatch": "max_pool2d", "vector_norm": "linalg_vector_norm",
}  # fmt: skip

TENSOR_PROPERTIES = frozenset({"T", "mT", "H", "mH", "data", "real", "imag"})
ESCAPES = frozenset({
    "item", "tolist", "numpy", "__bool__", "__int__", "__float__", "__index__", "__array__", "__complex__",
    "is_nonzero", "equal", "allclose", "__contains__", "__dlpack__",
})  # fmt: skip
IGNORED = frozenset({"_assert", "_assert_async", "_assert_scalar", "_assert_tensor_metadata"})
RANDOM = frozenset({
    "rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "normal", "uniform",
    "bernoulli", "multinomial", "poisson", "exponential", "random", "cauchy", "geometric", "log_normal",
})  # fmt: skip
LIKE = {"zeros_like": "zeros", "ones_like": "ones", "full_like": "full", "empty_like": "zeros",
        "new_zeros": "zeros", "new_ones": "ones", "new_full": "full", "new_empty": "zeros",
        "empty": "zeros", "new_tensor": "tensor"}  # fmt: skip


def spelled(func: Callable[..., Any]) -> str:
    """Return the name of `func` as Python knows it; a property's name for its getter."""
    name = getattr(func, "__name__", type(func).__name__)
    if name == "__get__":
        return str(getattr(getattr(func, "__self__", None), "__name__", name))
    return str(name).partition(".")[0]  # torch.ops.aten.mul.Scalar


def plain(func: Callable[..., Any]) -> tuple[str, bool, bool]:
    """Return ``(plain name, operands are swapped, works in place)`` of `func`."""
    name = spelled(func)
    if name.startswith("__") and name.endswith("__"):
        core = name[2:-2]
        if core in _OPERATORS:
            return _OPERATORS[core], False, core == "setitem"
        if core[:1] == "r" and core[1:] in _OPERATORS:
            return _OPERATORS[core[1:]], True, False
        if core[:1] == "i" and core[1:] in _OPERATORS:
            return _OPERATORS[core[1:]], False, True
        return core, False, False
    in_place = name.endswith("_") and not name.startswith("_") and name not in ("requires_grad_",)
    core = name.rstrip("_") if in_place else name
    return _SYNONYMS.get(core, core), False, in_place


def source_name(func: Callable[..., Any], fn: str) -> str:
    """Return how the user would look the function up: ``torch.cat``, ``Tensor.view``, ``operator.add``, ``F.relu``."""
    name = spelled(func)
    if name.startswith("__"):
        return f"operator.{fn}"
    if getattr(Tensor, name, None) is func or getattr(func, "__name__", "") == "__get__":
        return f"Tensor.{name}"
    if getattr(func, "__module__", None) == "torch.nn.functional" or hasattr(torch.nn.functional, name):
        return f"F.{name}" if not hasattr(torch, name) else f"torch.{name}"
    return f"torch.{name}"


class OutOfPlace:
    """An in-place function made pure: works on a copy of its first argument and returns that."""

    def __init__(self, func: Callable[..., Any]) -> None:
        self._func = func
        self.__name__ = spelled(func)

    def __call__(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return the changed copy of `x`."""
        y = x.clone()
        self._func(y, *args, **kwargs)
        return y


class Swapped:
    """A reflected operator, called with its operands in mathematical order."""

    def __init__(self, func: Callable[..., Any]) -> None:
        self._func = func
        self.__name__ = spelled(func)

    def __call__(self, x: Any, y: Any) -> Any:
        """Return ``func(y, x)``."""
        return self._func(y, x)


def same(x: Tensor) -> Tensor:
    """Return a view of all of `x`."""
    return x.view_as(x)
