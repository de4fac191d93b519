"""Float kernels of operators that slide a window or resample: Conv, ConvTranspose, pooling, Resize.

``pads`` hold all begins, then all ends. torch pads symmetrically, so unequal pads are made explicit first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

Attrs = Mapping[str, Any]

_CONV: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED: dict[int, Callable[..., Tensor]] = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
_MAX: dict[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE: dict[int, Callable[..., Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_ADAPTIVE: dict[int, Callable[..., Tensor]] = {
    1: F.adaptive_avg_pool1d,
    2: F.adaptive_avg_pool2d,
    3: F.adaptive_avg_pool3d,
}


def _split_pads(pads: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    half = len(pads) // 2
    return tuple(pads[:half]), tuple(pads[half:])


def _torch_order(begins: tuple[int, ...], ends: tuple[int, ...]) -> list[int]:
    return [p for begin, end in reversed(list(zip(begins, ends, strict=True))) for p in (begin, end)]


def conv(attrs: Attrs, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return the convolution of `x` (N, C, *spatial) with `weight` (out, C/group, *kernel)."""
    begins, ends = _split_pads(attrs["pads"])
    if begins != ends:
        x, begins = F.pad(x, _torch_order(begins, ends)), (0,) * len(begins)
    run = _CONV[weight.dim() - 2]
    return run(x, weight, bias, tuple(attrs["strides"]), begins, tuple(attrs["dilations"]), attrs["group"])


def conv_transpose(attrs: Attrs, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return the transposed convolution of `x` with `weight` (in, out/group, *kernel); unequal pads are cropped."""
    begins, ends = _split_pads(attrs["pads"])
    run = _TRANSPOSED[weight.dim() - 2]
    equal = begins == ends
    y = run(
        x,
        weight,
        bias,
        tuple(attrs["strides"]),
        begins if equal else 0,
        tuple(attrs.get("output_padding") or (0,) * len(begins)),
        attrs["group"],
        tuple(attrs["dilations"]),
    )
    if equal:
        return y
    for axis, (begin, end) in enumerate(zip(begins, ends, strict=True), start=2):
        y = y.narrow(axis, begin, y.shape[axis] - begin - end)
    return y


def max_pool(attrs: Attrs, x: Tensor) -> Tensor:
    """Return the maximum over windows; unequal pads count as minus infinity."""
    begins, ends = _split_pads(attrs["pads"])
    kernel, strides = tuple(attrs["kernel_shape"]), tuple(attrs["strides"])
    if begins != ends or any(2 * b > k for b, k in zip(begins, kernel, strict=True)):
        x, begins = F.pad(x, _torch_order(begins, ends), value=float("-inf")), (0,) * len(begins)
    dilations = tuple(attrs.get("dilations") or (1,) * len(kernel))
    return _MAX[x.dim() - 2](x, kernel, strides, begins, dilations, bool(attrs.get("ceil_mode", False)))


def average_pool(attrs: Attrs, x: Tensor) -> Tensor:
    """Return the mean over windows; with unequal pads the divisor is computed by pooling ones."""
    begins, ends = _split_pads(attrs["pads"])
    kernel, strides = tuple(attrs["kernel_shape"]), tuple(attrs["strides"])
    run = _AVERAGE[x.dim() - 2]
    ceil, count = bool(attrs.get("ceil_mode", False)), bool(attrs.get("count_include_pad", False))
    if begins == ends:
        return run(x, kernel, strides, begins, ceil, count)
    order = _torch_order(begins, ends)
    total = run(F.pad(x, order), kernel, strides, 0, ceil, True)
    if count:
        return total
    return total / run(F.pad(torch.ones_like(x), order), kernel, strides, 0, ceil, True)


def global_average_pool(attrs: Attrs, x: Tensor) -> Tensor:
    """Return the mean over all spatial axes, kept as size 1."""
    del attrs
    return _ADAPTIVE[x.dim() - 2](x, 1)


def global_max_pool(attrs: Attrs, x: Tensor) -> Tensor:
    """Return the maximum over all spatial axes, kept as size 1."""
    del attrs
    return torch.amax(x, tuple(range(2, x.dim())), keepdim=True)


def adaptive_average_pool(attrs: Attrs, x: Tensor) -> Tensor:
    """Return torch's adaptive mean over windows of unequal size."""
    return _ADAPTIVE[x.dim() - 2](x, tuple(attrs["output_size"]))


def _linear_asymmetric(x: Tensor, axis: int, size: int, scale: float | None) -> Tensor:
    """Return `x` interpolated along one axis at ``position / scale``, the border repeated."""
    last = x.shape[axis] - 1
    position = torch.arange(size, device=x.device) / (size / (last + 1) if scale is None else scale)
    first = position.floor().clamp(max=last)
    weight = (position - first).clamp(0, 1).to(x.dtype).reshape(-1, *(1,) * (x.dim() - axis - 1))
    left = x.index_select(axis, first.long())
    return left + (x.index_select(axis, (first.long() + 1).clamp(max=last)) - left) * weight


def resize(attrs: Attrs, x: Tensor) -> Tensor:
    """Return `x` resampled to ``size``, or by ``scales`` where they are what the author gave.

    Size and scales differ for the same output size: 1.6 on 6 pixels samples elsewhere than 9 / 6 does.
    """
    spatial, kind, coordinates = x.dim() - 2, attrs["mode"], attrs["coordinate_transformation_mode"]
    align: bool | None = None
    if kind == "linear" and coordinates == "asymmetric":
        scales = attrs.get("scales") or (None,) * spatial
        for axis, (size, scale) in enumerate(zip(attrs["size"], scales, strict=True), start=2):
            x = _linear_asymmetric(x, axis, size, scale)
        return x
    if kind == "nearest":
        mode = "nearest" if coordinates == "asymmetric" else "nearest-exact"
    else:
        mode = "bicubic" if kind == "cubic" else {1: "linear", 2: "bilinear", 3: "trilinear"}[spatial]
        align = coordinates == "align_corners"
    if attrs.get("scales") is not None:
        return F.interpolate(x, scale_factor=list(attrs["scales"]), mode=mode, align_corners=align)
    return F.interpolate(x, size=list(attrs["size"]), mode=mode, align_corners=align)


WINDOWS: dict[str, Callable[..., Tensor]] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool,
    "GlobalMaxPool": global_max_pool,
    "AdaptiveAvgPool": adaptive_average_pool,
    "Resize": resize,
}
