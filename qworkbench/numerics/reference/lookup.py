"""Functions of codes without arithmetic of their own: lookup tables, and maximum / minimum of same-scale codes."""

from __future__ import annotations

import numpy as np

from qworkbench.numerics import checks
from qworkbench.numerics.tables import SegmentTable


def lut(q: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Return ``table[q + 128]`` for int8 `q`; `table` holds 256 int8 or int16 codes."""
    checks.codes("lut", q, allowed=("int8",))
    checks.table8("lut", table)
    return np.asarray(table[q.astype(np.int64) + 128])


def lut16(q: np.ndarray, table: SegmentTable) -> np.ndarray:
    """Return the int16 function of int16 `q` by linear interpolation inside the segment that holds it.

    With d = q - first of its segment, j = d >> shift, f = d mod 2**shift and v the segment's 64 entries and its end
    value: ``y = v[j] + ((v[j+1] - v[j]) * f + 2**shift / 2 >> shift)``, int32. Codes below (above) all segments take
    the end value of the first (last) row. In exact mode ``y = table.full[q + 32768]``.
    """
    checks.codes("lut16", q, allowed=("int16",))
    if table.full is not None:
        return np.asarray(table.full[q.astype(np.int64) + 32768])
    rows = table.range.astype(np.int64)
    code = q.astype(np.int64)
    y = np.where(code < rows[1, 0], rows[0, 3], rows[-1, 3])
    for index, (first, last, shift, end) in enumerate(rows[1:-1]):
        values = np.append(table.entry[index].astype(np.int64), end)
        here = (code >= first) & (code <= last)
        distance = code[here] - first
        node, rest = distance >> shift, distance & ((1 << shift) - 1)
        rise = (values[node + 1] - values[node]) * rest
        y[here] = values[node] + ((rise + ((1 << shift) >> 1)) >> shift)
    return np.asarray(y.astype(np.int16))


def maximum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the larger of two codes of one scale and dtype; operands broadcast."""
    checks.same_codes("maximum", a, b)
    return np.asarray(np.maximum(a, b))


def minimum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the smaller of two codes of one scale and dtype; operands broadcast."""
    checks.same_codes("minimum", a, b)
    return np.asarray(np.minimum(a, b))
