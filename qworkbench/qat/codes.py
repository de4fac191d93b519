"""Functions that keep the scale of their input: they act on codes, by the emulator's kernels where they compute.

Knows plain integer tensors and numbers. A handler returns None where it has no integer form for its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (its usual name)

from qworkbench.numerics.arithmetic import ConvGeometry
from qworkbench.numerics.resize import linear_index, nearest_index

BILINEAR_BITS = 8

ABOUT = frozenset("size dim numel ndimension stride is_floating_point is_contiguous __len__ element_size".split())
MOVES = frozenset(
    "reshape view reshape_as view_as flatten unflatten permute transpose t swapaxes swapdims movedim moveaxis squeeze "
    "unsqueeze __getitem__ chunk split tensor_split unbind narrow select index_select expand expand_as repeat tile "
    "flip roll rot90 contiguous clone detach pixel_shuffle pixel_unshuffle channel_shuffle to cpu cuda amax amin "
    "gather take_along_dim alias unfold".split()
)


def relu(q: Tensor, _: float, inplace: bool = False) -> Tensor:  # noqa: ARG001
    """Return ``max(q, 0)``."""
    return q.clamp(min=0)


def hardtanh(q: Tensor, scale: float, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:  # noqa: ARG001
    """Return ``clamp(q, round(min / s), round(max / s))``."""
    info = torch.iinfo(q.dtype)
    low, high = (int(np.clip(np.rint(limit / scale), info.min, info.max)) for limit in (min_val, max_val))
    return q.clamp(low, high)


def relu6(q: Tensor, scale: float, inplace: bool = False) -> Tensor:
    """Return ``clamp(q, 0, round(6 / s))``."""
    return hardtanh(q, scale, 0.0, 6.0, inplace)


def clamp(q: Tensor, scale: float, min: Any = None, max: Any = None) -> Tensor | None:  # noqa: A002
    """Return ``clamp(q, round(min / s), round(max / s))``; None for bounds that are tensors."""
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        return None
    return hardtanh(q, scale, -np.inf if min is None else min, np.inf if max is None else max)


def dropout(q: Tensor, _: float, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor | None:  # noqa: ARG001
    """Return `q`; dropout does nothing in a deployed model."""
    return None if training and p > 0 else q


def max_pool2d(
    q: Tensor,
    _: float,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | None:
    """Return the largest code of each window."""
    if return_indices or q.ndim != 4:
        return None
    from qworkbench.emulator import kernels

    geometry = window(kernel_size, stride, padding, dilation)
    return torch.from_numpy(kernels.max_pool2d(q.cpu().contiguous().numpy(), geometry, ceil_mode)).to(q.device)


def interpolate(
    q: Tensor,
    _: float,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor | None:
    """Return codes of the nearest neighbours, or four codes weighed in fixed point (bilinear)."""
    if q.ndim != 4 or mode not in ("nearest", "bilinear") or antialias:
        return None
    from qworkbench.emulator import kernels

    before = (int(q.shape[2]), int(q.shape[3]))
    shape = F.interpolate(torch.empty(1, 1, *before), size=size, scale_factor=scale_factor).shape
    after = (int(shape[2]), int(shape[3]))
    factors: Sequence[float | None] = (None, None)
    if scale_factor is not None and not recompute_scale_factor:
        factors = pair(scale_factor)
    array = q.cpu().contiguous().numpy()
    if mode == "nearest":
        index = [nearest_index(a, b, "asymmetric", s) for a, b, s in zip(before, after, factors, strict=True)]
        return torch.from_numpy(kernels.resize_nearest(array, after, *index)).to(q.device)
    how = "align_corners" if align_corners else "half_pixel"
    rows, columns = (linear_index(a, b, how, s, BILINEAR_BITS) for a, b, s in zip(before, after, factors, strict=True))
    return torch.from_numpy(kernels.resize_bilinear(array, *rows, *columns, BILINEAR_BITS)).to(q.device)


def pad(
    q: Tensor, scale: float, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor | None:
    """Return `q` padded by the code of `value`, or by its own codes."""
    if mode != "constant":
        return F.pad(q.to(torch.float32), pad, mode).to(q.dtype)
    info = torch.iinfo(q.dtype)
    return F.pad(q, pad, mode, int(np.clip(np.rint((value or 0.0) / scale), info.min, info.max)))


def pair(value: Any) -> tuple[Any, Any]:
    """Return `value` for height and width."""
    return (value[0], value[-1]) if isinstance(value, (tuple, list)) else (value, value)


def window(kernel_size: Any, stride: Any, padding: Any, dilation: Any = 1) -> ConvGeometry:
    """Return the window of a torch pooling call."""
    kernel = pair(kernel_size)
    top, left = pair(padding)
    strides = kernel if stride is None or stride == [] else pair(stride)
    return ConvGeometry(kernel, strides, (top, left, top, left), pair(dilation))


KEEP_SCALE: Mapping[str, Callable[..., Any]] = {
    "relu": relu,
    "relu_": relu,
    "relu6": relu6,
    "hardtanh": hardtanh,
    "clamp": clamp,
    "clip": clamp,
    "dropout": dropout,
    "feature_dropout": dropout,
    "dropout2d": dropout,
    "max_pool2d": max_pool2d,
    "interpolate": interpolate,
    "pad": pad,
}
