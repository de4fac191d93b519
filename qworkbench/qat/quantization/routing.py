"""Running a prepared model whose code is the user's: calls of functions go to the modules that stand for them.

Hooks on the containers tell where the code is; a mode sees the functions that it calls and hands those that recording
gave a module to that module. No class and no forward is replaced, so branches, loops and ``self.training`` work as in
the float model, and copies, pickles and DataParallel replicas carry the hooks along.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from qworkbench.qat.quantization.calls import ITERATED, arithmetic, is_leaf
from qworkbench.qat.quantization.recording import Recording
from qworkbench.qat.quantization.scopes import Frame, Key, ScopedMode, active


@dataclass
class EnterScope:
    """Forward pre-hook: an operator or container begins.

    Attributes
    ----------
    leaf : bool
    entries : dict of Key to str
        The child that a call of a function goes to; empty where it is fused away and returns its first operand.
    """

    leaf: bool
    entries: dict[Key, str] = field(default_factory=dict)

    def __call__(self, module: nn.Module, _: Any) -> None:
        """Note it."""
        mode = active()
        if not isinstance(mode, Router):
            if self.leaf or mode is not None:
                return
            mode = Router()
            mode.__enter__()
        if self.leaf or mode.paused:
            mode.paused += 1
        else:
            mode.frames.append(RoutedFrame(module, entries=self.entries))
        mode.depth += 1


class LeaveScope:
    """Forward hook: an operator or container ends, by an exception as well."""

    def __call__(self, module: nn.Module, _: Any, __: Any) -> None:
        """Note it."""
        mode = active()
        if not isinstance(mode, Router) or not mode.depth:
            return
        mode.depth -= 1
        if mode.paused:
            mode.paused -= 1
        else:
            while mode.frames.pop().owner is not module:
                pass
        if not mode.depth:
            mode.__exit__(None, None, None)


@dataclass
class RoutedFrame(Frame):
    """A container that runs, with what its calls go to."""

    entries: dict[Key, str] = field(default_factory=dict)


class Router(ScopedMode):
    """Hands calls to modules while one forward runs."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = 0

    def called(self, _: nn.Module, key: Key, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the module of this call, or `func` where it has none."""
        frame = next(f for f in reversed(self.frames) if isinstance(f, RoutedFrame))
        child = frame.entries.get(key)
        if child is None:
            return func(*args, **kwargs)
        if not child:
            return args[0] if args else kwargs["input"]
        hosts = (f.owner for f in reversed(self.frames) if not isinstance(f.owner, ITERATED))
        module = next((host._modules[child] for host in hosts if child in host._modules), None)
        if module is None:
            return func(*args, **kwargs)
        found = arithmetic(key[1], args, kwargs)
        if found is None:
            return module(*args, **kwargs)
        method, operands = found
        self.paused += 1
        try:
            return getattr(module, method)(*operands)
        finally:
            self.paused -= 1


def route(recording: Recording) -> nn.Module:
    """Return the recorded model with the graph's (by now fused and prepared) operators and the hooks that use them."""
    model, graph = recording.model, recording.graph
    replaced: dict[int, nn.Module] = {}
    for path, module in list(model.named_modules(remove_duplicate=False)):
        if path and is_leaf(module):
            new = replaced.get(id(module)) or _at(graph, path) or module
            new = copy.copy(new) if new is module and id(new) not in replaced else new
            replaced[id(module)] = replaced[id(new)] = new
            model.set_submodule(path, new)
    tables = {scope: dict(entries) for scope, entries in recording.entries.items()}
    for scope, key in graph.meta.get("dropped", ()):
        tables.setdefault(scope, {})[key] = ""
    _attach(model, "", tables)
    return model


def _attach(module: nn.Module, path: str, tables: dict[str, dict[Key, str]]) -> None:
    """Give containers and operators, not the parts of operators, the hooks of a scope."""
    leaf = is_leaf(module)
    if not is_routed(module):
        for name in ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_always_called"):
            module.__dict__[name] = module.__dict__[name].copy()
        module.register_forward_pre_hook(EnterScope(leaf, tables.get(path, {})), prepend=True)
        module.register_forward_hook(LeaveScope(), always_call=True)
    for name, child in module._modules.items() if not leaf else ():
        if child is not None:
            _attach(child, f"{path}.{name}" if path else name, tables)


def is_routed(model: nn.Module) -> bool:
    """Tell whether the code of `model` runs with its calls routed."""
    return any(isinstance(hook, EnterScope) for hook in model._forward_pre_hooks.values())


def _at(graph: nn.Module, path: str) -> nn.Module | None:
    try:
        return graph.get_submodule(path)
    except AttributeError:
        return None
