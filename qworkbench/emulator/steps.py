"""What each kind of step does: parameters and arrays in, arrays out, through the kernels.

The only place that knows both the plan's parameter names and the kernels' signatures. `ops` is the module that
computes: the numba kernels, or their slow twins in :mod:`qworkbench.numerics.reference`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from qworkbench.emulator import through_torch
from qworkbench.emulator.cache import StepResult
from qworkbench.emulator.kernels.moving import concat
from qworkbench.emulator.kernels.surface import is_surface
from qworkbench.emulator.plan import Step
from qworkbench.errors import EmulationError
from qworkbench.numerics.arithmetic import Residual

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
    source = x[0].astype(np.float32, copy=False)
    how = {"margin": p.get("margin")} if getattr(ops, "PACKS", False) else {}
    return _one(ops.quantize(source, scale if scale.size > 1 else scale[0], p["dtype"], p["rounding"], **how))


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
    residual = _residual(p, x)
    y, overflow = run(x[0], p["weight"].array, p["bias"], p["geometry"], p["requantize"], residual, **_kept(ops, p))
    return _one(y, overflow)


def _kept(ops: Any, p: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a backend that packs weights is given beside them."""
    return {"forms": p["weight"].forms} if getattr(ops, "PACKS", False) else {}


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
    return _one(concat(x, p["axis"]))


def _constant(_: Any, p: Mapping[str, Any], __: Arrays, ___: int) -> StepResult:
    return _one(p["codes"])


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
    "conv3d": through_torch.conv3d,
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
    "torch": through_torch.torch_step,
    "half": through_torch.half,
    "to_float": through_torch.to_float,
    "wide": through_torch.wide,
    "rescale_sum": _rescale_sum,
}
