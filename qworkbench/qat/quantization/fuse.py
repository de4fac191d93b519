"""``fuse_fx``: find the registered patterns in a traced model and let their handlers rewrite it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from torch import fx, nn

from qworkbench.qat.quantization.fuse_patterns import PATTERNS, FusionMatch, matches, owner_of, pattern_size
from qworkbench.qat.quantization.tracing import trace


def fuse_fx(model: nn.Module) -> fx.GraphModule:
    """Return `model` with its fusable operators fused.

    Batch normalisation is absorbed (or kept inside, with ``QATMode.WithBN``); Conv2d, ConvTranspose2d, Conv3d and
    Linear take a following add and ReLU or ReLU6. ``+`` becomes a module ``_generated_add_N``, and modules that were
    fused away an Identity.

    Parameters
    ----------
    model : Module
        Not changed; the result shares its operators, so do not modify the model afterwards.

    Raises
    ------
    QATError
        If fx cannot trace the model.
    """
    made = trace(model)
    fuse_traced(made)
    return made


def fuse_traced(made: fx.GraphModule) -> None:
    """Fuse the traced `made` in place, the last operators first and the largest pattern first."""
    by_root: dict[Any, list[Any]] = {}
    later_first = list(PATTERNS)[::-1]
    for pattern in sorted(later_first, key=pattern_size, reverse=True):
        root = pattern[0] if isinstance(pattern, tuple) else pattern
        by_root.setdefault(root, []).append(pattern)
    uses = Counter(_module_path(node) for node in made.graph.nodes)
    for node in reversed(list(made.graph.nodes)):
        if node.graph is not made.graph or getattr(node, "_erased", False):
            continue
        for pattern in _candidates(made, node, by_root):
            match = FusionMatch(made)
            if not matches(match, node, pattern):
                continue
            single = all(uses[_module_path(n)] == 1 for n in match.nodes if _module_path(n) is not None)
            if single and not _overwritten(match):
                PATTERNS[pattern](match)
                break
    made.graph.lint()
    made.recompile()


def _candidates(made: fx.GraphModule, node: fx.Node, by_root: dict[Any, list[Any]]) -> list[Any]:
    if node.op == "call_module":
        return by_root.get(type(made.get_submodule(str(node.target))), [])
    if node.op == "call_function":
        return by_root.get(node.target, [])
    if owner_of(node) is not None:
        return [
            p for root, patterns in by_root.items() if getattr(root, "__name__", "") == node.target for p in patterns
        ]
    return []


def _overwritten(match: FusionMatch) -> bool:
    """Tell whether something changes in place what the first operator reads, before the last one runs.

    A fused operator runs where the last one stood, so it would read the changed values.
    """
    order = {node: number for number, node in enumerate(match.model.graph.nodes)}
    last, first = match.nodes[0], min(match.nodes, key=order.__getitem__)
    for source in first.all_input_nodes:
        for user in source.users:
            module = match.module(user) if user.op == "call_module" else None
            changes = bool(getattr(module, "inplace", False)) or user.kwargs.get("inplace") is True
            changes |= user.op == "call_method" and str(user.target).endswith("_")
            if changes and order[first] < order[user] < order[last] and user not in match.nodes:
                return True
    return False


def _module_path(node: fx.Node) -> Any:
    """Return the module that `node` calls, itself or through a method; of a recorded function, where it is called."""
    return str(node.target) if node.op == "call_module" else owner_of(node) or node.meta.get("call")
