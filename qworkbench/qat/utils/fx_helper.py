"""``wrap``: keep a function or method as it is; fx does not look into its body.

Modules that a wrapped method calls can still be given qconfigs and are replaced by prepare and convert, since the
method then runs on an owner that holds the replaced modules.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn

from qworkbench.graph.wrap import wrap as graph_wrap


class WrappedMethod(nn.Module):
    """A wrapped method with the object that it belongs to.

    Parameters
    ----------
    function : callable
        The plain function behind the method.
    owner : Module
        Of the user's class; shares its operators with the traced model, not its containers.
    path : str
        Where the owner is in the model; empty for the model itself.
    """

    def __init__(self, function: Callable[..., Any], owner: nn.Module, path: str = "") -> None:
        super().__init__()
        self.function = function
        self.path = path
        self.owner = owner

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the method on its owner."""
        return self.function(self.owner, *args, **kwargs)


def wrap(*_: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a function or a method whose body fx shall leave alone.

    Examples
    --------
    >>> class Detector(nn.Module):
    ...     @wrap()
    ...     def _post_process(self, boxes): ...
    """
    from qworkbench.qat.quantization.scopes import paused

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        plain = graph_wrap(function)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            tracer = _tracer(args) or _tracer(tuple(kwargs.values()))
            if tracer is None:
                with paused():
                    return plain(*args, **kwargs)
            return tracer.wrapped(call, args, kwargs)

        return call

    if len(_) == 1 and callable(_[0]):
        return decorate(_[0])
    return decorate


def _tracer(args: tuple[Any, ...]) -> Any:
    """Return the tracer of the first proxy inside `args` that knows wrapped calls."""
    found: list[Any] = []

    def look(value: Any) -> Any:
        if isinstance(value, fx.Proxy) and hasattr(value.tracer, "wrapped"):
            found.append(value.tracer)
        return value

    torch.utils._pytree.tree_map(look, args)
    return found[0] if found else None


def skeleton(module: nn.Module, keep: Callable[[nn.Module], bool], memo: dict[int, nn.Module]) -> nn.Module:
    """Return `module` with new containers around the same operators (those for which `keep` is true)."""
    if id(module) in memo:
        return memo[id(module)]
    if keep(module):
        return memo.setdefault(id(module), module)
    made = module.__class__.__new__(module.__class__)
    memo[id(module)] = made
    made.__dict__ = dict(module.__dict__)
    made._modules = {
        name: None if child is None else skeleton(child, keep, memo) for name, child in module._modules.items()
    }
    return made
