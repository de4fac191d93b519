"""Quantize and dequantize of lines of numbers by one scale, or of rows by one per column: the border to the CPU.

A float network between integers crosses this border dozens of times, and every classifier ends at it. So scales are
checked once, and the pass is all that a call costs. Other layouts go over lines (:mod:`.rescale`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from qworkbench.emulator.kernels.calls import RESULT, Call, note, perform
from qworkbench.emulator.kernels.compiled import inner, row_kernel
from qworkbench.emulator.kernels.lines import runs_of
from qworkbench.emulator.kernels.rounding import whole
from qworkbench.emulator.kernels.surface import surface_of
from qworkbench.emulator.kernels.values import new_array
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import carray
from qworkbench.numerics import checks
from qworkbench.numerics.arithmetic import ROUNDING_CODES, Rounding
from qworkbench.numerics.dtypes import NUMPY, QMAX, QMIN

FLOAT = np.dtype(np.float32)
CODES = frozenset(np.dtype(name) for name in ("int8", "int16", "int32"))
KEPT = 4096
_scales: dict[int, np.ndarray] = {}  # those that were checked


(FROM, FROM_IMAGE, FROM_ROW, TO, COUNT, ROW_COUNT, IMAGE_COUNT, STEP, LOW, HIGH, ROUNDING, SIZE, MISSING,
 WORDS_OF_RUN) = range(14)  # fmt: skip


@inner
def _quantized(x: np.ndarray, out: np.ndarray, step: Any, low: Any, high: Any, rounding: int) -> int:
    missing = np.int32(0)
    for i in range(x.size):
        y = x[i] / step
        missing = np.int32(missing + np.int32(np.isnan(y)))
        out[i] = whole(y, low, high, rounding)
    return int(missing)


@row_kernel
def _quantize(row: int) -> None:
    """``out = clamp(round(x / s), low, high)`` in float32, codes of SIZE bytes, x in lines, out without gaps.

    STEP has the bits of s; MISSING counts NaN.
    """
    p = carray(v.int64_at(row), WORDS_OF_RUN)
    count, step, missing = p[COUNT], carray(v.float32_at(row + 8 * STEP), 1)[0], 0
    low, high = np.float32(p[LOW]), np.float32(p[HIGH])
    for n in range(p[IMAGE_COUNT]):
        for r in range(p[ROW_COUNT]):
            x = carray(v.float32_at(p[FROM] + n * p[FROM_IMAGE] + r * p[FROM_ROW]), count)
            to = p[TO] + (n * p[ROW_COUNT] + r) * count * p[SIZE]
            if p[SIZE] == 1:
                missing += _quantized(x, carray(v.int8_at(to), count), step, low, high, p[ROUNDING])
            else:
                missing += _quantized(x, carray(v.int16_at(to), count), step, low, high, p[ROUNDING])
    p[MISSING] = missing


(X, X_IMAGE, X_ROW, SCALE, SCALE_IMAGE, SCALE_ROW, SCALE_ONE, OUT, OUT_IMAGE, OUT_ROW, IMAGES, ROWS, LENGTH,
 WORDS) = range(14)  # fmt: skip


@inner
def _scaled(codes: Any, scales: Any, several: bool, out: Any, length: int) -> None:
    """``out = float32(codes) * scales``, or by the first scale; by pointers, which compile faster than arrays."""
    if several:
        for i in range(length):
            out[i] = np.float32(codes[i]) * scales[i]
    else:
        step = scales[0]
        for i in range(length):
            out[i] = np.float32(codes[i]) * step


@row_kernel
def _dequantize8(row: int) -> None:
    """``out = float32(q) * s`` of int8, line by line."""
    p = v.int64_at(row)
    for n in range(p[IMAGES]):
        for r in range(p[ROWS]):
            scales = v.float32_at(p[SCALE] + n * p[SCALE_IMAGE] + r * p[SCALE_ROW])
            out = v.float32_at(p[OUT] + n * p[OUT_IMAGE] + r * p[OUT_ROW])
            _scaled(v.int8_at(p[X] + n * p[X_IMAGE] + r * p[X_ROW]), scales, p[SCALE_ONE] != 0, out, p[LENGTH])


@row_kernel
def _dequantize16(row: int) -> None:
    """Compute the same of int16."""
    p = v.int64_at(row)
    for n in range(p[IMAGES]):
        for r in range(p[ROWS]):
            scales = v.float32_at(p[SCALE] + n * p[SCALE_IMAGE] + r * p[SCALE_ROW])
            out = v.float32_at(p[OUT] + n * p[OUT_IMAGE] + r * p[OUT_ROW])
            _scaled(v.int16_at(p[X] + n * p[X_IMAGE] + r * p[X_ROW]), scales, p[SCALE_ONE] != 0, out, p[LENGTH])


@row_kernel
def _dequantize32(row: int) -> None:
    """Compute the same of int32."""
    p = v.int64_at(row)
    for n in range(p[IMAGES]):
        for r in range(p[ROWS]):
            scales = v.float32_at(p[SCALE] + n * p[SCALE_IMAGE] + r * p[SCALE_ROW])
            out = v.float32_at(p[OUT] + n * p[OUT_IMAGE] + r * p[OUT_ROW])
            _scaled(v.int32_at(p[X] + n * p[X_IMAGE] + r * p[X_ROW]), scales, p[SCALE_ONE] != 0, out, p[LENGTH])


DEQUANTIZE = {1: _dequantize8, 2: _dequantize16, 4: _dequantize32}  # by the bytes of a code; each compiles on demand


def dequantizing(
    size: int,
    codes: tuple[int, int, int, int],
    scales: tuple[int, int, int, int],
    out: tuple[int, int, int, int],
    span: tuple[int, int, int],
) -> Call:
    """Return the call that dequantizes lines of codes of `size` bytes; it lacks the addresses of codes and result.

    Lines are told by address, and bytes between images, lines and elements; `span` is their images, lines and length.
    """
    row = np.array((0, *codes[1:3], *scales, 0, *out[1:3], *span))
    return Call(DEQUANTIZE[size], row, ((X, 0, 0), (OUT, RESULT, 0)))


@lru_cache(KEPT)
def _target(scale: float, dtype: str, rounding: Rounding) -> tuple[np.dtype, int, int, int]:
    """Return dtype, range and rounding code of a quantize that is right; raise for any other."""
    checks.rounding("quantize", rounding)
    checks.scale("quantize", scale, ())
    return np.dtype(NUMPY[dtype]), QMIN[dtype], QMAX[dtype], ROUNDING_CODES[rounding]


@lru_cache(KEPT)
def _source(scale: float) -> np.ndarray:
    """Return the scale of a dequantize that is right, as float32 (1,); raise for any other."""
    return np.array(checks.scale("dequantize", scale, ()), FLOAT).reshape(1)


def quantized_run(x: object, scale: object, dtype: str, rounding: Rounding) -> tuple[np.ndarray, int] | None:
    """Return codes and the count of NaN where float32 `x` lies in lines and `scale` is one float32; None elsewhere."""
    if type(x) is not np.ndarray or type(scale) is not np.float32 or x.dtype != FLOAT:
        return None
    runs = None if surface_of(x) is not None else runs_of(x.shape, x.strides, 4, 3)
    if runs is None:
        return None
    step = float(scale)
    kind, low, high, code = _target(step, dtype, rounding)
    if kind.itemsize > 2:
        return None
    out = new_array(x.shape, kind)
    row = np.array((0, *runs.here[:2], 0, *runs.sizes[::-1], 0, low, high, code, kind.itemsize, 0))
    row[STEP : STEP + 1].view(FLOAT)[0] = step
    call = Call(_quantize, row, ((FROM, 0, 0), (TO, RESULT, 0)))
    missing = int(perform(call, (x.ctypes.data,), out.ctypes.data)[MISSING])
    note((x,), (out,), (call,), None, lost=MISSING)
    return out, missing


def dequantized_run(q: object, scale: object) -> np.ndarray | None:
    """Return ``float32(q) * s`` of C-contiguous codes `q` and one float32, or a float32 per column; None elsewhere."""
    if type(q) is not np.ndarray or q.dtype not in CODES or not q.flags.c_contiguous:
        return None
    if type(scale) is np.float32:
        return _in_floats(q, 1, _source(float(scale)))
    if type(scale) is not np.ndarray or q.ndim != 2 or scale.shape != q.shape[1:] or scale.dtype != FLOAT:
        return None
    if _scales.get(id(scale)) is not scale:
        checks.scale("dequantize", scale, q.shape)
        if len(_scales) >= KEPT:
            _scales.clear()
        _scales[id(scale)] = scale  # kept, so that its id cannot be reused
    return _in_floats(q, q.shape[1], np.ascontiguousarray(scale))


def _in_floats(q: np.ndarray, columns: int, scales: np.ndarray) -> np.ndarray:
    """Return rows of `columns` codes times a scale of each, or all codes times one."""
    out = new_array(q.shape, FLOAT)
    length, one = (columns, 4) if scales.size > 1 else (q.size, 0)
    rows, line = q.size // length if length else 0, length * q.itemsize
    steps, to = (scales.ctypes.data, 0, 0, one), (0, 0, 4 * length, 4)
    call = dequantizing(q.itemsize, (0, 0, line, 1), steps, to, (1, rows, length))
    perform(call, (q.ctypes.data,), out.ctypes.data)
    note((q,), (out,), (call,), scales)
    return out
