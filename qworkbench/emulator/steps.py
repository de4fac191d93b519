"""What each kind of step does: parameters and arrays in, arrays out, through the kernels.

The only place that knows both the plan's parameter names and the kernels' signatures. `ops` is the module that
computes: the numba kernels, or their slow twins in :mod:`qworkbench.numerics.reference`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from qworkbench.emulator.cache import StepResult
from qworkbench.emulator.kernels.surface import is_surface
from qworkbench.emulator.plan import Step
from qworkbench.errors import EmulationError
from qworkbench.numerics.arithmetic import Residual
from qworkbench.numerics.reference.accumulate import RESIDUAL_LIMIT

WIRED = "wired"  # operand of a torch step that comes from the plan, not from the model's constants

Arrays = Sequence[np.ndarray]
Run = Callable[[Any, Mapping[str, Any], Arrays, int], StepResult]


def run_step(step: Step, inputs: Arrays, batch: int, ops: Any) -> StepResult:
    """Run one step; errors name it."""
    try:
        return STEPS[step.kind](ops, step.params, inputs, batch)
    except EmulationError as error:
        raise EmulationError(f"{step.name!r}: {error}") from error
    except (ValueError, RuntimeError, IndexError, TypeError) as error:
        raise EmulationError(f"{step.name!r} ({step.kind}) failed: {error}") from error


def _one(array: np.ndarray, overflow: int = 0) -> StepResult:
    return StepResult((array if is_surface(array) else np.ascontiguousarray(array),), overflow)


def _quantize(ops: Any, p: Mapping[str, Any], x: Arrays, _: int) -> StepResult:
    scale = p["scale"]
    source = np.ascontiguousarray(x[0], np.float32)
    return _one(ops.quantize(source, scale if scale.size > 1 else scale[0], p["dtype"], p["rounding"]))


def _dequantize(ops: Any, p: Mapping[str, Any], x: Arrays, _: int) -> StepResult:
    scale, axis = p["scale"], p["axis"]
    if scale.size == 1:
        return _one(ops.dequantize(x[0], scale[0]))
    if axis == 1:
        return _one(ops.dequantize(x[0], scale))
    moved = np.ascontiguousarray(np.moveaxis(x[0], axis, 1))
    return _one(np.moveaxis(ops.dequantize(moved, scale), 1, axis))


def _requantize(ops: Any, p: Mapping[str, Any], x: Arrays, _: int) -> StepResult:
    return _one(ops.requantize(x[0], p["requantize"]))


def _residual(p: Mapping[str, Any], x: Arrays) -> Residual | None:
    return None if p["residual"] is None else Residual(x[1], p["residual"])


def _conv(ops: Any, p: Mapping[str, Any], x: Arrays, _: int) -> StepResult:
    run = ops.conv_transpose2d if p["transposed"] else ops.conv2d
    kept = {} if p["transposed"] else _kept(ops, p)
    y, overflow = run(x[0], p["weight"].array, p["bias"], p["geometry"], p["requantize"], _residual(p, x), **kept)
    return _one(y, overflow)


def _kept(ops: Any, p: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a backend that packs weights is given beside them."""
    return {"forms": p["weight"].forms} if getattr(ops, "PACKS", False) else {}


def _conv3d(ops: Any, p: Mapping[str, Any], x: Arrays, _: int) -> StepResult:
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


def _gemm(ops: Any, p: Mapping[str, Any], x: Arrays, _: int) -> StepResult:
    y, overflow = ops.gemm(x[0], p["weight"].array, p["bias"], p["requantize"], _residual(p, x), **_kept(ops, p))
    return _one(y, overflow)


def _matmul(ops: Any, p: Mapping[str, Any], x: Arrays, _: int) -> StepResult:
    y, overflow = ops.matmul(x[0], x[1], p["requantize"])
    return _one(y, overflow)


def _sum(name: str) -> Run:
    def run(ops: Any, p: Mapping[str, Any], x: Arrays, _: int) -> StepResult:
        return _one(getattr(ops, name)(x[0], x[1], p["ratios"][0], p["ratios"][1], p["requantize"]))

    return run


def _mul(ops: Any, p: Mapping[str, Any], x: Arrays, _: int) -> StepResult:
    return _one(ops.mul(x[0], x[1], p["requantize"]))


def _same_scale(name: str) -> Run:
    def run(ops: Any, _: Mapping[str, Any], x: Arrays, __: int) -> StepResult:
        return _one(getattr(ops, name)(x[0], x[1]))

    return run


def _lut(ops: Any, p: Mapping[str, Any], x: Arrays, _: int) -> StepResult:
    return _one(ops.lut(x[0], p["table"]) if p["bits"] == 8 else ops.lut16(x[0], p["table"]))


def _max_pool(ops: Any, p: Mapping[str, Any], x: Arrays, _: int) -> StepResult:
    return _one(ops.max_pool2d(x[0], p["geometry"], p["ceil_mode"]))


def _average_pool(ops: Any, p: Mapping[str, Any], x: Arrays, _: int) -> StepResult:
    return _one(ops.average_pool2d(x[0], p["geometry"], p["ceil_mode"], p["count_include_pad"], p["requantize"]))


def _global_average_pool(ops: Any, p: Mapping[str, Any], x: Arrays, _: int) -> StepResult:
    return _one(ops.global_average_pool(x[0], p["requantize"]))


def _global_max_pool(ops: Any, _: Mapping[str, Any], x: Arrays, __: int) -> StepResult:
    return _one(ops.global_max_pool(x[0]))


def _resize(ops: Any, p: Mapping[str, Any], x: Arrays, _: int) -> StepResult:
    if p["mode"] == "nearest":
        return _one(ops.resize_nearest(x[0], p["size"], *p["index"]))
    return _one(ops.resize_bilinear(x[0], *p["index"], p["bits"]))


def _reduce(name: str) -> Run:
    def run(ops: Any, p: Mapping[str, Any], x: Arrays, _: int) -> StepResult:
        rescale = (p["requantize"],) if p["requantize"] is not None else ()
        return _one(getattr(ops, name)(x[0], p["axes"], p["keepdims"], *rescale))

    return run


def _argument(name: str) -> Run:
    def run(ops: Any, p: Mapping[str, Any], x: Arrays, _: int) -> StepResult:
        return _one(getattr(ops, name)(x[0], p["axis"], p["keepdims"]))

    return run


def _compare(_: Any, p: Mapping[str, Any], x: Arrays, __: int) -> StepResult:
    return _one(getattr(np, p["how"])(x[0], x[1]))


def _concat(_: Any, p: Mapping[str, Any], x: Arrays, __: int) -> StepResult:
    return _one(np.concatenate(list(x), axis=p["axis"]))


def _constant(_: Any, p: Mapping[str, Any], __: Arrays, ___: int) -> StepResult:
    return _one(p["codes"])


def _torch(_: Any, p: Mapping[str, Any], x: Arrays, batch: int) -> StepResult:
    """Run a node by its float kernel: in float on the CPU, or moving integer codes unchanged."""
    import torch

    from qworkbench.graph.execute import run_node

    given = iter(x)
    tensors = [torch.from_numpy(np.array(next(given))) if op is WIRED else op for op in p["operands"].value]
    outputs = run_node(p["graph"].value, p["node"].value, tensors, batch)
    if p["half"]:
        outputs = tuple(t.half().to(t.dtype) if t.is_floating_point() else t for t in outputs)
    return StepResult(tuple(np.ascontiguousarray(t.detach().numpy()) for t in outputs))


def _half(_: Any, __: Mapping[str, Any], x: Arrays, ___: int) -> StepResult:
    """Round to float16 (half to even, infinity beyond its range) and keep float32 as the carrier."""
    with np.errstate(over="ignore"):
        return _one(x[0].astype(np.float16).astype(np.float32))


def _to_float(_: Any, p: Mapping[str, Any], x: Arrays, __: int) -> StepResult:
    """Write accumulators as floats: ``acc * scale``, per tensor or along `axis`, rounded to float16 if asked."""
    scale = p["scale"]
    shape = [1] * x[0].ndim
    if scale.size > 1:
        shape[p["axis"]] = scale.size
    real = (x[0].astype(np.float64) * scale.astype(np.float64).reshape(shape)).astype(np.float32)
    return _half(None, p, (real,), 0) if p["half"] else _one(real)


def _wide(_: Any, p: Mapping[str, Any], x: Arrays, __: int) -> StepResult:
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


def _rescale_sum(ops: Any, p: Mapping[str, Any], x: Arrays, _: int) -> StepResult:
    """Rescale wide sums to codes, by one multiplier or one per entry of `axis`."""
    if p["requantize"].multiplier.size == 1:
        return _one(ops.requantize(x[0], p["requantize"]))
    moved = np.ascontiguousarray(np.moveaxis(x[0], p["axis"], 1))
    return _one(np.moveaxis(ops.requantize(moved, p["requantize"], 1), 1, p["axis"]))


STEPS: Mapping[str, Run] = {
    "quantize": _quantize,
    "dequantize": _dequantize,
    "requantize": _requantize,
    "conv": _conv,
    "conv3d": _conv3d,
    "gemm": _gemm,
    "matmul": _matmul,
    "add": _sum("add"),
    "sub": _sum("sub"),
    "mul": _mul,
    "maximum": _same_scale("maximum"),
    "minimum": _same_scale("minimum"),
    "lut": _lut,
    "max_pool": _max_pool,
    "average_pool": _average_pool,
    "global_average_pool": _global_average_pool,
    "global_max_pool": _global_max_pool,
    "resize": _resize,
    "reduce_sum": _reduce("reduce_sum"),
    "reduce_mean": _reduce("reduce_mean"),
    "reduce_max": _reduce("reduce_max"),
    "reduce_min": _reduce("reduce_min"),
    "argmax": _argument("argmax"),
    "argmin": _argument("argmin"),
    "compare": _compare,
    "concat": _concat,
    "constant": _constant,
    "torch": _torch,
    "half": _half,
    "to_float": _to_float,
    "wide": _wide,
    "rescale_sum": _rescale_sum,
}
