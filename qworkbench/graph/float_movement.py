"""Float kernels of operators that move data and compute nothing; they work on any dtype.

Integer execution uses the same functions, since moving integers is the same as moving floats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

Attrs = Mapping[str, Any]

_PAD_MODE = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def slice_(attrs: Attrs, x: Tensor) -> Tensor:
    """Return ``x[starts:ends:steps]`` over ``axes``; negative steps flip."""
    axes = attrs["axes"]
    for axis, start, end, step in zip(axes, attrs["starts"], attrs["ends"], attrs["steps"], strict=True):
        size = x.shape[axis]
        if step > 0:
            index: tuple[Any, ...] = (slice(None),) * axis + (slice(start, end, step),)
            x = x[index]
        else:
            first = start + size if start < 0 else min(start, size - 1)
            last = max(end + size if end < 0 else end, -1)
            x = x.index_select(axis, torch.arange(first, last, step, device=x.device))
    return x


def gather(attrs: Attrs, x: Tensor, indices: Tensor) -> Tensor:
    """Return the entries of `x` at `indices` along ``axis``; 0-d indices drop the axis."""
    axis: int = attrs["axis"]
    if indices.dim() == 0:
        return x.index_select(axis, indices.reshape(1).long() % x.shape[axis]).squeeze(axis)
    index: tuple[Any, ...] = (slice(None),) * axis + (indices.long(),)
    return x[index]


def pad(attrs: Attrs, x: Tensor) -> Tensor:
    """Return `x` with ``pads`` (begins of all axes, then ends) added; negative pads crop."""
    pads, rank = tuple(attrs["pads"]), x.dim()
    pairs = [(pads[axis], pads[axis + rank]) for axis in range(rank)]
    while pairs and pairs[0] == (0, 0):
        pairs.pop(0)
    order = [p for pair in reversed(pairs) for p in pair]
    mode = _PAD_MODE[attrs.get("mode", "constant")]
    if not order:
        return x
    if mode == "constant":
        return F.pad(x, order, value=attrs.get("value", 0.0))
    return F.pad(x, order, mode=mode)


def flatten(attrs: Attrs, x: Tensor) -> Tensor:
    """Return `x` as a matrix: axes before ``axis`` by the rest."""
    rows = 1
    for size in x.shape[: attrs["axis"]]:
        rows *= size
    return x.reshape(rows, -1) if x.numel() else x.flatten(attrs["axis"])


def depth_to_space(attrs: Attrs, x: Tensor) -> Tensor:
    """Return channels spread over space; "CRD" is torch's pixel shuffle, "DCR" takes the block first."""
    block = attrs["blocksize"]
    if attrs.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, block)
    n, c, h, w = x.shape
    y = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return y.reshape(n, c // block**2, h * block, w * block)


def space_to_depth(attrs: Attrs, x: Tensor) -> Tensor:
    """Return space folded into channels: the inverse of :func:`depth_to_space` in the same mode."""
    block = attrs["blocksize"]
    if attrs.get("mode", "DCR") == "CRD":
        return F.pixel_unshuffle(x, block)
    n, c, h, w = x.shape
    y = x.reshape(n, c, h // block, block, w // block, block).permute(0, 3, 5, 1, 2, 4)
    return y.reshape(n, c * block**2, h // block, w // block)


def squeeze(attrs: Attrs, x: Tensor) -> Tensor:
    """Return `x` without the size-1 ``axes`` (every size-1 axis if absent)."""
    axes = attrs.get("axes")
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


def unsqueeze(attrs: Attrs, x: Tensor) -> Tensor:
    """Return `x` with size-1 axes at the positions ``axes`` of the result."""
    for axis in sorted(attrs["axes"]):
        x = x.unsqueeze(axis)
    return x


MOVEMENT: dict[str, Callable[..., Any]] = {
    "Concat": lambda attrs, *xs: torch.cat(xs, attrs["axis"]),
    "Split": lambda attrs, x: torch.split(x, list(attrs["split"]), attrs["axis"]),
    "Slice": slice_,
    "Gather": gather,
    "Reshape": lambda attrs, x: x.reshape(tuple(attrs["shape"])),
    "Flatten": flatten,
    "Transpose": lambda attrs, x: x.permute(tuple(attrs["perm"])),
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Expand": lambda attrs, x: x.expand(tuple(attrs["shape"])),
    "Pad": pad,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
}
