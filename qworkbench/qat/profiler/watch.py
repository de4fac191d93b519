"""What every operator of a model computes in one run: float, prepared or converted, GraphModule or user's code."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from qworkbench.qat.profiler.lineage import Rankings
from qworkbench.qat.qtensor import QTensor
from qworkbench.qat.quantization.calls import is_leaf
from qworkbench.qat.quantization.fake_quantize import FakeQuantize
from qworkbench.qat.quantization.recording import call_arguments
from qworkbench.qat.quantization.tracing import METHODS, is_float_functional


@dataclass(frozen=True, eq=False)
class Call:
    """One call of one operator.

    Attributes
    ----------
    name : str
        The operator's path; ``path(1)`` from its second call on.
    path : str
    module : Module
    method : str
        Of a FloatFunctional; else empty.
    inputs : tuple of Tensor
    output : Tensor or None
        The first tensor that it returned.
    """

    name: str
    path: str
    module: nn.Module
    method: str
    inputs: tuple[Tensor, ...]
    output: Tensor | None

    @property
    def kind(self) -> str:
        """Class of the operator, and the method of a FloatFunctional."""
        module = getattr(self.module, "operation", self.module)
        cls = type(module)
        name = f"{cls.__module__}.{cls.__qualname__}"
        return f"{name}.{self.method}" if self.method else name


def real(tensor: Tensor) -> Tensor:
    """Return `tensor` in float, off the graph of gradients."""
    return (tensor.dequantize() if isinstance(tensor, QTensor) else tensor).detach()


@contextmanager
def watching(model: nn.Module) -> Iterator[list[Call]]:
    """Collect the calls of the operators of `model`, in their order, while its forward runs."""
    calls: list[Call] = []
    counts: dict[str, int] = {}
    handles: list[Any] = []
    shadowed: list[tuple[nn.Module, str]] = []

    def note(path: str, module: nn.Module, method: str, inputs: Any, output: Any) -> None:
        number = counts.get(path, 0)
        counts[path] = number + 1
        given = tuple(t for t in pytree.tree_leaves(inputs) if isinstance(t, Tensor))
        first = next((t for t in pytree.tree_leaves(output) if isinstance(t, Tensor)), None)
        calls.append(Call(f"{path}({number})" if number else path, path, module, method, given, first))

    def method(path: str, module: nn.Module, name: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        output = call(*args, **kwargs)
        note(path, module, name, (args, kwargs), output)
        return output

    def hook(path: str, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        note(path, module, "", (args, kwargs), output)

    try:
        for path, module in operators(model):
            if not is_float_functional(module):
                handles.append(module.register_forward_hook(functools.partial(hook, path), with_kwargs=True))
                continue
            for name in METHODS:
                if hasattr(module, name):
                    module.__dict__[name] = functools.partial(method, path, module, name, getattr(module, name))
                    shadowed.append((module, name))
        yield calls
    finally:
        for handle in handles:
            handle.remove()
        for module, name in shadowed:
            module.__dict__.pop(name, None)


def operators(model: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the operators of `model` with their paths, without looking into them."""
    seen: set[int] = set()

    def walk(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
        for name, child in module._modules.items():
            if child is None or id(child) in seen:
                continue
            seen.add(id(child))
            below = f"{path}.{name}" if path else name
            if is_leaf(child):
                yield below, child
            else:
                yield from walk(child, below)

    yield from walk(model, prefix)


def arguments(model: nn.Module, data: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments that one item of a data loader stands for; labels that forward does not take are left."""
    args, kwargs = call_arguments(model, data)
    takes = list(inspect.signature(model.forward).parameters.values())
    if any(p.kind is p.VAR_POSITIONAL for p in takes):
        return args, kwargs
    return args[: sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in takes)], kwargs


def outputs_of(model: nn.Module, data: Any, post_process: Callable[[Any], Any] | None = None) -> dict[str, Tensor]:
    """Return the comparable outputs of `model` on one item, by name (``0-0``, ``0-1`` ...), in float."""
    args, kwargs = arguments(model, data)
    with torch.no_grad(), Rankings() as rankings:
        found = model(*args, **kwargs)
        found = found if post_process is None else post_process(found)
    tensors: dict[str, Tensor] = {}
    seen: set[int] = set()
    for number, leaf in enumerate(t for t in pytree.tree_leaves(found) if isinstance(t, Tensor)):
        tensor = rankings.source.get(id(leaf), (leaf, leaf))[1]
        value = real(tensor)
        if value.is_floating_point() and id(tensor) not in seen:
            seen.add(id(tensor))
            tensors[f"0-{number}"] = value.float()
    return tensors


@contextmanager
def kept_states(model: nn.Module) -> Iterator[list[tuple[str, FakeQuantize]]]:
    """Yield the fake quantization of `model` by name, and put its states, the mode and BN's buffers back."""
    fakes = [(name, module) for name, module in model.named_modules() if isinstance(module, FakeQuantize)]
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    model.eval()
    try:
        yield fakes
    finally:
        for module, mode in modes:
            module.training = mode
        for buffer, before in buffers:
            buffer.copy_(before)
