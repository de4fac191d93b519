"""Leaf modules: the same operators as their functions, with weights by their path in the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qworkbench.graph.structure import Slot
from qworkbench.graph.torch_frontend.builder import Builder
from qworkbench.graph.torch_frontend.handlers import (
    activations,
    elementwise,
    indexing,
    norms,
    resampling,
    shapes,
    windows,
)
from qworkbench.graph.torch_frontend.leaves import STUBS
from qworkbench.graph.torch_frontend.values import UnsupportedError

Module = Any
_A, _S = activations.FUNCTIONS, shapes.FUNCTIONS


def _conv(b: Builder, m: Module, input: Slot) -> Slot:
    padding = m.padding
    if m.padding_mode != "zeros":
        pads = m._reversed_padding_repeated_twice
        input, padding = _pad_first(b, input, pads, m.padding_mode), 0
    return windows.conv(b, input, _need(b, "weight"), b.weight("bias"), m.stride, padding, m.dilation, m.groups)


def _pad_first(b: Builder, x: Slot, pads: Any, mode: str) -> Slot:
    rank, given = b.rank(x), tuple(pads)
    begins, ends = [0] * rank, [0] * rank
    for i in range(len(given) // 2):
        begins[rank - 1 - i], ends[rank - 1 - i] = given[2 * i], given[2 * i + 1]
    onnx_mode = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]
    return b.emit("Pad", [x], {"pads": (*begins, *ends), "mode": onnx_mode, "value": 0.0}, sub="pad")


def _need(b: Builder, name: str) -> Slot:
    found = b.weight(name)
    if found is None:
        raise UnsupportedError(f"a {type(b.call.module).__name__} without {name}")
    return found


def _conv_transpose(b: Builder, m: Module, input: Slot, output_size: Any = None) -> Slot:
    if output_size is not None:
        raise UnsupportedError("a transposed convolution told its output size")
    weight, bias = _need(b, "weight"), b.weight("bias")
    return windows.conv_transpose(b, input, weight, bias, m.stride, m.padding, m.output_padding, m.groups, m.dilation)


def _linear(b: Builder, m: Module, input: Slot) -> Slot:
    return elementwise.linear(b, input, _need(b, "weight"), b.weight("bias"))


def _batch_norm(b: Builder, m: Module, input: Slot) -> Slot:
    mean, var = b.weight("running_mean"), b.weight("running_var")
    return norms.batch_norm(b, input, mean, var, b.weight("weight"), b.weight("bias"), False, 0.1, m.eps)


def _instance_norm(b: Builder, m: Module, input: Slot) -> Slot:
    mean, var = b.weight("running_mean"), b.weight("running_var")
    return norms.instance_norm(b, input, mean, var, b.weight("weight"), b.weight("bias"), mean is None, 0.1, m.eps)


def _layer_norm(b: Builder, m: Module, input: Slot) -> Slot:
    return norms.layer_norm(b, input, m.normalized_shape, b.weight("weight"), b.weight("bias"), m.eps)


def _group_norm(b: Builder, m: Module, input: Slot) -> Slot:
    return norms.group_norm(b, input, m.num_groups, b.weight("weight"), b.weight("bias"), m.eps)


def _embedding(b: Builder, m: Module, input: Slot) -> Slot:
    return indexing.embedding(b, input, _need(b, "weight"), max_norm=m.max_norm)


def _prelu(b: Builder, m: Module, input: Slot) -> Slot:
    return b.emit("PRelu", [input, _need(b, "weight")])


def _dropout(b: Builder, m: Module, input: Slot) -> Slot:
    return b.emit("Dropout", [input], {"ratio": float(m.p)})


def _stub(op: str) -> Callable[..., Any]:
    def handler(b: Builder, m: Module, input: Slot) -> Slot:
        return b.emit(op, [input])

    return handler


def _fn(function: Callable[..., Any], *attributes: str) -> Callable[..., Any]:
    """Return a handler that calls `function` with the module's `attributes` after the input."""

    def handler(b: Builder, m: Module, input: Slot) -> Any:
        return function(b, input, *(getattr(m, name) for name in attributes))

    return handler


def _gelu(b: Builder, m: Module, input: Slot) -> Slot:
    return b.emit("Gelu", [input], {"approximate": m.approximate})


def _flatten(b: Builder, m: Module, input: Slot) -> Slot:
    result: Slot = _S["flatten"](b, input, m.start_dim, m.end_dim)
    return result


def _unflatten(b: Builder, m: Module, input: Slot) -> Slot:
    return b.emit("Reshape", [input], {"shape": b.result()})


def _upsample(b: Builder, m: Module, input: Slot) -> Slot:
    recompute = getattr(m, "recompute_scale_factor", None)
    return resampling.interpolate(b, input, m.size, m.scale_factor, m.mode, m.align_corners, recompute)


def _pad(mode: str) -> Callable[..., Any]:
    def handler(b: Builder, m: Module, input: Slot) -> Slot:
        return resampling.pad(b, input, m.padding, mode, getattr(m, "value", 0.0))

    return handler


def _softmax2d(b: Builder, m: Module, input: Slot) -> Slot:
    return b.emit("Softmax", [input], {"axis": b.axis(input, -3)})


_POOL = ("kernel_size", "stride", "padding")

MODULES: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("Conv1d", "Conv2d", "Conv3d"), _conv),
    **dict.fromkeys(("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"), _conv_transpose),
    **dict.fromkeys(("Linear", "NonDynamicallyQuantizableLinear"), _linear),
    **dict.fromkeys(("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm"), _batch_norm),
    **dict.fromkeys(("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"), _instance_norm),
    "LayerNorm": _layer_norm,
    "GroupNorm": _group_norm,
    "Embedding": _embedding,
    "PReLU": _prelu,
    "GELU": _gelu,
    "ReLU": _fn(_A["relu"]),
    "ReLU6": _fn(_A["relu6"]),
    "Sigmoid": _fn(_A["sigmoid"]),
    "Tanh": _fn(_A["tanh"]),
    "Hardswish": _fn(_A["hardswish"]),
    "Hardsigmoid": _fn(_A["hardsigmoid"]),
    "Mish": _fn(_A["mish"]),
    "SiLU": _fn(_A["silu"]),
    "Softsign": _fn(_A["softsign"]),
    "SELU": _fn(_A["selu"]),
    "Softplus": _fn(_A["softplus"], "beta", "threshold"),
    "LeakyReLU": _fn(_A["leaky_relu"], "negative_slope"),
    "ELU": _fn(_A["elu"], "alpha"),
    "GLU": _fn(_A["glu"], "dim"),
    "Hardtanh": _fn(_A["hardtanh"], "min_val", "max_val"),
    "Softmax": _fn(_A["softmax"], "dim"),
    "LogSoftmax": _fn(_A["log_softmax"], "dim"),
    "Softmax2d": _softmax2d,
    "Identity": _stub("Identity"),
    **{name: _stub(op) for name, op in STUBS.items()},
    **dict.fromkeys(
        ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"), _dropout
    ),
    "Flatten": _flatten,
    "Unflatten": _unflatten,
    **{f"MaxPool{n}d": _fn(windows.max_pool(n), *_POOL, "dilation", "ceil_mode", "return_indices") for n in (1, 2, 3)},
    "AvgPool1d": _fn(windows.avg_pool(1), *_POOL, "ceil_mode", "count_include_pad"),
    **{
        f"AvgPool{n}d": _fn(windows.avg_pool(n), *_POOL, "ceil_mode", "count_include_pad", "divisor_override")
        for n in (2, 3)
    },
    **{f"AdaptiveAvgPool{n}d": _fn(windows.adaptive_avg_pool(n), "output_size") for n in (1, 2, 3)},
    **{f"AdaptiveMaxPool{n}d": _fn(windows.adaptive_max_pool(n), "output_size", "return_indices") for n in (1, 2, 3)},
    **dict.fromkeys(("Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d"), _upsample),
    **{
        f"{kind}Pad{n}d": _pad(mode)
        for n in (1, 2, 3)
        for kind, mode in (
            ("Zero", "constant"),
            ("Constant", "constant"),
            ("Reflection", "reflect"),
            ("Replication", "replicate"),
            ("Circular", "circular"),
        )
    },
    "PixelShuffle": _fn(resampling.pixel_shuffle, "upscale_factor"),
    "PixelUnshuffle": _fn(resampling.pixel_unshuffle, "downscale_factor"),
    "ChannelShuffle": _fn(resampling.channel_shuffle, "groups"),
}
