"""Writing an fx graph of operators while a model's own code runs on real data.

``a + b`` becomes a module ``_generated_add_0`` of the container whose code says it, found again by its key
(:mod:`qworkbench.qat.quantization.scopes`). A further round of a dynamic block writes nothing new.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from qworkbench.nn import FloatFunctional
from qworkbench.qat.nn.qat import FunctionCall
from qworkbench.qat.quantization.calls import (
    ITERATED,
    RENAMED,
    arithmetic,
    constant,
    described,
    is_leaf,
    reads,
    target_of,
)
from qworkbench.qat.quantization.region import FUNCTIONS
from qworkbench.qat.quantization.scopes import Frame, Key, ScopedMode


class Recorder(ScopedMode):
    """Writes an fx graph while a model runs; its containers must be the recorder's own."""

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
        name = RENAMED.get(key[1], key[1].removesuffix("_"))
        found = arithmetic(key[1], args, kwargs)
        if found is not None:
            method, operands = found
            child = self._child(owner, key, method.removesuffix("_scalar"), FloatFunctional)
            self._write((path, key), value, operands, {}, "call_method", method, child)
        elif name in FUNCTIONS:
            child = self._child(owner, key, name, lambda: FunctionCall(target_of(func)))
            self._write((path, key), value, args, kwargs, "call_module", child)
        else:
            kind, target = described(name, args)
            if key[1].endswith("_") and not key[1].endswith("__"):
                kwargs = {**kwargs, "inplace": True}
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
        while path and isinstance(self.model.get_submodule(path), ITERATED):
            path = path.rpartition(".")[0]
        host = self.model.get_submodule(path)
        if key not in entries:
            number = 0
            while f"_generated_{kind}_{number}" in host._modules:
                number += 1
            entries[key] = f"_generated_{kind}_{number}"
            host.add_module(entries[key], make())
        return f"{path}.{entries[key]}" if path else entries[key]
