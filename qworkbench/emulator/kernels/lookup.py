"""Lookup tables in one flat pass; maximum and minimum of same-scale codes, where numpy is at memory speed already."""

from __future__ import annotations

import numba
import numpy as np

from qworkbench.emulator.kernels.views import owned
from qworkbench.numerics import checks
from qworkbench.numerics.tables import SegmentTable


@numba.njit(cache=True, nogil=True)
def _look_up(q: np.ndarray, table: np.ndarray, out: np.ndarray) -> None:
    """``out = table[q]`` for unsigned q that cannot leave the table."""
    for i in range(q.size):
        out[i] = table[q[i]]


@numba.njit(cache=True, nogil=True)
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


def lut(q: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Return ``table[q + 128]`` for int8 `q`; see :func:`qworkbench.numerics.reference.lut`."""
    checks.codes("lut", q, allowed=("int8",))
    checks.table8("lut", table)
    out = np.empty(q.shape, dtype=table.dtype)
    _look_up(owned(q).reshape(-1).view(np.uint8), np.roll(table, 128), out.reshape(-1))
    return out


def lut16(q: np.ndarray, table: SegmentTable) -> np.ndarray:
    """Return the int16 function of int16 `q`; see :func:`qworkbench.numerics.reference.lut16`.

    The segments are expanded to all 65,536 codes first, which costs 0.1 ms and makes the pass one load per code.
    """
    checks.codes("lut16", q, allowed=("int16",))
    full = table.full
    if full is None:
        full = np.empty(65536, dtype=np.int16)
        _expand(owned(table.range), owned(table.entry), full)
    out = np.empty(q.shape, dtype=np.int16)
    _look_up(owned(q).reshape(-1).view(np.uint16), np.roll(full, 32768), out.reshape(-1))
    return out


def maximum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the larger of two codes of one scale and dtype; operands broadcast."""
    checks.same_codes("maximum", a, b)
    return np.asarray(np.maximum(a, b))


def minimum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the smaller of two codes of one scale and dtype; operands broadcast."""
    checks.same_codes("minimum", a, b)
    return np.asarray(np.minimum(a, b))
