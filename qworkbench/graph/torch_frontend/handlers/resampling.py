"""Resize, padding, and moves between channels and space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qworkbench.graph.structure import Slot
from qworkbench.graph.torch_frontend.builder import Builder
from qworkbench.graph.torch_frontend.handlers.windows import adaptive_avg_pool
from qworkbench.graph.torch_frontend.values import UnsupportedError

_MODES = {"nearest": "nearest", "nearest-exact": "nearest", "linear": "linear", "bilinear": "linear",
          "trilinear": "linear", "bicubic": "cubic"}  # fmt: skip
_PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def interpolate(
    b: Builder,
    input: Slot,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Slot:
    """Return a Resize that keeps whether the author gave a size or a scale: both sample differently."""
    sizes = tuple(b.static(d, "a resized axis") for d in b.result()[2:])
    if mode == "area":
        return adaptive_avg_pool(len(sizes))(b, input, sizes)  # type: ignore[no-any-return]
    if antialias or mode not in _MODES:
        raise UnsupportedError(f"interpolation with mode {mode!r}, antialias {antialias}")
    if mode == "nearest":
        coordinates = "asymmetric"
    elif mode == "nearest-exact":
        coordinates = "half_pixel"
    else:
        coordinates = "align_corners" if align_corners else "pytorch_half_pixel"
    scales = None
    if scale_factor is not None and not recompute_scale_factor:
        each = scale_factor if isinstance(scale_factor, Sequence) else (scale_factor,) * len(sizes)
        scales = tuple(float(s) for s in each)
    attrs = {"mode": _MODES[mode], "size": sizes, "scales": scales, "coordinate_transformation_mode": coordinates}
    return b.emit("Resize", [input], attrs)


def pad(b: Builder, input: Slot, pad: Any, mode: str = "constant", value: float | None = None) -> Slot:
    """Return a Pad over all axes; torch counts pairs from the last axis."""
    rank, given = b.rank(input), tuple(pad)
    if any(not isinstance(p, int) or p < 0 for p in given) or mode not in _PAD_MODES:
        raise UnsupportedError(f"padding by {given} with mode {mode!r}")
    begins, ends = [0] * rank, [0] * rank
    for i in range(len(given) // 2):
        begins[rank - 1 - i], ends[rank - 1 - i] = given[2 * i], given[2 * i + 1]
    attrs = {"pads": (*begins, *ends), "mode": _PAD_MODES[mode], "value": float(value or 0.0)}
    return b.emit("Pad", [input], attrs)


def pixel_shuffle(b: Builder, input: Slot, upscale_factor: int) -> Slot:
    """Return channels spread over space, column-row-depth order."""
    if b.rank(input) != 4:
        raise UnsupportedError(f"pixel shuffle of a tensor of rank {b.rank(input)}")
    return b.emit("DepthToSpace", [input], {"blocksize": upscale_factor, "mode": "CRD"})


def pixel_unshuffle(b: Builder, input: Slot, downscale_factor: int) -> Slot:
    """Return space folded into channels: the inverse of :func:`pixel_shuffle`."""
    if b.rank(input) != 4:
        raise UnsupportedError(f"pixel unshuffle of a tensor of rank {b.rank(input)}")
    return b.emit("SpaceToDepth", [input], {"blocksize": downscale_factor, "mode": "CRD"})


def channel_shuffle(b: Builder, input: Slot, groups: int) -> Slot:
    """Return channels interleaved over `groups`: reshape, swap, reshape."""
    batch, channels, *space = b.shape(input)
    each = b.static(channels, "the channel axis") // groups
    split = b.emit("Reshape", [input], {"shape": (batch, groups, each, *space)}, sub="split")
    perm = (0, 2, 1, *range(3, 3 + len(space)))
    swapped = b.emit("Transpose", [split], {"perm": perm}, sub="swap")
    return b.emit("Reshape", [swapped], {"shape": (batch, channels, *space)})


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "interpolate": interpolate,
    "pad": pad,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "channel_shuffle": channel_shuffle,
}
