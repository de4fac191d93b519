"""The fused operators: which exist, and what they are called (``ConvBNAddReLU2d``, ``LinearReLU6`` ...)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from torch import nn

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
