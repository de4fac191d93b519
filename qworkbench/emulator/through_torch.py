"""Steps that no kernel of ours computes: the model's own float kernels, moves of codes, and sums too wide for ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qworkbench.emulator.cache import StepResult
from qworkbench.numerics.reference.accumulate import RESIDUAL_LIMIT

Arrays = Sequence[np.ndarray]


def torch_step(_: Any, p: Mapping[str, Any], x: Arrays, batch: int) -> StepResult:
    """Run a node by its float kernel: in float on the CPU, or moving integer codes unchanged."""
    return StepResult(p["call"].value(x, batch))


def _one(array: np.ndarray, overflow: int = 0) -> StepResult:
    return StepResult((np.ascontiguousarray(array),), overflow)


def half(_: Any, __: Mapping[str, Any], x: Arrays, ___: int) -> StepResult:
    """Round to float16 (half to even, infinity beyond its range) and keep float32 as the carrier."""
    with np.errstate(over="ignore"):
        return _one(x[0].astype(np.float16).astype(np.float32))


def to_float(_: Any, p: Mapping[str, Any], x: Arrays, __: int) -> StepResult:
    """Write accumulators as floats: ``acc * scale``, per tensor or along `axis`, rounded to float16 if asked."""
    scale = p["scale"]
    shape = [1] * x[0].ndim
    if scale.size > 1:
        shape[p["axis"]] = scale.size
    real = (x[0].astype(np.float64) * scale.astype(np.float64).reshape(shape)).astype(np.float32)
    return half(None, p, (real,), 0) if p["half"] else _one(real)


def conv3d(ops: Any, p: Mapping[str, Any], x: Arrays, _: int) -> StepResult:
    """Convolve over D, H and W; float64 holds every partial sum of codes exactly, so no kernel of its own is needed."""
    import torch

    begin_d, begin_h, begin_w, end_d, end_h, end_w = p["pads"]
    codes = torch.nn.functional.pad(
        torch.from_numpy(x[0].astype(np.float64)), (begin_w, end_w, begin_h, end_h, begin_d, end_d)
    )
    weight = torch.from_numpy(p["weight"].array.astype(np.float64))
    sums = torch.nn.functional.conv3d(codes, weight, None, p["strides"], 0, p["dilations"], p["group"])
    acc = sums.numpy().astype(np.int64)
    if p["bias"] is not None:
        acc += p["bias"].astype(np.int64)[:, None, None, None]
    if p["residual"] is not None:
        entering = np.rint(x[1].astype(np.float64) * p["residual"].reshape(-1, 1, 1, 1))
        acc += np.clip(entering, -RESIDUAL_LIMIT, RESIDUAL_LIMIT).astype(np.int64)
    wrapped = acc.astype(np.int32)
    overflow = int(np.count_nonzero(wrapped != acc))
    return _one(wrapped if p["requantize"] is None else ops.requantize(wrapped, p["requantize"], 1), overflow)


def wide(_: Any, p: Mapping[str, Any], x: Arrays, __: int) -> StepResult:
    """Accumulate int16 by int16 exactly, in int64: products up to 2**30, so float64 holds 2**23 of them."""
    import torch

    left = torch.from_numpy(np.ascontiguousarray(x[0], np.float64))
    right = torch.from_numpy(np.ascontiguousarray(p["weight"].array if p["weight"] is not None else x[1], np.float64))
    if p["how"] == "conv":
        geometry = p["geometry"]
        top, before, bottom, after = geometry.pads
        if p["transposed"]:
            full = torch.nn.functional.conv_transpose2d(
                left, right, None, geometry.strides, 0, geometry.output_padding, geometry.group, geometry.dilations
            )
            sums = full[:, :, top : full.shape[2] - bottom, before : full.shape[3] - after]
        else:
            padded = torch.nn.functional.pad(left, (before, after, top, bottom))
            sums = torch.nn.functional.conv2d(
                padded, right, None, geometry.strides, 0, geometry.dilations, geometry.group
            )
    elif p["how"] == "conv3d":
        front, top, before, back, bottom, after = p["pads"]
        padded = torch.nn.functional.pad(left, (before, after, top, bottom, front, back))
        sums = torch.nn.functional.conv3d(padded, right, None, p["strides"], 0, p["dilations"], p["group"])
    elif p["how"] == "gemm":
        sums = torch.nn.functional.linear(left, right)
    else:
        sums = left @ right
    acc = np.rint(sums.numpy()).astype(np.int64)
    axis = 1 if p["how"].startswith("conv") else acc.ndim - 1
    if p["bias"] is not None:
        shape = [1] * acc.ndim
        shape[axis] = -1
        acc += p["bias"].astype(np.int64).reshape(shape)
    return _one(acc)
