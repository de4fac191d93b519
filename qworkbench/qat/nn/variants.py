"""The fused operators: which exist, and what they are called (``ConvBNAddReLU2d``, ``LinearReLU6`` ...)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from torch import Tensor, nn

_NAMES: dict[type[nn.Module], tuple[str, str]] = {
    nn.Conv2d: ("Conv", "2d"),
    nn.Conv3d: ("Conv", "3d"),
    nn.ConvTranspose2d: ("ConvTranspose", "2d"),
    nn.Linear: ("Linear", ""),
}
CONVS = tuple(_NAMES)


@dataclass(frozen=True, slots=True)
class Variant:
    """One combination of a multiply-accumulate operator and what is fused behind it.

    Attributes
    ----------
    conv : type
        Conv2d, Conv3d, ConvTranspose2d or Linear.
    bn, add : bool
    relu : "" | "ReLU" | "ReLU6"
    """

    conv: type[nn.Module]
    bn: bool = False
    add: bool = False
    relu: str = ""

    @property
    def name(self) -> str:
        """Class name: ``ConvAddReLU2d``; the bare operator keeps torch's name."""
        stem, suffix = _NAMES[self.conv]
        return f"{stem}{'BN' if self.bn else ''}{'Add' if self.add else ''}{self.relu}{suffix}"


def variants(*, bare: bool) -> Iterator[Variant]:
    """Yield every variant; `bare` includes the operator with nothing behind it."""
    for conv, bn, add, relu in product(CONVS, (False, True), (False, True), ("", "ReLU", "ReLU6")):
        if bare or bn or add or relu:
            yield Variant(conv, bn, add, relu)


def out_first(conv: type[nn.Module], weight: Tensor, groups: int) -> Tensor:
    """Return `weight` with output channels on axis 0, whatever the layout of `conv` is."""
    if conv is not nn.ConvTranspose2d:
        return weight
    inputs, each, *kernel = weight.shape
    split = weight.reshape(groups, inputs // groups, each, *kernel)
    return split.transpose(1, 2).reshape(groups * each, inputs // groups, *kernel)


def own_layout(conv: type[nn.Module], weight: Tensor, groups: int) -> Tensor:
    """Return what :func:`out_first` gave in the layout of `conv` again."""
    if conv is not nn.ConvTranspose2d:
        return weight
    outputs, inputs, *kernel = weight.shape
    split = weight.reshape(groups, outputs // groups, inputs, *kernel)
    return split.transpose(1, 2).reshape(groups * inputs, outputs // groups, *kernel)


GEOMETRY = frozenset(
    "in_channels out_channels in_features out_features kernel_size stride padding dilation groups padding_mode "
    "output_padding transposed _reversed_padding_repeated_twice".split()
)


def bare(variant: Variant, geometry: Any, weight: Any, bias: Any) -> nn.Module:
    """Return torch's own operator with `weight`, `bias` and the attributes `geometry` (a dict)."""
    made: Any = variant.conv.__new__(variant.conv)
    nn.Module.__init__(made)
    made.__dict__.update({name: value for name, value in geometry.items() if name in GEOMETRY})
    made.weight, made.bias = weight, bias
    return made  # type: ignore[no-any-return]
