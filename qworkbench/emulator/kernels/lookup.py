"""Lookup tables in one pass over lines: 256 entries of int8 from registers where there are such, others from memory."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import numpy as np

from qworkbench.emulator.kernels.calls import RESULT, Call, note, perform
from qworkbench.emulator.kernels.compiled import RowKernel, kernel
from qworkbench.emulator.kernels.isa import features, vectors
from qworkbench.emulator.kernels.lines import Runs, lined, runs_of
from qworkbench.emulator.kernels.surface import new_surface, surface_of
from qworkbench.emulator.kernels.values import Surface, new_array
from qworkbench.numerics import checks
from qworkbench.numerics.tables import SegmentTable


@kernel()
def _look_up8(q: np.ndarray, at: Any, table: np.ndarray, out: np.ndarray, to: Any, span: Any) -> None:
    """``out = table[q + 128]`` for int8 q."""
    images, rows, length = span
    for n in range(images):
        for r in range(rows):
            codes, result = q[at[0] + n * at[1] + r * at[2] :], out[to[0] + n * to[1] + r * to[2] :]
            for i in range(length):
                result[i] = table[np.uint64(np.int64(codes[i]) + 128)]


@kernel()
def _look_up16(q: np.ndarray, at: Any, table: np.ndarray, out: np.ndarray, to: Any, span: Any) -> None:
    """``out = table[q + 32768]`` for int16 q."""
    images, rows, length = span
    for n in range(images):
        for r in range(rows):
            codes, result = q[at[0] + n * at[1] + r * at[2] :], out[to[0] + n * to[1] + r * to[2] :]
            for i in range(length):
                result[i] = table[np.uint64(np.int64(codes[i]) + 32768)]


@kernel()
def _expand(rows: np.ndarray, entry: np.ndarray, full: np.ndarray) -> None:
    """``full[q + 32768]`` of every int16 code q: ``v[j] + ((v[j+1] - v[j]) * f + 2**shift / 2 >> shift)`` in int32.

    j = (q - first) >> shift, f = (q - first) mod 2**shift, v = the segment's entries and its end value.
    """
    last_row = rows.shape[0] - 1
    below, above = np.int32(rows[1, 0]), np.int32(rows[last_row - 1, 1])
    for q in range(-32768, below):
        full[q + 32768] = rows[0, 3]
    for q in range(above + 1, 32768):
        full[q + 32768] = rows[last_row, 3]
    for segment in range(entry.shape[0]):
        first, last = np.int32(rows[segment + 1, 0]), np.int32(rows[segment + 1, 1])
        shift, end = np.int32(rows[segment + 1, 2]), np.int32(rows[segment + 1, 3])
        half = np.int32(np.int32(np.int32(1) << shift) >> np.int32(1))
        for q in range(first, last + 1):
            node = (q - first) >> shift
            rest = np.int32((q - first) - (node << shift))
            value = np.int32(entry[segment, node])
            after = np.int32(entry[segment, node + 1]) if node + 1 < entry.shape[1] else end
            rise = np.int32(np.int32(np.int32(after - value) * rest) + half)
            full[q + 32768] = np.int32(value + np.int32(rise >> shift))


def look_up(q: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Return ``table[q + 128]`` for int8 `q` and the 256 results of the codes from -128 up."""
    found = _in_registers(vectors()) if table.dtype == np.int8 and table.flags.c_contiguous else None
    if found is not None:
        return _from_registers(found, q, table)
    out, span, to, (codes,) = lined(table.dtype, q)
    _look_up8(*codes, table, *to, span)
    return out


@cache
def _in_registers(isa: str) -> RowKernel | None:
    """Return the kernel of a processor that looks bytes up in registers; None of others."""
    from qworkbench.emulator.kernels.vector import tables

    if isa == "avx512vnni":
        return tables.look_up_avx512 if "avx512vbmi" in features() else None
    return tables.look_up_neon if isa in ("dotprod", "neon") else None


def _from_registers(look: RowKernel, q: np.ndarray, table: np.ndarray) -> np.ndarray:
    from qworkbench.emulator.kernels.vector import tables as at

    surface = surface_of(q)
    row = np.zeros(at.WORDS, np.int64)
    row[at.TABLE] = table.ctypes.data
    call = Call(look, row, ((at.SOURCE, 0, 0), (at.TARGET, RESULT, 0)))
    if surface is None:
        runs = runs_of(q.shape, q.strides, 1, 3)
        if runs is None:
            q, runs = np.ascontiguousarray(q), Runs((1, 1, q.size), (0, 0, 1), (0, 0, 1))
        flat = new_array(q.shape, np.int8)
        row[at.IMAGES], row[at.ROWS], row[at.LENGTH] = runs.sizes
        (row[at.IMAGE], row[at.ROW], _), (row[at.TO_IMAGE], row[at.TO_ROW], _) = runs.here, runs.there
        perform(call, (q.ctypes.data,), flat.ctypes.data)
        note((q,), (flat,), (call,), table)
        return flat
    batch, _, height, width = surface.inside
    pitch = surface.shape[3]
    out = new_surface(surface.inside, np.int8, surface.margin, pitch)
    to = cast(Surface, out.base)
    row[at.IMAGE], _, row[at.ROW], _ = surface.seen
    row[at.TO_IMAGE], _, row[at.TO_ROW], _ = to.seen
    row[at.IMAGES], row[at.ROWS], row[at.LENGTH] = batch, height, width * pitch
    perform(call, (surface.origin,), to.origin)
    note((q,), (out,), (call,), table)
    return out


def lut(q: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Return ``table[q + 128]`` for int8 `q`; see :func:`qworkbench.numerics.reference.lut`."""
    checks.codes("lut", q, allowed=("int8",))
    checks.table8("lut", table)
    return look_up(q, table)


def lut16(q: np.ndarray, table: SegmentTable) -> np.ndarray:
    """Return the int16 function of int16 `q`; see :func:`qworkbench.numerics.reference.lut16`.

    The segments are expanded to all 65,536 codes first, which costs 0.1 ms and makes the pass one load per code.
    """
    checks.codes("lut16", q, allowed=("int16",))
    full = table.full
    if full is None:
        full = np.empty(65536, dtype=np.int16)
        _expand(np.array(table.range), np.array(table.entry), full)
    out, span, to, (codes,) = lined(np.int16, q)
    _look_up16(*codes, full, *to, span)
    return out
