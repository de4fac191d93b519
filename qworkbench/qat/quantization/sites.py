"""The operators that qconfig setters decide about: name, kind, what they read, and which of them end the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import fx, nn

from qworkbench.qat.nn.base import OwnModule
from qworkbench.qat.nn.intrinsic import Fused
from qworkbench.qat.nn.qat import FunctionCall
from qworkbench.qat.nn.variants import CONVS
from qworkbench.qat.quantization.fuse_patterns import operands, owner_of
from qworkbench.qat.quantization.region import KEEPS_SCALE, UNTOUCHED, is_dequant_stub, is_quant_stub, scale_source
from qworkbench.qat.quantization.tracing import is_float_functional
from qworkbench.qat.utils.fx_helper import WrappedMethod

Kind = Literal["conv", "matmul", "stub", "other"]


@dataclass(frozen=True)
class Site:
    """One operator that gets a qconfig.

    Attributes
    ----------
    path : str
    module : Module
        In float, possibly fused.
    kind : "conv" | "matmul" | "stub" | "other"
        Linear layers and transposed convolutions are "conv".
    reads : tuple of str
        Sites whose codes it reads, where the graph is known.
    tail : bool
        A convolution whose output goes to a DeQuantStub and nowhere else.
    """

    path: str
    module: nn.Module
    kind: Kind
    reads: tuple[str, ...] = ()
    tail: bool = False


def sites_of_graph(made: fx.GraphModule) -> dict[str, Site]:
    """Return the sites of a fused graph, in its order."""
    modules = dict(made.named_modules())
    names = {id(module): path for path, module in reversed(list(modules.items()))}
    found: dict[str, Site] = {}
    for node in made.graph.nodes:
        path = str(node.target) if node.op == "call_module" else owner_of(node)
        if path is None or path in found or not takes_qconfig(modules.get(path)):
            continue
        module = modules[path]
        kind = kind_of(module, str(node.target) if node.op == "call_method" else "")
        sources = [scale_source(value, made) for value in _nodes(operands(node))]
        reads = tuple(names[id(s)] for s in sources if s is not None and id(s) in names)
        ends = [_module(user, modules) for user in node.users]
        tail = kind == "conv" and bool(ends) and all(is_dequant_stub(end) for end in ends)
        found[path] = Site(path, module, kind, reads, tail)
    return found


def sites_of_modules(model: nn.Module) -> dict[str, Site]:
    """Return the sites of a model without a graph: every operator in it."""
    return {
        path: Site(path, module, kind_of(module, "")) for path, module in model.named_modules() if takes_qconfig(module)
    }


def takes_qconfig(module: nn.Module | None) -> bool:
    """Tell whether `module` is an operator that prepare gives a qconfig."""
    if module is None or is_dequant_stub(module) or isinstance(module, (*KEEPS_SCALE, *UNTOUCHED, WrappedMethod)):
        return False
    if is_quant_stub(module) or isinstance(module, OwnModule) or is_float_functional(module):
        return True
    container = type(module) is nn.Module or isinstance(module, (nn.Sequential, nn.ModuleList, nn.ModuleDict))
    return type(module).__module__.startswith("torch.nn.") and not container


def kind_of(module: nn.Module, method: str) -> Kind:
    """Return the kind of `module`, called by `method` where it is a FloatFunctional."""
    if is_quant_stub(module):
        return "stub"
    if isinstance(module, (Fused, *CONVS)):
        return "conv"
    name = module.function if isinstance(module, FunctionCall) else method
    return "matmul" if name in ("matmul", "bmm", "baddbmm", "einsum") else "other"


def _nodes(values: object) -> list[fx.Node]:
    if isinstance(values, (list, tuple)):
        return [node for value in values for node in _nodes(value)]
    return [values] if isinstance(values, fx.Node) else []


def _module(node: fx.Node, modules: dict[str, nn.Module]) -> nn.Module | None:
    return modules.get(str(node.target)) if node.op == "call_module" else None
