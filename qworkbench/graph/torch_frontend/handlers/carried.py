"""Operators that ONNX names but the vocabulary does not: repeated by torch as called, under their ONNX name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from qworkbench.graph.structure import Slot
from qworkbench.graph.torch_frontend.builder import Builder
from qworkbench.graph.torch_frontend.values import dtype_name

_NAMES = {
    "where": "Where", "masked_fill": "Where", "bitwise_not": "Not", "logical_not": "Not", "bitwise_and": "And",
    "logical_and": "And", "bitwise_or": "Or", "logical_or": "Or", "bitwise_xor": "Xor", "logical_xor": "Xor",
    "remainder": "Mod", "fmod": "Mod", "cumsum": "CumSum", "gather": "GatherElements", "scatter": "ScatterElements",
    "setitem": "ScatterND", "index_put": "ScatterND", "grid_sample": "GridSample", "topk": "TopK", "repeat": "Tile",
    "repeat_interleave": "Tile", "isnan": "IsNaN", "isinf": "IsInf", "zeros": "ConstantOfShape",
    "ones": "ConstantOfShape", "full": "ConstantOfShape", "fill": "ConstantOfShape", "zero": "ConstantOfShape",
    "arange": "Range", "nonzero": "NonZero", "prod": "ReduceProd", "logsumexp": "ReduceLogSumExp", "celu": "Celu",
    "threshold": "ThresholdedRelu", "hardshrink": "Shrink", "softshrink": "Shrink", "tril": "Trilu", "triu": "Trilu",
    "det": "Det", "one_hot": "OneHot", "affine_grid": "AffineGrid", "bernoulli": "Bernoulli", "rand": "RandomUniform",
    "randn": "RandomNormal", "rand_like": "RandomUniformLike", "randn_like": "RandomNormalLike",
    "multinomial": "Multinomial", "local_response_norm": "LRN", "max_unpool2d": "MaxUnpool",
}  # fmt: skip


def _carry(op: str) -> Callable[..., Any]:
    def handler(b: Builder, *args: Any, **kwargs: Any) -> Any:
        return b.replay(op)

    return handler


def _grid_sample(
    b: Builder,
    input: Slot,
    grid: Slot,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Any:
    return b.replay("GridSample", {"mode": mode, "padding_mode": padding_mode, "align_corners": bool(align_corners)})


def _topk(b: Builder, input: Slot, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    return b.replay("TopK", {"k": k, "axis": b.axis(input, dim), "largest": largest, "sorted": sorted})


def _cast(b: Builder, input: Slot, *args: Any, **kwargs: Any) -> Any:
    """Return the tensor itself if nothing changes but the device or layout."""
    made = b.call.result.index if isinstance(b.call.result, Slot) else None
    to = b.trace.values[made].dtype if made is not None else torch.float32
    return input if to == b.dtype(input) else b.replay("Cast", {"to": dtype_name(to)})


def _copy(b: Builder, input: Slot, src: Slot, non_blocking: bool = False) -> Any:
    """Return what was copied over the tensor, broadcast to it."""
    if b.dtype(src) != b.dtype(input):
        return b.replay("Cast", {"to": dtype_name(b.dtype(input))})
    return src if b.shape(src) == b.shape(input) else b.emit("Expand", [src], {"shape": b.shape(input)})


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{fn: _carry(op) for fn, op in _NAMES.items()},
    "grid_sample": _grid_sample,
    "topk": _topk,
    **dict.fromkeys(
        ("to", "type", "float", "half", "bfloat16", "double", "int", "long", "short", "bool", "type_as"), _cast
    ),
    "copy": _copy,
}
