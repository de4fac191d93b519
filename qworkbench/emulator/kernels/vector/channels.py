"""Depthwise convolution of surfaces: which kernel, and the tables that it reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qworkbench.emulator.kernels.accumulator import Accumulator, finish
from qworkbench.emulator.kernels.calls import RESULT, Call, note, perform
from qworkbench.emulator.kernels.compiled import RowKernel
from qworkbench.emulator.kernels.dots import row_sums
from qworkbench.emulator.kernels.isa import PORTABLE, vectors
from qworkbench.emulator.kernels.rescale import requantize
from qworkbench.emulator.kernels.surface import asked_margin, margin_of, new_surface, pitch_of, surface_of, surfaced
from qworkbench.emulator.kernels.threads import thread_count
from qworkbench.emulator.kernels.values import Surface
from qworkbench.emulator.kernels.vector.frames import sign
from qworkbench.emulator.kernels.vector.parts import most_of
from qworkbench.emulator.kernels.vector.product import INT32_LIMIT, WORTH_A_THREAD, Forms, remembered
from qworkbench.emulator.kernels.vector.quarters import lines, weight_lines
from qworkbench.numerics import checks
from qworkbench.numerics.arithmetic import ConvGeometry, Requantize, Residual

CODES = (np.dtype(np.int8), np.dtype(np.int16))
PAGES = 96  # of a walk down a column, each row on its own: what a first-level TLB holds


@dataclass(frozen=True, eq=False)
class Channels:
    """A prepared depthwise convolution: parameters without addresses of one call, and the memory behind them."""

    row: np.ndarray
    sweep: RowKernel
    columns: bool
    shape: tuple[int, ...]
    dtype: Any
    reach: int
    geometry: ConvGeometry
    work: int
    kept: tuple[np.ndarray, ...]

    def on(self, x: Surface, out: Surface) -> Call:
        """Compute from and to surfaces; return the call."""
        from qworkbench.emulator.kernels.vector import depthwise

        row, pads = self.row.copy(), self.geometry.pads
        threads = thread_count() if self.work >= WORTH_A_THREAD else 1
        if self.columns:
            row[depthwise.CHUNKS] = self.shape[0] * self._bands(threads)
        else:
            row[depthwise.CHUNKS] = self.shape[0] * self.shape[2]
        before = -pads[0] * x.strides[1] - pads[1] * x.strides[2]
        call = Call(self.sweep, row, ((depthwise.X, 0, before), (depthwise.OUT, RESULT, 0)), threads > 1)
        perform(call, (x.origin,), out.origin)
        return call

    def _bands(self, threads: int) -> int:
        """Return in how many bands of rows an image is walked: short enough for the TLB, enough for all threads."""
        height = self.shape[2]
        least = -(-height * (1 + self.geometry.strides[0]) // PAGES)
        return max(least, 1 if threads == 1 else min(height, 4 * threads))


def convolve_channels(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None,
    geometry: ConvGeometry,
    rq: Requantize | None,
    residual: Residual | None,
    forms: Forms | None,
) -> tuple[np.ndarray, int] | None:
    """Return what :func:`qworkbench.numerics.reference.conv2d` does where each channel is alone; None if not here."""
    isa = vectors()
    if isa == PORTABLE or x.ndim != 4 or w.ndim != 4 or x.dtype not in CODES or w.dtype not in CODES:
        return None
    if not x.size or w.shape[1] != 1 or not len(w) == x.shape[1] == geometry.group:
        return None
    surface = surfaced(x, x.dtype, max(geometry.pads), pitch_of(x.shape[1]))
    if surface.shape[3] != pitch_of(x.shape[1]):
        return None
    lies = (surface.margin, asked_margin())
    key = (isa, id(w), id(bias), id(rq), residual is None, geometry, x.shape, lies, x.dtype)
    made: Channels | None = remembered(
        forms,
        "channels",
        key,
        lambda: _prepare(isa, surface, x, w, bias, geometry, rq, residual),
        (w, bias, rq),
    )
    if made is None:
        return None
    out = new_surface(made.shape, made.dtype, margin_of(made.shape))
    to = surface_of(out)
    assert to is not None
    call = made.on(surface, to)
    if surface is x.base:
        note((x,), (out,), (call,), made, made.work)
    if residual is not None:
        return finish("conv2d", Accumulator(np.ascontiguousarray(out), made.reach), 1, rq, residual)
    return requantize(out, rq, 1) if made.dtype == np.int32 and rq is not None else out, 0


def _prepare(
    isa: str,
    surface: Surface,
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None,
    geometry: ConvGeometry,
    rq: Requantize | None,
    residual: Residual | None,
) -> Channels | None:
    from qworkbench.emulator.kernels.vector import depthwise, pair_sweeps

    checks.convolution("conv2d", x, w, geometry)
    count, pitch = len(w), surface.shape[3]
    shape = (x.shape[0], count, *geometry.output_size(x.shape[2], x.shape[3]))
    start = checks.bias("conv2d", bias, count)
    sums, magnitude = row_sums(w.reshape(count, -1))
    reach = int(np.abs(start).max(initial=0)) + most_of(x) * magnitude
    if reach >= INT32_LIMIT:
        return None
    if rq is not None:
        checks.requantize("conv2d", rq, count)
    mode = _mode(rq, reach) if residual is None else depthwise.INT32
    square = geometry.kernel == (3, 3) and geometry.dilations == (1, 1) and geometry.strides in ((1, 1), (2, 2))
    narrow = x.dtype == np.int8 and w.dtype == np.int8
    dots = narrow and mode == depthwise.INT8
    arm, full = isa in ("dotprod", "neon"), isa == "avx512vnni" and (dots or x.dtype == np.int16)
    columns = (full or isa == "dotprod") and square and dots
    fours = full and dots and not columns
    paired = square and not columns and (not full or x.dtype == np.int16)
    scale = np.zeros(pitch, np.float64 if mode == depthwise.INT16 else np.float32)
    if rq is not None and mode != depthwise.INT32:
        scale[:count] = rq.multiplier
    begin = np.zeros(pitch, np.int32)
    begin[:count] = (start - 128 * sums if dots and full else start).astype(np.int32)
    row = np.zeros(depthwise.WORDS, np.int64)
    if columns:
        weights, begin, scale = weight_lines(w[:, 0], pitch), lines(begin), lines(scale)
        taps, sweep = np.zeros(1, np.int64), _columns(isa)
    elif paired and arm:
        from qworkbench.emulator.kernels.vector import neon_depthwise

        weights, taps, sweep = neon_depthwise.rows_of(w, pitch), np.zeros(1, np.int64), neon_depthwise.widening_neon
    elif paired:
        block = pair_sweeps.BLOCK512 if full else pair_sweeps.BLOCK256
        rows = depthwise.in_dots(w[:, 0], 2).reshape(count, -1, 2)
        weights, begin, scale = pair_sweeps.halves(rows, begin, scale, block)
        taps, sweep = np.zeros(1, np.int64), pair_sweeps.pairs_avx512 if full else pair_sweeps.pairs_avx2
    elif fours:
        from qworkbench.emulator.kernels.vector.fours import fours_avx512, in_blocks

        weights, taps = in_blocks(w.reshape(count, -1), begin, scale), _taps(surface, geometry, 4)
        sweep = fours_avx512
    elif not arm and (x.dtype == np.int16 or not full):
        from qworkbench.emulator.kernels.vector.twos import twos_avx2, twos_avx512

        block, sweep = (pair_sweeps.BLOCK512, twos_avx512) if full else (pair_sweeps.BLOCK256, twos_avx2)
        taps, twos = _taps(surface, geometry, 2), depthwise.in_dots(w.reshape(count, -1), 2)
        weights, begin, scale = pair_sweeps.halves(twos, begin, scale, block)
    else:
        taps, sweep = _taps(surface, geometry, 1), depthwise.taps_any
        weights = np.zeros((taps.size, pitch), np.int16)
        weights[:, :count] = w.reshape(count, -1).T
    row[depthwise.X_IMAGE], row[depthwise.X_ROW], row[depthwise.X_PIXEL] = surface.strides[:3]
    row[depthwise.BATCH], row[depthwise.HEIGHT], row[depthwise.WIDTH] = shape[0], shape[2], shape[3]
    row[depthwise.STRIDE_H], row[depthwise.STRIDE_W] = geometry.strides
    row[depthwise.TAPS], row[depthwise.TAP_COUNT] = taps.ctypes.data, taps.size
    row[depthwise.WEIGHTS], row[depthwise.BIAS] = weights.ctypes.data, begin.ctypes.data
    row[depthwise.SCALE], row[depthwise.CHANNELS] = scale.ctypes.data, pitch
    row[depthwise.BYTES], row[depthwise.MODE] = x.itemsize, mode
    row[depthwise.SIGN] = sign().ctypes.data
    if rq is not None:
        row[depthwise.LOW], row[depthwise.HIGH] = rq.low, rq.high
    dtype = {depthwise.INT8: np.int8, depthwise.INT16: np.int16}.get(mode, np.int32)
    margin = margin_of(shape)
    line = (shape[3] + 2 * margin) * pitch * np.dtype(dtype).itemsize
    row[depthwise.OUT_IMAGE], row[depthwise.OUT_ROW] = (shape[2] + 2 * margin) * line, line
    row[depthwise.OUT_PIXEL] = pitch * np.dtype(dtype).itemsize
    work = int(np.prod(shape)) * w[0].size
    return Channels(row, sweep, columns or paired, shape, dtype, reach, geometry, work, (weights, begin, scale, taps))


def _taps(surface: Surface, geometry: ConvGeometry, together: int) -> np.ndarray:
    """Return the bytes from the first pixel of a window to each, so many `together`; the last repeats, unweighed."""
    down = np.arange(geometry.kernel[0]) * geometry.dilations[0] * surface.strides[1]
    across = np.arange(geometry.kernel[1]) * geometry.dilations[1] * surface.strides[2]
    taps = (down[:, None] + across).reshape(-1).astype(np.int64)
    return np.concatenate([taps, np.repeat(taps[-1:], -taps.size % together)])


def _columns(isa: str) -> RowKernel:
    if isa == "dotprod":
        from qworkbench.emulator.kernels.vector.neon_depthwise import columns_dotprod

        return columns_dotprod
    from qworkbench.emulator.kernels.vector.depthwise import columns_avx512

    return columns_avx512


def _mode(rq: Requantize | None, reach: int) -> int:
    from qworkbench.emulator.kernels.vector import depthwise

    if rq is None or rq.rounding != "half_even" or reach * float(np.max(rq.multiplier)) >= 2.0**30:
        return depthwise.INT32
    if rq.kind == "float64" and rq.dtype == "int16":
        return depthwise.INT16
    return depthwise.INT8 if rq.kind == "float32" and rq.dtype == "int8" else depthwise.INT32
