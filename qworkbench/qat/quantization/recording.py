"""One real run of a model, written down as a graph of its operators, while its code stays the user's.

The graph is what fusion and preparation work on; it is never executed. Branches are those that the example took, loops
have as many rounds as they had then. ``a + b`` becomes a module ``_generated_add_0`` of the container whose code says
it, found again by its key (:mod:`qworkbench.qat.quantization.scopes`).
"""

from __future__ import annotations

import functools
import inspect
import operator
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from qworkbench.nn import FloatFunctional
from qworkbench.qat.errors import QATError
from qworkbench.qat.nn.base import OwnModule
from qworkbench.qat.nn.qat import FunctionCall
from qworkbench.qat.quantization.region import FUNCTIONS
from qworkbench.qat.quantization.scopes import Frame, Key, ScopedMode
from qworkbench.qat.quantization.tracing import METHODS, is_float_functional
from qworkbench.qat.utils.fx_helper import skeleton

_BINARY = {
    "add": "add", "__add__": "add", "__radd__": "add", "__iadd__": "add", "add_": "add",
    "sub": "sub", "__sub__": "sub", "__isub__": "sub", "sub_": "sub",
    "mul": "mul", "__mul__": "mul", "__rmul__": "mul", "__imul__": "mul", "mul_": "mul", "multiply": "mul",
    "matmul": "matmul", "__matmul__": "matmul", "__rmatmul__": "matmul", "bmm": "matmul",
}  # fmt: skip
_RENAMED = {
    "__truediv__": "div", "__rtruediv__": "rdiv", "__neg__": "neg", "__pow__": "pow", "__rsub__": "rsub",
    "__getitem__": "getitem",
}  # fmt: skip


def is_leaf(module: nn.Module) -> bool:
    """Tell whether `module` is one operator: torch's own, a stub, a FloatFunctional, one of this package's."""
    named = type(module).__name__ in ("QuantStub", "DeQuantStub")
    container = type(module) is nn.Module or isinstance(module, (nn.Sequential, nn.ModuleList, nn.ModuleDict))
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
        floats = left.is_floating_point() and right.is_floating_point()
        return (method, (left, right)) if floats else None
    tensor, number = (left, right) if isinstance(left, Tensor) else (right, left)
    if (
        not isinstance(tensor, Tensor)
        or not tensor.is_floating_point()
        or isinstance(number, bool)
        or not isinstance(number, (int, float))
        or method == "matmul"
    ):
        return None
    if method == "sub":
        return ("add_scalar", (tensor, -number)) if tensor is left else None
    return f"{method}_scalar", (tensor, number)


@dataclass
class Recording:
    """What one run showed.

    Attributes
    ----------
    model : Module
        Containers of the user's classes around the original operators, and the generated modules.
    graph : GraphModule
        Of the operators; shares them.
    entries : dict of str to dict of Key to str
        Per container (by path), the child that each call of a function goes to.
    calls : dict of str to int
        How often each operator was called; 0 for those that were not.
    opaque : set of str
        Operators that only wrapped code calls.
    """

    model: nn.Module
    graph: fx.GraphModule
    entries: dict[str, dict[Key, str]]
    calls: dict[str, int]
    opaque: set[str]


class Recorder(ScopedMode):
    """Writes an fx graph while a model runs; its containers must be the recorder's own (see :func:`record`)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.graph = fx.Graph()
        self.paths = {id(module): path for path, module in model.named_modules()}
        self.constants = {id(t): n for n, t in (*model.named_parameters(), *model.named_buffers())}
        self.values: dict[int, tuple[Tensor, fx.Node]] = {}
        self.entries: dict[str, dict[Key, str]] = {}
        self.nodes: dict[tuple[str, Any], fx.Node] = {}
        self.calls = {path: 0 for path, m in model.named_modules() if path and is_leaf(m)}
        self.opaque: set[str] = set()

    def take_inputs(self, value: Any) -> None:
        """Give each tensor that enters a placeholder."""
        for number, leaf in enumerate(pytree.tree_leaves(value)):
            if isinstance(leaf, Tensor) and id(leaf) not in self.values:
                self.values[id(leaf)] = (leaf, self.graph.placeholder(f"input_{number}"))

    def finish(self, value: Any) -> None:
        """Write what the model returns."""
        leaves = [self._operand(leaf) for leaf in pytree.tree_leaves(value) if isinstance(leaf, Tensor)]
        self.graph.output(tuple(leaves))

    def called(self, owner: nn.Module, key: Key, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a function of the model's own code and write it down."""
        value = func(*args, **kwargs)
        if not any(isinstance(leaf, Tensor) for leaf in pytree.tree_leaves(value)):
            self._read(args)
            return value
        if not any(isinstance(leaf, Tensor) for leaf in pytree.tree_leaves((args, kwargs))):
            return value
        path = self.paths[id(owner)]
        name = _RENAMED.get(key[1], key[1].removesuffix("_"))
        found = arithmetic(key[1], args, kwargs)
        if found is not None:
            method, operands = found
            child = self._child(owner, key, method.removesuffix("_scalar"), FloatFunctional)
            self._write((path, key), value, operands, {}, "call_method", method, child)
        elif name in FUNCTIONS:
            child = self._child(owner, key, name, lambda: FunctionCall(target_of(func)))
            self._write((path, key), value, args, kwargs, "call_module", child)
        else:
            kind, target = _described(name, args)
            node = self._write((path, key), value, args, kwargs, kind, target)
            node.meta["call"] = (path, key)
        return value

    def looked_at(self, tensor: Any) -> None:
        """Note that the code reads the shape of `tensor`."""
        self._read((tensor,))

    def module(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], call: Callable[..., Any]) -> Any:
        """Run an operator or a container; an operator is written down."""
        path = self.paths.get(id(module))
        if path is None:
            return call(module, *args, **kwargs)
        if not is_leaf(module):
            self.frames.append(Frame(module))
            try:
                return call(module, *args, **kwargs)
            finally:
                self.frames.pop()
        self.calls[path] = self.calls.get(path, 0) + 1
        if self.paused:
            self.opaque.add(path)
            return call(module, *args, **kwargs)
        self.paused += 1
        try:
            value = call(module, *args, **kwargs)
        finally:
            self.paused -= 1
        self._write((path, "module"), value, args, kwargs, "call_module", path)
        return value

    def method(self, path: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], call: Any) -> Any:
        """Run a method of a FloatFunctional and write it down."""
        self.calls[path] = self.calls.get(path, 0) + 1
        if self.paused:
            self.opaque.add(path)
            return call(*args, **kwargs)
        self.paused += 1
        try:
            value = call(*args, **kwargs)
        finally:
            self.paused -= 1
        self._write((path, name), value, args, kwargs, "call_method", name, path)
        return value

    def _operand(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            if id(value) not in self.values:
                path = self.constants.get(id(value))
                made = self.graph.call_function(constant) if path is None else self.graph.get_attr(path)
                self.values[id(value)] = (value, made)
            return self.values[id(value)][1]
        return value if isinstance(value, (int, float, bool, str, slice, type(None))) else type(value).__name__

    def _result(self, value: Any, node: fx.Node) -> None:
        if isinstance(value, Tensor):
            self.values[id(value)] = (value, node)
        elif isinstance(value, (tuple, list)):
            for number, part in enumerate(value):
                if isinstance(part, Tensor):
                    picked = self.graph.call_function(operator.getitem, (node, number))
                    self.values[id(part)] = (part, picked)

    def _read(self, value: Any) -> None:
        for leaf in pytree.tree_leaves(value):
            if isinstance(leaf, Tensor) and id(leaf) in self.values:
                self.graph.call_function(reads, (self.values[id(leaf)][1],))

    def _write(
        self, where: tuple[str, Any], value: Any, args: Any, kwargs: Any, op: str, target: Any, owner: str | None = None
    ) -> fx.Node:
        nodes = tuple(pytree.tree_map(self._operand, list(args)))
        named = pytree.tree_map(self._operand, dict(kwargs))
        first = self.nodes.get(where)
        if first is not None and self._again():
            operands = [n for n in pytree.tree_leaves((nodes, named)) if isinstance(n, fx.Node)]
            for node in operands:
                if node not in first.all_input_nodes:
                    self.graph.call_function(reads, (node,))
            self._result(value, first)
            return first
        if owner is not None:
            nodes = (self.graph.get_attr(owner), *nodes)
        made = self.graph.create_node(op, target, nodes, named)
        self.nodes[where] = made
        self._result(value, made)
        return made

    def _again(self) -> bool:
        """Tell whether this is a further round of a dynamic block."""
        return any(frame.block and self.entered[id(frame.owner), frame.block] > 1 for frame in self.frames)

    def _child(self, owner: nn.Module, key: Key, kind: str, make: Callable[[], nn.Module]) -> str:
        path = self.paths[id(owner)]
        entries = self.entries.setdefault(path, {})
        if key not in entries:
            number = 0
            while f"_generated_{kind}_{number}" in owner._modules:
                number += 1
            entries[key] = f"_generated_{kind}_{number}"
            owner.add_module(entries[key], make())
        return f"{path}.{entries[key]}" if path else entries[key]


def constant() -> None:
    """Stand in the graph for a tensor that the model's code makes."""


def reads(_: Any) -> None:
    """Stand in the graph for code that looks at a tensor."""


def other(*_: Any, **__: Any) -> None:
    """Stand in the graph for a function that takes no tensor first."""


def _described(name: str, args: tuple[Any, ...]) -> tuple[str, Any]:
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


def own_containers(model: nn.Module) -> nn.Module:
    """Return `model` with containers of its own around the same operators; their hooks and tables are copies."""
    memo: dict[int, nn.Module] = {}
    made = skeleton(model, is_leaf, memo)
    for container in {id(m): m for m in memo.values() if not is_leaf(m)}.values():
        for name in ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_always_called"):
            container.__dict__[name] = container.__dict__[name].copy()
    return made


def record(model: nn.Module, example_inputs: Any) -> Recording:
    """Run `model` once on `example_inputs` and return what it did; parameters, buffers and random state stay.

    Parameters
    ----------
    model : Module
        Not changed.
    example_inputs : Any
        A tuple or list of positional arguments, a dict of keyword arguments where ``forward`` has such names, or the
        one argument.

    Raises
    ------
    QATError
        If the model does not run on them.
    """
    runtime = own_containers(model)
    args, kwargs = call_arguments(model, example_inputs)
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    recorder = Recorder(runtime)
    recorder.take_inputs((args, kwargs))
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), _watching(recorder), recorder:
            result = runtime(*args, **kwargs)
    except Exception as error:
        raise QATError(
            f"{type(model).__name__} does not run on the example inputs: {str(error).strip() or type(error).__name__}; "
            "give what forward takes, a tuple for several arguments"
        ) from error
    finally:
        for buffer, before in buffers:
            buffer.copy_(before)
    recorder.finish(result)
    made = fx.GraphModule(runtime, recorder.graph, class_name=type(model).__name__)
    return Recording(runtime, made, recorder.entries, recorder.calls, recorder.opaque)


def call_arguments(model: nn.Module, given: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and the keyword arguments that example inputs stand for."""
    if isinstance(given, (tuple, list)):
        return tuple(given), {}
    if isinstance(given, dict):
        names = inspect.signature(model.forward).parameters
        if given and set(given) <= set(names):
            return (), dict(given)
    return (given,), {}


@contextmanager
def _watching(recorder: Recorder) -> Iterator[None]:
    """Let `recorder` see every module call and every method of a FloatFunctional."""
    original = nn.Module.__call__
    shadowed: list[tuple[nn.Module, str]] = []

    def call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return recorder.module(module, args, kwargs, original)

    try:
        for path, module in recorder.model.named_modules():
            for name in METHODS if is_float_functional(module) else ():
                if hasattr(module, name):
                    module.__dict__[name] = functools.partial(_method, recorder, path, name, getattr(module, name))
                    shadowed.append((module, name))
        nn.Module.__call__ = call  # type: ignore[method-assign]
        yield
    finally:
        nn.Module.__call__ = original  # type: ignore[method-assign]
        for module, name in shadowed:
            module.__dict__.pop(name, None)


def _method(recorder: Recorder, path: str, name: str, call: Any, *args: Any, **kwargs: Any) -> Any:
    return recorder.method(path, name, args, kwargs, call)
