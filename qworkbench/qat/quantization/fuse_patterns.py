"""What can be fused: patterns of modules and functions, and the handlers that do it.

A pattern is read from the last operator to the first: ``(relu, (add, (bn, conv), MatchAllNode))``. Users add their own
with :func:`register_fusion_pattern`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn

from qworkbench.nn import FloatFunctional
from qworkbench.qat.nn.intrinsic import fuse
from qworkbench.qat.nn.variants import CONVS
from qworkbench.qat.qat_mode import QATMode, get_qat_mode
from qworkbench.qat.quantization.absorb import absorb_bn
from qworkbench.qat.quantization.tracing import is_float_functional


class MatchAllNode:
    """Stands for any operand in a pattern."""


@dataclass
class FusionMatch:
    """Where a pattern was found.

    Attributes
    ----------
    model : GraphModule
    nodes : list of Node
        Matched operators, the last one first.
    others : list of Node
        What ``MatchAllNode`` stood for.
    """

    model: fx.GraphModule
    nodes: list[fx.Node] = field(default_factory=list)
    others: list[Any] = field(default_factory=list)

    def module(self, node: fx.Node) -> nn.Module | None:
        """Return the module that `node` calls, or the owner of the method that it calls."""
        if node.op == "call_module":
            return self.model.get_submodule(str(node.target))
        owner = owner_of(node)
        return None if owner is None else self.model.get_submodule(owner)


Handler = Callable[[FusionMatch], Any]
PATTERNS: dict[Any, Handler] = {}


def register_fusion_pattern(pattern: Any) -> Callable[[Handler], Handler]:
    """Register what handles `pattern`: called with a :class:`FusionMatch`, it rewrites the graph.

    Where several patterns match, the one with the most operators is taken, the later registered one among equals.
    """

    def register(handler: Handler) -> Handler:
        PATTERNS.pop(pattern, None)
        PATTERNS[pattern] = handler
        return handler

    return register


def owner_of(node: fx.Node) -> str | None:
    """Return the path of the module whose method `node` calls (``_generated_add_0`` of ``.add``)."""
    if node.op == "call_method" and isinstance(node.args[0], fx.Node) and node.args[0].op == "get_attr":
        return str(node.args[0].target)
    return None


def operands(node: fx.Node) -> list[Any]:
    """Return the data operands of `node`."""
    return list(node.args[1:] if owner_of(node) is not None else node.args)


def pattern_size(pattern: Any) -> int:
    """Return how many operators a pattern has."""
    if isinstance(pattern, tuple):
        return sum(pattern_size(part) for part in pattern)
    return 0 if pattern is MatchAllNode else 1


def _is(match: FusionMatch, node: fx.Node, key: Any) -> bool:
    if isinstance(key, type):
        return node.op == "call_module" and type(match.module(node)) is key
    if node.op == "call_function":
        return bool(node.target is key)
    if node.op == "call_method":
        owner = match.module(node)
        if owner is None or not is_float_functional(owner):
            return False
        return node.target == key.__name__ and str(key.__qualname__).startswith("FloatFunctional")
    return False


def matches(match: FusionMatch, node: Any, pattern: Any, *, inner: bool = False) -> bool:
    """Tell whether `pattern` ends in `node`, and collect its nodes in `match`."""
    if pattern is MatchAllNode:
        match.others.append(node)
        return isinstance(node, fx.Node)
    root, *inputs = pattern if isinstance(pattern, tuple) else (pattern,)
    if not isinstance(node, fx.Node) or not _is(match, node, root):
        return False
    if inner and len(node.users) != 1:
        return False
    match.nodes.append(node)
    given = operands(node)
    if not inputs:
        return True
    if len(given) < len(inputs):
        return False
    return all(matches(match, value, part, inner=True) for value, part in zip(given, inputs, strict=False))


class ConvBNAddReLUFusion:
    """Fuses a convolution or linear layer with what follows it; its output is the add's first operand.

    Batch normalisation is absorbed, or kept inside the fused module where the QAT mode is ``WithBN``. The fused module
    takes the place of the add, else of the convolution; the other modules become Identity.
    """

    second = False

    def __init__(self, match: FusionMatch) -> None:
        model, nodes = match.model, match.nodes
        tail = nodes[0]
        conv_node = next(n for n in nodes if isinstance(match.module(n), CONVS))
        bn_node = next((n for n in nodes if isinstance(match.module(n), nn.modules.batchnorm._BatchNorm)), None)
        add_node = next((n for n in nodes if owner_of(n) is not None or n.target in (operator.add, torch.add)), None)
        relu_node = next((n for n in nodes if n not in (conv_node, bn_node, add_node)), None)
        conv = match.module(conv_node)
        assert conv is not None
        bn = None if bn_node is None else match.module(bn_node)
        if bn is not None and get_qat_mode() is QATMode.FuseBN:
            conv, bn = absorb_bn(conv, bn), None
        relu = None if relu_node is None else _activation(match, relu_node)
        owner = None if add_node is None else owner_of(add_node)
        path = str(conv_node.target) if owner is None else owner
        for node in (conv_node, bn_node, relu_node):
            if node is not None and node.op == "call_module":
                _set(model, str(node.target), nn.Identity())
        made: Any = fuse(conv, bn, relu, add=add_node is not None)
        if self.second:
            made.swapped = True
        _set(model, path, made)
        named = tail if add_node is None else add_node
        with model.graph.inserting_after(tail):
            call = model.graph.call_module(path, (conv_node.args[0], *match.others))
        tail.replace_all_uses_with(call)
        getter = None if owner is None or add_node is None else add_node.args[0]
        wanted = (conv_node if add_node is None else named).name
        model.meta.setdefault("dropped", []).extend(n.meta["call"] for n in nodes if "call" in n.meta)
        for node in nodes:
            model.graph.erase_node(node)
        if isinstance(getter, fx.Node) and not getter.users:
            model.graph.erase_node(getter)
        call.name = wanted  # free again: the node that had it is gone


class ConvBNAddedReLUFusion(ConvBNAddReLUFusion):
    """The same where the convolution's output is the add's second operand; an addition does not mind the order."""

    second = True


def _activation(match: FusionMatch, node: fx.Node) -> nn.Module:
    module = match.module(node)
    if module is not None:
        return module
    return nn.ReLU6() if node.target is nn.functional.relu6 else nn.ReLU()


def _set(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)


def register_fusion_patterns() -> None:
    """Register Conv2d, ConvTranspose2d, Conv3d, Linear x BN x add x ReLU / ReLU6."""
    bns = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
    adds = (FloatFunctional.add, torch.add, operator.add)
    relus = (nn.ReLU, nn.ReLU6, nn.functional.relu, nn.functional.relu6, torch.relu)
    first, second = ConvBNAddReLUFusion, ConvBNAddedReLUFusion
    for conv in CONVS:
        for source in (conv, *((bn, conv) for bn in bns)):
            if source is not conv:
                register_fusion_pattern(source)(first)
            # of two convolutions that meet in an add, the first operand takes it, as in the emulator's fusion
            sums: list[tuple[Any, Handler]] = [((add, MatchAllNode, source), second) for add in adds]
            sums += [((add, source, MatchAllNode), first) for add in adds]
            for pattern, handler in sums:
                register_fusion_pattern(pattern)(handler)
            for relu in relus:
                register_fusion_pattern((relu, source))(first)
                for pattern, handler in sums:
                    register_fusion_pattern((relu, pattern))(handler)


register_fusion_patterns()
