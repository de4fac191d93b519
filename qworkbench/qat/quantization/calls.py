"""What a call in a model's own code stands for: an operator, arithmetic of two tensors, a function, a look at a shape.

Recording and running ask the same questions here, so that they agree. Knows nothing of graphs.
"""

from __future__ import annotations

import operator
import types
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from qworkbench.qat.nn.base import OwnModule
from qworkbench.qat.qtensor import QTensor
from qworkbench.qat.quantization.tracing import is_float_functional

_BINARY = {
    "add": "add", "__add__": "add", "__radd__": "add", "__iadd__": "add", "add_": "add",
    "sub": "sub", "__sub__": "sub", "__isub__": "sub", "sub_": "sub",
    "mul": "mul", "__mul__": "mul", "__rmul__": "mul", "__imul__": "mul", "mul_": "mul", "multiply": "mul",
    "matmul": "matmul", "__matmul__": "matmul", "__rmatmul__": "matmul", "bmm": "matmul",
}  # fmt: skip
RENAMED = {
    "__truediv__": "div", "__rtruediv__": "rdiv", "__neg__": "neg", "__pow__": "pow", "__rsub__": "rsub",
    "__getitem__": "getitem",
}  # fmt: skip


ITERATED = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
"""Containers whose code may run through their children: what is generated for them goes to the one around them."""


def is_leaf(module: nn.Module) -> bool:
    """Tell whether `module` is one operator: torch's own, a stub, a FloatFunctional, one of this package's."""
    named = type(module).__name__ in ("QuantStub", "DeQuantStub")
    container = type(module) is nn.Module or isinstance(module, ITERATED)
    torchs = type(module).__module__.startswith("torch.nn.") and not container
    return named or torchs or isinstance(module, OwnModule) or is_float_functional(module)


def arithmetic(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]] | None:
    """Return the FloatFunctional method and its arguments that a call stands for, or None."""
    if name in ("cat", "concat", "concatenate"):
        tensors = args[0] if args else kwargs["tensors"]
        dim = args[1] if len(args) > 1 else kwargs.get("dim", kwargs.get("axis", 0))
        return "cat", (tensors, dim)
    method = _BINARY.get(name)
    if method is None or len(args) != 2 or (set(kwargs) - {"alpha"}) or kwargs.get("alpha", 1) != 1:
        return None
    left, right = args
    if name == "__rmatmul__":
        left, right = right, left
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return (method, (left, right)) if _real(left) and _real(right) else None
    tensor, number = (left, right) if isinstance(left, Tensor) else (right, left)
    if (
        not isinstance(tensor, Tensor)
        or not _real(tensor)
        or isinstance(number, bool)
        or not isinstance(number, (int, float))
        or method == "matmul"
    ):
        return None
    if method == "sub":
        return ("add_scalar", (tensor, -number)) if tensor is left else None
    return f"{method}_scalar", (tensor, number)


def _real(tensor: Tensor) -> bool:
    """Tell whether `tensor` stands for real numbers, be it by codes."""
    return isinstance(tensor, QTensor) or tensor.is_floating_point()


def constant() -> None:
    """Stand in the graph for a tensor that the model's code makes."""


def reads(_: Any) -> None:
    """Stand in the graph for code that looks at a tensor."""


def other(*_: Any, **__: Any) -> None:
    """Stand in the graph for a function that takes no tensor first."""


def described(name: str, args: tuple[Any, ...]) -> tuple[str, Any]:
    """Return the kind and the target of the node for a function that needs no module."""
    if name == "getitem":
        return "call_function", operator.getitem
    if name in ("relu", "relu6"):
        return "call_function", getattr(nn.functional, name)
    if args and isinstance(args[0], (Tensor, list, tuple)):
        return "call_method", name
    return "call_function", other


def target_of(func: Any) -> Any:
    """Return the name of a tensor method, any other function itself."""
    descriptors = (types.MethodDescriptorType, types.WrapperDescriptorType)
    if isinstance(func, descriptors) or str(getattr(func, "__qualname__", "")).startswith("Tensor."):
        return func.__name__
    return func
