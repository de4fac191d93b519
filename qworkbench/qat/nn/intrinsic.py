"""Fused operators in float: what fusion leaves behind, before prepare replaces it.

Names follow :mod:`qworkbench.qat.nn.variants`: ``ConvReLU2d``, ``ConvAddReLU2d``, ``LinearBN`` ...
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from qworkbench.qat.nn.base import OwnModule, TakesAdd
from qworkbench.qat.nn.variants import Variant, variants


class Fused(TakesAdd, OwnModule, nn.Module):
    """``relu(bn(conv(x)) + other)``, with the parts that the class has.

    Parameters
    ----------
    conv : Module
    bn, relu : Module, optional
    """

    variant: ClassVar[Variant]
    bn: nn.Module | None
    relu: nn.Module | None

    def __init__(self, conv: nn.Module, bn: nn.Module | None = None, relu: nn.Module | None = None) -> None:
        super().__init__()
        self.conv = conv
        self.bn = bn
        self.relu = relu

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """Return the output; `other` is the second operand of a fused add."""
        y: Tensor = self.conv(x)
        if self.bn is not None:
            y = self.bn(y)
        if other is not None:
            y = y + other
        return y if self.relu is None else self.relu(y)


FUSED: dict[Variant, type[Fused]] = {
    v: type(v.name, (Fused,), {"variant": v, "__module__": __name__, "__doc__": f"{v.name} in float."})
    for v in variants(bare=False)
}
globals().update({cls.__name__: cls for cls in FUSED.values()})


def fuse(conv: nn.Module, bn: nn.Module | None, relu: nn.Module | None, *, add: bool) -> nn.Module:
    """Return the fused module of these parts, or `conv` itself where nothing is left to fuse."""
    kind = next(cls for cls in type(conv).__mro__ if cls in {v.conv for v in FUSED})
    variant = Variant(kind, bn is not None, add, "" if relu is None else type(relu).__name__)
    return conv if variant not in FUSED else FUSED[variant](conv, bn, relu)
