"""Leaving the user's model as it was: mode flags, buffers and plain attributes of every module.

A forward pass caches grids, counts calls, keeps its last features; a fake-tensor pass would leave fakes behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

_REGISTRIES = ("_parameters", "_buffers", "_modules")


def _attributes(module: nn.Module) -> dict[str, Any]:
    return {k: v for k, v in vars(module).items() if k not in _REGISTRIES}


@contextmanager
def preserved(root: nn.Module) -> Iterator[None]:
    """Restore the state of `root` and every module below it on exit.

    Parameters that a lazy module creates on its first call stay: without them the captured weights have no owner.
    """
    lazy = any(isinstance(m, nn.modules.lazy.LazyModuleMixin) for m in root.modules())
    modules = list(root.modules())
    attributes = [_attributes(m) for m in modules]
    containers = [{k: v.copy() for k, v in kept.items() if type(v) in (list, dict, set)} for kept in attributes]
    registries = [{name: dict(vars(m)[name]) for name in _REGISTRIES} for m in modules]
    contents = [
        [(b, b.detach().clone()) for b in m._buffers.values() if b is not None and not _uninitialized(b)]
        for m in modules
    ]
    try:
        yield
    finally:
        for i, module in enumerate(modules):
            if lazy:
                module.training = attributes[i]["training"]
                continue
            for name in set(_attributes(module)) - set(attributes[i]):
                object.__delattr__(module, name)
            vars(module).update(attributes[i])
            for name, content in containers[i].items():
                _refill(attributes[i][name], content)
            for name, entries in registries[i].items():
                registry = vars(module)[name]
                if dict(registry) != entries if name == "_modules" else _differ(registry, entries):
                    registry.clear()
                    registry.update(entries)
            with torch.no_grad():
                for buffer, content in contents[i]:
                    if not torch.equal(buffer, content):
                        buffer.copy_(content)


def _uninitialized(tensor: Any) -> bool:
    return isinstance(tensor, (nn.UninitializedParameter, nn.UninitializedBuffer))


def _differ(registry: dict[str, Any], entries: dict[str, Any]) -> bool:
    return list(registry) != list(entries) or any(registry[k] is not entries[k] for k in entries)


def _refill(container: Any, content: Any) -> None:
    if isinstance(container, list):
        container[:] = content
    else:
        container.clear()
        container.update(content)


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the user's own module behind ``torch.compile``, ``DataParallel`` and ``DistributedDataParallel``."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and type(model).__name__ in ("DataParallel", "DistributedDataParallel"):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner
