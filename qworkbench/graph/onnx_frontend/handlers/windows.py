"""Convolutions and pooling: pads in all their spellings become begins and ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qworkbench.graph.onnx_frontend.call import Call
from qworkbench.graph.onnx_frontend.importer import UnsupportedError


def _same(c: Call, kernel: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...]) -> tuple[int, ...]:
    """Return the pads of auto_pad SAME: as many outputs as ``ceil(size / stride)``, the odd pixel by the mode."""
    begins, ends = [], []
    for axis, (k, s, d) in enumerate(zip(kernel, strides, dilations, strict=True), start=2):
        size = c.dim(0, axis)
        total = max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
        small = total // 2
        begins.append(total - small if c.attr("auto_pad") == "SAME_LOWER" else small)
        ends.append(small if c.attr("auto_pad") == "SAME_LOWER" else total - small)
    return (*begins, *ends)


def _window(c: Call, kernel: tuple[int, ...]) -> dict[str, Any]:
    """Return kernel, strides, dilations and pads of a window of rank ``len(kernel)``."""
    ones = (1,) * len(kernel)
    strides, dilations = c.attr("strides", ones), c.attr("dilations", ones)
    mode = c.attr("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        pads = _same(c, kernel, strides, dilations)
    else:
        pads = (0,) * (2 * len(kernel)) if mode == "VALID" else c.attr("pads", (0,) * (2 * len(kernel)))
    return {"kernel_shape": kernel, "strides": strides, "pads": pads, "dilations": dilations}


def conv(c: Call) -> str:
    """Return Conv of any spatial rank from 1 to 3."""
    kernel = tuple(c.sizes(1)[0][2:])
    if not 1 <= len(kernel) <= 3:
        raise UnsupportedError(f"a convolution over {len(kernel)} axes")
    return c.emit("Conv", [c.x(0), c.x(1), c.optional(2)], conv_attributes(c, kernel))


def conv_attributes(c: Call, kernel: tuple[int, ...]) -> dict[str, Any]:
    """Return the attributes of a Conv with this `kernel`."""
    return {**_window(c, kernel), "group": c.attr("group", 1)}


def conv_transpose(c: Call) -> str:
    """Return ConvTranspose; ``output_shape`` and auto_pad become pads."""
    kernel = tuple(c.sizes(1)[0][2:])
    if not 1 <= len(kernel) <= 3:
        raise UnsupportedError(f"a convolution over {len(kernel)} axes")
    window = _window_transposed(c, kernel)
    return c.emit("ConvTranspose", [c.x(0), c.x(1), c.optional(2)], {**window, "group": c.attr("group", 1)})


def _window_transposed(c: Call, kernel: tuple[int, ...]) -> dict[str, Any]:
    rank, ones = len(kernel), (1,) * len(kernel)
    strides, dilations = c.attr("strides", ones), c.attr("dilations", ones)
    extra = c.attr("output_padding", (0,) * rank)
    mode, wanted = c.attr("auto_pad", "NOTSET"), c.attr("output_shape")
    if wanted is None and mode in ("SAME_UPPER", "SAME_LOWER"):
        wanted = tuple(c.dim(0, 2 + i) * strides[i] for i in range(rank))
    if wanted is None:
        pads = (0,) * (2 * rank) if mode == "VALID" else c.attr("pads", (0,) * (2 * rank))
    else:
        begins, ends = [], []
        for i, size in enumerate(wanted[-rank:]):
            full = strides[i] * (c.dim(0, 2 + i) - 1) + extra[i] + (kernel[i] - 1) * dilations[i] + 1
            total = full - size
            if total < 0:
                raise UnsupportedError("a transposed convolution that is larger than its window reaches")
            small, large = total // 2, total - total // 2
            begins.append(small if mode == "SAME_UPPER" else large)
            ends.append(large if mode == "SAME_UPPER" else small)
        pads = (*begins, *ends)
    return {
        "kernel_shape": kernel, "strides": strides, "pads": pads, "dilations": dilations, "output_padding": extra,
    }  # fmt: skip


def max_pool(c: Call) -> str | tuple[str, ...]:
    """Return MaxPool; where the positions of the maxima are read it is carried."""
    window = {**_window(c, c.attr("kernel_shape")), "ceil_mode": _ceil(c)}
    if not c.used(1):
        return c.emit("MaxPool", [c.x(0)], window)
    half = len(window["kernel_shape"])
    begins, ends = window["pads"][:half], window["pads"][half:]
    if begins != ends or c.attr("storage_order", 0):
        raise UnsupportedError("max pooling whose positions are used, with unequal pads or in column order")
    parts = (window["kernel_shape"], window["strides"], begins, window["dilations"], window["ceil_mode"])
    why = {"why": "the positions of the maxima are read"}
    return c.carry("Opaque", "MaxPool", [c.x(0)], why, *parts, outputs=2)


def average_pool(c: Call) -> str:
    """Return AveragePool; dilated windows have no operator."""
    return c.emit("AveragePool", [c.x(0)], average_attributes(c))


def average_attributes(c: Call) -> dict[str, Any]:
    """Return the attributes of an AveragePool."""
    window = _window(c, c.attr("kernel_shape"))
    if set(window.pop("dilations")) != {1}:
        raise UnsupportedError("average pooling over a dilated window")
    counted = bool(c.attr("count_include_pad", 0))
    return {**window, "ceil_mode": _ceil(c), "count_include_pad": counted}


def _ceil(c: Call) -> bool:
    return bool(c.attr("ceil_mode", 0))


def _global(c: Call) -> str:
    return c.emit(c.op, [c.x(0)])


HANDLERS: dict[str, Callable[[Call], Any]] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": _global,
    "GlobalMaxPool": _global,
}
