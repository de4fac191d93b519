"""Lookup tables in one pass over lines: 256 entries of int8 from registers where there are such, others from memory."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import numpy as np

from qworkbench.emulator.kernels.calls import RESULT, Call, note, perform
from qworkbench.emulator.kernels.compiled import RowKernel, inner, kernel, row_kernel
from qworkbench.emulator.kernels.isa import PORTABLE, features, vectors
from qworkbench.emulator.kernels.lines import Runs, runs_of
from qworkbench.emulator.kernels.surface import new_surface, surface_of
from qworkbench.emulator.kernels.values import Surface, new_array
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector import tables as at
from qworkbench.emulator.kernels.vector.ir import carray
from qworkbench.numerics import checks
from qworkbench.numerics.tables import SegmentTable


@inner
def _each(codes: Any, first: int, table: Any, out: Any, length: int) -> None:
    for i in range(length):
        out[i] = table[np.uint64(np.int64(codes[i]) + first)]


@row_kernel
def _from_memory(row: int) -> None:
    """``out = table[q - least code]`` in lines of LENGTH: codes of FROM bytes, entries of TO bytes."""
    p = carray(v.int64_at(row), at.WORDS)
    for n in range(p[at.IMAGES]):
        for r in range(p[at.ROWS]):
            source, target = at.line_of(p, n, r)
            if p[at.FROM] == 1:
                codes = v.int8_at(source)
                if p[at.TO] == 1:
                    _each(codes, 128, v.int8_at(p[at.TABLE]), v.int8_at(target), p[at.LENGTH])
                elif p[at.TO] == 2:
                    _each(codes, 128, v.int16_at(p[at.TABLE]), v.int16_at(target), p[at.LENGTH])
                else:
                    _each(codes, 128, v.int32_at(p[at.TABLE]), v.int32_at(target), p[at.LENGTH])
            else:
                _each(v.int16_at(source), 32768, v.int16_at(p[at.TABLE]), v.int16_at(target), p[at.LENGTH])


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
    """Return ``table[q + 128]`` for int8 `q`, ``table[q + 32768]`` for int16: entries for all codes, from the least up.

    They are int8, int16 or int32, those of int16 codes int16.
    """
    table = np.ascontiguousarray(table)
    narrow = q.dtype == table.dtype == np.int8
    row = np.zeros(at.WORDS, np.int64)
    row[at.TABLE], row[at.FROM], row[at.TO] = table.ctypes.data, q.itemsize, table.itemsize
    look = (_in_registers(vectors()) if narrow else None) or _from_memory
    call = Call(look, row, ((at.SOURCE, 0, 0), (at.TARGET, RESULT, 0)))
    surface = surface_of(q)
    if surface is None:
        runs = runs_of(q.shape, q.strides, q.itemsize, 3)
        if runs is None:
            q = np.ascontiguousarray(q)
            runs = Runs((1, 1, q.size), (0, 0, 1), (0, 0, 1))
        flat = new_array(q.shape, table.dtype)
        row[at.IMAGES], row[at.ROWS], row[at.LENGTH] = runs.sizes
        (row[at.IMAGE], row[at.ROW], _), there = runs.here, runs.there
        row[at.TO_IMAGE], row[at.TO_ROW] = (step // q.itemsize * table.itemsize for step in there[:2])
        perform(call, (q.ctypes.data,), flat.ctypes.data)
        note((q,), (flat,), (call,), table)
        return flat
    batch, _, height, width = surface.inside
    pitch = surface.shape[3]
    out = new_surface(surface.inside, table.dtype, surface.margin, pitch)
    to = cast(Surface, out.base)
    row[at.IMAGE], _, row[at.ROW], _ = surface.seen
    row[at.TO_IMAGE], _, row[at.TO_ROW], _ = to.seen
    row[at.IMAGES], row[at.ROWS], row[at.LENGTH] = batch, height, width * pitch
    perform(call, (surface.origin,), to.origin)
    note((q,), (out,), (call,), table)
    return out


@cache
def _in_registers(isa: str) -> RowKernel | None:
    """Return the kernel of a processor that looks bytes up in registers; None of others."""
    if isa in ("dotprod", "neon"):
        return at.look_up_neon
    if "avx512vbmi" in features() and isa == "avx512vnni":
        return at.look_up_avx512
    return None if isa == PORTABLE else at.look_up_avx2


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
    return look_up(q, full)
