"""Convolutions and pooling. Pads become begins then ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qworkbench.graph.structure import Slot
from qworkbench.graph.torch_frontend.builder import Builder
from qworkbench.graph.torch_frontend.values import UnsupportedError


def spread(value: Any, count: int) -> tuple[int, ...]:
    """Return `value` once per spatial axis."""
    return (int(value),) * count if isinstance(value, int) else tuple(value) * (count if len(value) == 1 else 1)


def _spatial(b: Builder, x: Slot, count: int) -> None:
    if b.rank(x) != count + 2:
        raise UnsupportedError(f"a {count}-D window over a tensor of rank {b.rank(x)} (no batch axis)")


def _pads(padding: Any, kernel: tuple[int, ...], dilations: tuple[int, ...]) -> tuple[int, ...]:
    if padding == "same":
        totals = [d * (k - 1) for d, k in zip(dilations, kernel, strict=True)]
        return (*(t // 2 for t in totals), *(t - t // 2 for t in totals))
    each = spread(0 if padding == "valid" else padding, len(kernel))
    return each + each


def conv(
    b: Builder,
    input: Slot,
    weight: Slot,
    bias: Slot | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Slot:
    """Return a convolution over one to three spatial axes."""
    kernel = tuple(b.static(d, "the kernel") for d in b.shape(weight)[2:])
    _spatial(b, input, len(kernel))
    dilations = spread(dilation, len(kernel))
    attrs = {
        "kernel_shape": kernel,
        "strides": spread(stride, len(kernel)),
        "pads": _pads(padding, kernel, dilations),
        "dilations": dilations,
        "group": groups,
    }
    return b.emit("Conv", [input, weight, bias], attrs)


def conv_transpose(
    b: Builder,
    input: Slot,
    weight: Slot,
    bias: Slot | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Slot:
    """Return a transposed convolution."""
    kernel = tuple(b.static(d, "the kernel") for d in b.shape(weight)[2:])
    _spatial(b, input, len(kernel))
    pads = spread(padding, len(kernel))
    attrs = {
        "kernel_shape": kernel,
        "strides": spread(stride, len(kernel)),
        "pads": pads + pads,
        "dilations": spread(dilation, len(kernel)),
        "group": groups,
        "output_padding": spread(output_padding, len(kernel)),
    }
    return b.emit("ConvTranspose", [input, weight, bias], attrs)


def max_pool(count: int) -> Callable[..., Any]:
    """Return the handler of maximum pooling over `count` axes."""

    def handler(
        b: Builder,
        input: Slot,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Slot:
        if return_indices:
            raise UnsupportedError("maximum pooling that returns indices")
        _spatial(b, input, count)
        pads = spread(padding, count)
        attrs = {
            "kernel_shape": spread(kernel_size, count),
            "strides": spread(stride or kernel_size, count),
            "pads": pads + pads,
            "dilations": spread(dilation, count),
            "ceil_mode": bool(ceil_mode),
        }
        return b.emit("MaxPool", [input], attrs)

    return handler


def avg_pool(count: int) -> Callable[..., Any]:
    """Return the handler of average pooling over `count` axes."""

    def handler(
        b: Builder,
        input: Slot,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Slot:
        if divisor_override:
            raise UnsupportedError("average pooling with its own divisor")
        _spatial(b, input, count)
        pads = spread(padding, count)
        attrs = {
            "kernel_shape": spread(kernel_size, count),
            "strides": spread(stride or kernel_size, count),
            "pads": pads + pads,
            "ceil_mode": bool(ceil_mode),
            "count_include_pad": bool(count_include_pad),
        }
        return b.emit("AveragePool", [input], attrs)

    return handler


def adaptive_avg_pool(count: int) -> Callable[..., Any]:
    """Return the handler of adaptive averaging: global if the output is one cell, plain windows if sizes divide."""

    def handler(b: Builder, input: Slot, output_size: Any) -> Slot:
        _spatial(b, input, count)
        dims = [b.static(d, "a pooled axis") for d in b.shape(input)[2:]]
        wanted = (output_size,) * count if isinstance(output_size, int) else tuple(output_size)
        sizes = tuple(d if o is None else o for d, o in zip(dims, wanted, strict=True))
        if all(size == 1 for size in sizes):
            return b.emit("GlobalAveragePool", [input])
        if sizes == tuple(dims):
            return b.emit("Identity", [input])
        if any(d % size for d, size in zip(dims, sizes, strict=True)):
            return b.emit("AdaptiveAvgPool", [input], {"output_size": sizes})
        kernel = tuple(d // size for d, size in zip(dims, sizes, strict=True))
        attrs = {"kernel_shape": kernel, "strides": kernel, "pads": (0,) * 2 * count, "ceil_mode": False}
        return b.emit("AveragePool", [input], {**attrs, "count_include_pad": True})

    return handler


def adaptive_max_pool(count: int) -> Callable[..., Any]:
    """Return the handler of adaptive maximum pooling: global, or windows where sizes divide."""

    def handler(b: Builder, input: Slot, output_size: Any, return_indices: bool = False) -> Slot:
        if return_indices:
            raise UnsupportedError("maximum pooling that returns indices")
        _spatial(b, input, count)
        dims = [b.static(d, "a pooled axis") for d in b.shape(input)[2:]]
        wanted = (output_size,) * count if isinstance(output_size, int) else tuple(output_size)
        sizes = tuple(d if o is None else o for d, o in zip(dims, wanted, strict=True))
        if all(size == 1 for size in sizes):
            return b.emit("GlobalMaxPool", [input])
        if any(d % size for d, size in zip(dims, sizes, strict=True)):
            raise UnsupportedError("adaptive maximum pooling with windows of unequal size")
        kernel = tuple(d // size for d, size in zip(dims, sizes, strict=True))
        attrs = {"kernel_shape": kernel, "strides": kernel, "pads": (0,) * 2 * count, "dilations": (1,) * count}
        return b.emit("MaxPool", [input], {**attrs, "ceil_mode": False})

    return handler


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), conv),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), conv_transpose),
    **{f"max_pool{n}d": max_pool(n) for n in (1, 2, 3)},
    **{f"avg_pool{n}d": avg_pool(n) for n in (1, 2, 3)},
    **{f"adaptive_avg_pool{n}d": adaptive_avg_pool(n) for n in (1, 2, 3)},
    **{f"adaptive_max_pool{n}d": adaptive_max_pool(n) for n in (1, 2, 3)},
}
