"""Which modules become one node: torch's own operators, and the stubs of the quantization API by class name.

Containers and the Transformer layers are entered. A user's subclass of an operator class is a leaf if it inherits
``forward``; if it overrides it, its body is traced and its only call of the base's kind takes the module's name.
"""

from __future__ import annotations

from torch import nn

STUBS = {"QuantStub": "QuantizeLinear", "DeQuantStub": "DequantizeLinear"}
FLOAT_FUNCTIONAL = "FloatFunctional"
FLOAT_FUNCTIONAL_METHODS = ("add", "add_scalar", "mul", "mul_scalar", "cat", "add_relu", "matmul", "sub", "sum", "mean",
                            "max", "min", "softmax", "sin", "cos", "exp", "log", "sqrt", "pow")  # fmt: skip

_ENTERED = (
    nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict, nn.Transformer,
    nn.TransformerEncoder, nn.TransformerEncoderLayer, nn.TransformerDecoder, nn.TransformerDecoderLayer,
)  # fmt: skip

NORMS: tuple[type[nn.Module], ...] = (
    nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, nn.LayerNorm, nn.GroupNorm,
    nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d,
)  # fmt: skip
"""Classes whose result has the shape and dtype of their input."""


def operator_class(module: nn.Module) -> type[nn.Module] | None:
    """Return the class of torch that `module` is or derives from; None for containers and the user's own classes."""
    if type(module).__name__ in STUBS:
        return type(module)
    if isinstance(module, _ENTERED):
        return None
    for cls in type(module).__mro__:
        if cls is nn.Module:
            return None
        if cls.__module__.startswith("torch.nn.modules.") and issubclass(cls, nn.Module):
            return cls
    return None


def is_leaf(module: nn.Module) -> bool:
    """Tell whether a call of `module` is written down as one node."""
    cls = operator_class(module)
    if cls is None:
        return False
    if cls is type(module):
        return True
    own = type(module)
    return own.forward is cls.forward and getattr(own, "_conv_forward", None) is getattr(cls, "_conv_forward", None)
