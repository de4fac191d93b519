"""Which nodes of a traced model lie between QuantStub and DeQuantStub, and which of them keep their input's scale."""

from __future__ import annotations

import operator
from typing import Any

from torch import fx, nn

from qworkbench.qat.codes import ABOUT, KEEP_SCALE, MOVES
from qworkbench.qat.nn.quantized.functions import TABLE_FUNCTIONS
from qworkbench.qat.utils.fx_helper import WrappedMethod

KEEPS_SCALE: tuple[type[nn.Module], ...] = (
    nn.Identity, nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.MaxPool2d, nn.Flatten, nn.Unflatten, nn.Dropout, nn.Dropout1d,
    nn.Dropout2d, nn.Dropout3d, nn.Upsample, nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d, nn.PixelShuffle,
    nn.PixelUnshuffle, nn.ChannelShuffle, nn.ZeroPad2d, nn.ConstantPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d,
)  # fmt: skip
UNTOUCHED: tuple[type[nn.Module], ...] = (nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention, nn.modules.loss._Loss)
FUNCTIONS = TABLE_FUNCTIONS | frozenset(
    "mean sum softmax log_softmax layer_norm group_norm instance_norm batch_norm avg_pool2d adaptive_avg_pool2d "
    "div true_divide truediv pow grid_sample normalize var std norm prelu minimum maximum rsub conv2d linear glu "
    "cumsum logit log1p log2 exp2 expm1 atan asin acos atan2 sinh cosh where einsum baddbmm addmm".split()
)


def is_quant_stub(module: object) -> bool:
    """Tell whether `module` is a QuantStub of any package."""
    return type(module).__name__ == "QuantStub"


def is_dequant_stub(module: object) -> bool:
    """Tell whether `module` is a DeQuantStub of any package."""
    return type(module).__name__ == "DeQuantStub"


def function_name(node: fx.Node) -> str:
    """Return the bare name of the function or method that `node` calls."""
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")


def keeps_scale(node: fx.Node, module: nn.Module | None) -> bool:
    """Tell whether the codes that `node` gives have the scale of its first input."""
    if node.op == "call_module":
        return type(module) in KEEPS_SCALE
    if node.op not in ("call_function", "call_method"):
        return False
    name = function_name(node)
    return name in MOVES or name in KEEP_SCALE or node.target is operator.getitem


def region(model: fx.GraphModule) -> set[fx.Node]:
    """Return the nodes whose value is quantized: reached from a QuantStub, not through a DeQuantStub."""
    found: set[fx.Node] = set()
    modules = dict(model.named_modules())
    for node in model.graph.nodes:
        module = modules.get(str(node.target)) if node.op == "call_module" else None
        if is_quant_stub(module):
            found.add(node)
            continue
        if node.op in ("placeholder", "get_attr", "output") or is_dequant_stub(module):
            continue
        if isinstance(module, WrappedMethod) or (node.op == "call_function" and hasattr(node.target, "__wrapped__")):
            continue
        name = function_name(node) if node.op != "call_module" else ""
        if name in ABOUT or name == "getattr":
            continue
        if any(source in found for source in node.all_input_nodes):
            found.add(node)
    return found


def scale_source(node: Any, model: fx.GraphModule) -> nn.Module | None:
    """Return the module whose output scale the value of `node` has, or None."""
    modules = dict(model.named_modules())
    while isinstance(node, fx.Node):
        module = modules.get(str(node.target)) if node.op == "call_module" else None
        if keeps_scale(node, module) or (is_quant_stub(module) and getattr(module, "follows", False)):
            node = node.args[0]
        elif node.op == "call_method" and isinstance(node.args[0], fx.Node) and node.args[0].op == "get_attr":
            return modules.get(str(node.args[0].target))
        else:
            return module
    return None
