"""Normalisations and Dropout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from qworkbench.graph.onnx_frontend.call import Call
from qworkbench.graph.onnx_frontend.importer import UnsupportedError


def _batch_norm(c: Call) -> str:
    """Return normalisation by stored statistics."""
    if c.attr("training_mode", 0) or any(c.used(slot) for slot in range(1, len(c.proto.output))):
        raise UnsupportedError("batch normalization by the statistics of the batch")
    return c.emit("BatchNormalization", [c.x(slot) for slot in range(5)], {"epsilon": c.attr("epsilon", 1e-5)})


def _layer_norm(c: Call) -> str:
    if any(c.used(slot) for slot in (1, 2)):
        raise UnsupportedError("layer normalization whose mean or deviation is used")
    axis = c.axis(c.attr("axis", -1))
    shape = tuple(c.dim(0, a) for a in range(axis, c.rank()))
    affine = []
    for slot, name in ((1, "scale"), (2, "bias")):
        if not c.has(slot) or c.sizes(slot)[0] == shape:
            affine.append(c.optional(slot))
        else:
            affine.append(c.constant(np.broadcast_to(c.content(slot), shape), name))
    return c.emit(
        "LayerNormalization", [c.x(0), *affine], {"normalized_shape": shape, "epsilon": c.attr("epsilon", 1e-5)}
    )


def _group_norm(c: Call) -> str:
    """Return GroupNormalization with one scale per channel; before opset 21 the file holds one per group."""
    groups, channels = c.attr("num_groups"), c.dim(0, 1)
    affine = []
    for slot, name in ((1, "scale"), (2, "bias")):
        if c.sizes(slot)[0] == (channels,):
            affine.append(c.x(slot))
        else:
            affine.append(c.constant(np.repeat(c.content(slot), channels // groups), name))
    return c.emit("GroupNormalization", [c.x(0), *affine], {"num_groups": groups, "epsilon": c.attr("epsilon", 1e-5)})


def _instance_norm(c: Call) -> str:
    return c.emit("InstanceNormalization", [c.x(0), c.x(1), c.x(2)], {"epsilon": c.attr("epsilon", 1e-5)})


def _dropout(c: Call) -> str:
    """Return Dropout as it is at inference: the tensor itself."""
    training = c.has(2) and bool(c.content(2).reshape(-1)[0])
    if training or c.used(1):
        raise UnsupportedError("dropout that is active, or whose mask is used")
    ratio = c.attr("ratio", 0.5) if c.opset < 12 else c.number(1)
    return c.emit("Dropout", [c.x(0)], {"ratio": 0.5 if ratio is None else float(ratio)})


def _response_norm(c: Call) -> str:
    attrs = {
        "size": c.attr("size"),
        "alpha": c.attr("alpha", 1e-4),
        "beta": c.attr("beta", 0.75),
        "bias": c.attr("bias", 1.0),
    }
    return c.carry("LRN", "LRN", [c.x(0)], attrs, *attrs.values())[0]


HANDLERS: dict[str, Callable[[Call], Any]] = {
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _instance_norm,
    "Dropout": _dropout,
    "LRN": _response_norm,
}
