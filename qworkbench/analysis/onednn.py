"""Convolutions of oneDNN with what torch's own call leaves out: a clamp in the same pass, weights laid out once.

Only for float32 in four axes and equal pads; everything else is torch's. Knows arrays and operator attributes only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

Clamp = tuple[str, list[float]]

AVAILABLE = hasattr(torch.ops.mkldnn, "_convolution_pointwise") and hasattr(
    torch.ops.mkldnn, "_reorder_convolution_weight"
)
NO_CLAMP: Clamp = ("none", [])


def takes(attrs: Mapping[str, Any], weight: Tensor) -> bool:
    """Tell whether a convolution with these attributes and this weight can be run here."""
    half = len(attrs["pads"]) // 2
    return (
        AVAILABLE
        and weight.dim() == 4
        and weight.dtype == torch.float32
        and tuple(attrs["pads"][:half]) == tuple(attrs["pads"][half:])
    )


def laid_out(attrs: Mapping[str, Any], weight: Tensor, shape: list[int]) -> Tensor:
    """Return `weight` as oneDNN wants it for inputs of `shape`; other batch sizes work, too."""
    pads, strides, dilations = _window(attrs)
    made: Tensor = torch.ops.mkldnn._reorder_convolution_weight(weight, pads, strides, dilations, attrs["group"], shape)
    return made


def convolution(
    attrs: Mapping[str, Any], x: Tensor, weight: Tensor, bias: Tensor | None, clamp: Clamp = NO_CLAMP
) -> Tensor:
    """Return the clamped convolution of `x`; `weight` is plain or from :func:`laid_out`."""
    pads, strides, dilations = _window(attrs)
    made: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x, weight, bias, pads, strides, dilations, attrs["group"], *clamp, ""
    )
    return made


def _window(attrs: Mapping[str, Any]) -> tuple[list[int], list[int], list[int]]:
    return list(attrs["pads"][:2]), list(attrs["strides"]), list(attrs["dilations"])
