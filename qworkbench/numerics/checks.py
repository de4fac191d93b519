"""What every quantized operator demands of its operands, as one-sentence errors.

Both implementations (:mod:`qworkbench.numerics.reference` and :mod:`qworkbench.emulator.kernels`) call these, so that
a wrong call fails in the same words in both. Knows no graph; the caller's operator name is part of the text.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from qworkbench.errors import EmulationError
from qworkbench.numerics.arithmetic import MULTIPLIER_CODES, ROUNDING_CODES, ConvGeometry, Requantize, Residual
from qworkbench.numerics.dtypes import QMAX, QMIN

CODES = ("int8", "int16")
_NAMES = {np.dtype(name): name for name in ("int8", "int16", "int32", "int64", "float32")}  # str() of a dtype is slow


def codes(owner: str, *arrays: Any, allowed: tuple[str, ...] = CODES) -> None:
    """Raise unless every array is a numpy array of one of the dtypes `allowed`."""
    for array in arrays:
        if isinstance(array, np.ndarray) and _NAMES.get(array.dtype) in allowed:
            continue
        found = getattr(array, "dtype", type(array).__name__)
        if not isinstance(array, np.ndarray) or str(found) not in allowed:
            raise EmulationError(f"{owner} takes {' or '.join(allowed)} codes, got {found}; quantize the operand first")


def rounding(owner: str, name: str) -> None:
    """Raise unless `name` is a known rounding."""
    if name not in ROUNDING_CODES:
        raise EmulationError(f"{owner}: rounding must be one of {', '.join(ROUNDING_CODES)}, got {name!r}")


def scale(owner: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return `value` as a float32 array of size 1 or ``shape[1]``; every scale is finite and > 0."""
    array = np.asarray(value, dtype=np.float32).reshape(-1)
    if array.size != 1 and (len(shape) < 2 or array.size != shape[1]):
        raise EmulationError(f"{owner}: {array.size} scales for shape {shape}; give one, or one per channel (axis 1)")
    if not (np.isfinite(array) & (array > 0)).all():
        raise EmulationError(f"{owner}: scales must be finite and > 0, got {array.min()} .. {array.max()}")
    return array


@lru_cache(4096)
def requantize(owner: str, rq: Requantize, channels: int) -> np.ndarray:
    """Return the multiplier of `rq` as float64 of shape (1,) or (`channels`,), or raise; asked once per object."""
    rounding(owner, rq.rounding)
    if rq.kind not in MULTIPLIER_CODES or rq.dtype not in CODES:
        raise EmulationError(
            f"{owner}: requantize to {rq.dtype!r} with multiplier kind {rq.kind!r} does not exist; "
            f"dtypes are {', '.join(CODES)}, kinds are {', '.join(MULTIPLIER_CODES)}"
        )
    if not QMIN[rq.dtype] <= rq.low <= rq.high <= QMAX[rq.dtype]:
        raise EmulationError(f"{owner}: clamp range [{rq.low}, {rq.high}] must lie inside {rq.dtype} and not be empty")
    multiplier = np.asarray(rq.multiplier, dtype=np.float64).reshape(-1)
    if multiplier.size not in (1, channels):
        raise EmulationError(f"{owner}: {multiplier.size} multipliers for {channels} channels; give 1 or {channels}")
    limit = float(np.finfo(np.float32).max) if rq.kind == "float32" else float(np.finfo(np.float64).max)
    wrong = ~((multiplier > 0) & (multiplier <= limit))
    if wrong.any():
        raise EmulationError(
            f"{owner}: multiplier must be > 0 and finite as {rq.kind}, got {multiplier[wrong][0]}; check the scales"
        )
    return multiplier


def ratio(owner: str, *ratios: float) -> None:
    """Raise unless every scale ratio lies in (0, 1e30], where no product with a code overflows float32."""
    for value in ratios:
        if not 0 < value <= 1e30:
            raise EmulationError(f"{owner}: scale ratio must be > 0 and at most 1e30, got {value}; check the scales")


def bias(owner: str, value: np.ndarray | None, channels: int) -> np.ndarray:
    """Return the int32 bias of shape (`channels`,) as int64; zeros for None."""
    if value is None:
        return np.zeros(channels, dtype=np.int64)
    codes(owner, value, allowed=("int32",))
    if value.shape != (channels,):
        raise EmulationError(f"{owner}: bias of shape {value.shape} for {channels} channels; it must be ({channels},)")
    return value.astype(np.int64)


def residual(owner: str, value: Residual, shape: tuple[int, ...], channels: int) -> np.ndarray:
    """Return the ratio of `value` as float64 of shape (1,) or (`channels`,), or raise."""
    codes(owner, value.codes)
    ratios = np.asarray(value.ratio, dtype=np.float64).reshape(-1)
    if value.codes.shape != shape or ratios.size not in (1, channels):
        raise EmulationError(
            f"{owner}: residual of shape {value.codes.shape} with {ratios.size} ratios does not fit the output {shape}"
        )
    if not (np.isfinite(ratios) & (ratios >= 0)).all():
        raise EmulationError(f"{owner}: residual ratios must be finite and >= 0; check the scales")
    return ratios


def convolution(owner: str, x: np.ndarray, w: np.ndarray, geometry: ConvGeometry, *, transposed: bool = False) -> None:
    """Raise unless `x` (N, C, H, W), the weight `w` and `geometry` fit each other and the output is not empty."""
    codes(owner, x, w)
    group = geometry.group
    if x.ndim != 4 or w.ndim != 4:
        raise EmulationError(f"{owner} takes 4-d x and weight, got {x.shape} and {w.shape}")
    inputs, grouped = (w.shape[0], w.shape[0]) if transposed else (w.shape[1] * group, w.shape[0])
    if x.shape[1] != inputs or grouped % group or tuple(w.shape[2:]) != tuple(geometry.kernel):
        raise EmulationError(
            f"{owner}: weight {w.shape} with group {group} and kernel {geometry.kernel} does not fit input {x.shape}"
        )
    height, width = x.shape[2:]
    size = geometry.transposed_output_size(height, width) if transposed else geometry.output_size(height, width)
    if min(size) < 1:
        raise EmulationError(f"{owner}: kernel {geometry.kernel} is larger than the padded input {x.shape}")


def window(owner: str, x: np.ndarray, geometry: ConvGeometry, ceil_mode: bool) -> tuple[int, int]:
    """Return the output size of a pooling window over the 4-d `x`, or raise."""
    codes(owner, x)
    if x.ndim != 4:
        raise EmulationError(f"{owner} takes a 4-d input, got {x.shape}")
    size = geometry.output_size(x.shape[2], x.shape[3], ceil_mode=ceil_mode)
    if min(size) < 1:
        raise EmulationError(f"{owner}: kernel {geometry.kernel} is larger than the padded input {x.shape}")
    return size


def resize(owner: str, x: np.ndarray, indices: tuple[np.ndarray, np.ndarray], out_hw: tuple[int, int]) -> None:
    """Raise unless `indices` (rows, columns) are int64, as long as `out_hw`, and inside the 4-d `x`."""
    if x.ndim != 4:
        raise EmulationError(f"{owner} takes a 4-d input, got {x.shape}")
    for index, length, size in zip(indices, out_hw, x.shape[2:], strict=True):
        if index.dtype != np.int64 or index.shape != (length,):
            raise EmulationError(
                f"{owner}: indices must be int64 of shape ({length},), got {index.dtype} {index.shape}"
            )
        if length and not 0 <= int(index.min()) <= int(index.max()) < size:
            raise EmulationError(f"{owner}: indices {index.min()}..{index.max()} leave the input of size {size}")


def weights(owner: str, pair: tuple[np.ndarray, np.ndarray], out_hw: tuple[int, int], bits: int) -> None:
    """Raise unless both weight arrays are int32, as long as `out_hw`, and within 0 .. 2**bits, bits 1 .. 15."""
    if not 1 <= bits <= 15:
        raise EmulationError(f"{owner}: bits must be 1 .. 15, got {bits}")
    for weight, length in zip(pair, out_hw, strict=True):
        if weight.dtype != np.int32 or weight.shape != (length,):
            raise EmulationError(
                f"{owner}: weights must be int32 of shape ({length},), got {weight.dtype} {weight.shape}"
            )
        if length and not 0 <= int(weight.min()) <= int(weight.max()) <= 1 << bits:
            raise EmulationError(f"{owner}: weights {weight.min()}..{weight.max()} leave 0 .. {1 << bits}")


def table8(owner: str, table: np.ndarray) -> None:
    """Raise unless `table` holds 256 int8 or int16 codes."""
    codes(owner, table)
    if table.shape != (256,):
        raise EmulationError(f"{owner}: an int8 table has 256 entries, got shape {table.shape}")


def same_codes(owner: str, a: np.ndarray, b: np.ndarray) -> None:
    """Raise unless `a` and `b` are codes of one dtype."""
    codes(owner, a, b)
    if a.dtype != b.dtype:
        raise EmulationError(
            f"{owner} takes codes of one dtype and scale, got {a.dtype} and {b.dtype}; requantize first"
        )
