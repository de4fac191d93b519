"""The inner product behind convolution, linear layer and matmul: many rows against many rows, exact.

``out[i, j] = start[i or j] + sum_k a[i, k] * b[j, k]``. A 4 x 4 tile of sums stays in registers while k runs over
contiguous memory, a form that LLVM turns into the pair-sum instructions of the machine. Sums are int32 where a bound
proves that no true sum leaves int32 (then wrap-around on the way is harmless), int64 otherwise.
"""

from __future__ import annotations

import numpy as np

from qworkbench.emulator.kernels.compiled import kernel
from qworkbench.emulator.kernels.views import owned

INT32_LIMIT = 2**31
DEPTH_MULTIPLE = 32


@kernel()
def _dots32(a: np.ndarray, b: np.ndarray, out: np.ndarray, offset: int, step_i: int, step_j: int) -> None:
    """``out[offset + i * step_i + j * step_j] += sum_k a[i, k] * b[j, k]`` modulo 2**32."""
    rows, depth = a.shape
    columns = b.shape[0]
    for i in range(0, rows - 3, 4):
        a0, a1, a2, a3 = a[i], a[i + 1], a[i + 2], a[i + 3]
        o0 = offset + i * step_i
        o1, o2, o3 = o0 + step_i, o0 + 2 * step_i, o0 + 3 * step_i
        for j in range(0, columns - 3, 4):
            b0, b1, b2, b3 = b[j], b[j + 1], b[j + 2], b[j + 3]
            s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = np.int32(0)
            s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = np.int32(0)
            for k in range(depth):
                p0, p1, p2, p3 = np.int32(a0[k]), np.int32(a1[k]), np.int32(a2[k]), np.int32(a3[k])
                q0, q1, q2, q3 = np.int32(b0[k]), np.int32(b1[k]), np.int32(b2[k]), np.int32(b3[k])
                s00 = np.int32(s00 + np.int32(p0 * q0))
                s01 = np.int32(s01 + np.int32(p0 * q1))
                s02 = np.int32(s02 + np.int32(p0 * q2))
                s03 = np.int32(s03 + np.int32(p0 * q3))
                s10 = np.int32(s10 + np.int32(p1 * q0))
                s11 = np.int32(s11 + np.int32(p1 * q1))
                s12 = np.int32(s12 + np.int32(p1 * q2))
                s13 = np.int32(s13 + np.int32(p1 * q3))
                s20 = np.int32(s20 + np.int32(p2 * q0))
                s21 = np.int32(s21 + np.int32(p2 * q1))
                s22 = np.int32(s22 + np.int32(p2 * q2))
                s23 = np.int32(s23 + np.int32(p2 * q3))
                s30 = np.int32(s30 + np.int32(p3 * q0))
                s31 = np.int32(s31 + np.int32(p3 * q1))
                s32 = np.int32(s32 + np.int32(p3 * q2))
                s33 = np.int32(s33 + np.int32(p3 * q3))
            c = j * step_j
            out[o0 + c] += s00
            out[o1 + c] += s10
            out[o2 + c] += s20
            out[o3 + c] += s30
            c += step_j
            out[o0 + c] += s01
            out[o1 + c] += s11
            out[o2 + c] += s21
            out[o3 + c] += s31
            c += step_j
            out[o0 + c] += s02
            out[o1 + c] += s12
            out[o2 + c] += s22
            out[o3 + c] += s32
            c += step_j
            out[o0 + c] += s03
            out[o1 + c] += s13
            out[o2 + c] += s23
            out[o3 + c] += s33
        for j in range(columns - columns % 4, columns):
            b0 = b[j]
            s00 = s10 = s20 = s30 = np.int32(0)
            for k in range(depth):
                q0 = np.int32(b0[k])
                s00 = np.int32(s00 + np.int32(np.int32(a0[k]) * q0))
                s10 = np.int32(s10 + np.int32(np.int32(a1[k]) * q0))
                s20 = np.int32(s20 + np.int32(np.int32(a2[k]) * q0))
                s30 = np.int32(s30 + np.int32(np.int32(a3[k]) * q0))
            c = j * step_j
            out[o0 + c] += s00
            out[o1 + c] += s10
            out[o2 + c] += s20
            out[o3 + c] += s30
    for i in range(rows - rows % 4, rows):
        a0 = a[i]
        for j in range(columns):
            b0 = b[j]
            s00 = np.int32(0)
            for k in range(depth):
                s00 = np.int32(s00 + np.int32(np.int32(a0[k]) * np.int32(b0[k])))
            out[offset + i * step_i + j * step_j] += s00


@kernel()
def _dots64(a: np.ndarray, b: np.ndarray, out: np.ndarray, offset: int, step_i: int, step_j: int) -> None:
    """``out[offset + i * step_i + j * step_j] += sum_k a[i, k] * b[j, k]`` in int64."""
    for i in range(a.shape[0]):
        a0 = a[i]
        for j in range(b.shape[0]):
            b0 = b[j]
            total = np.int64(0)
            for k in range(a.shape[1]):
                total += np.int64(np.int32(np.int32(a0[k]) * np.int32(b0[k])))
            out[offset + i * step_i + j * step_j] += total


@kernel()
def _row_sums(rows: np.ndarray, sums: np.ndarray) -> np.int64:
    """``sums[i] = sum_k rows[i, k]``; return ``max_i sum_k |rows[i, k]|``. int32 holds 2**15 codes."""
    largest = np.int64(0)
    for i in range(rows.shape[0]):
        total = magnitude = np.int64(0)
        for first in range(0, rows.shape[1], 1 << 15):
            part = rows[i, first : first + (1 << 15)]
            near = far = np.int32(0)
            for k in range(part.size):
                code = np.int32(part[k])
                near = np.int32(near + code)
                far = np.int32(far + (-code if code < 0 else code))
            total += near
            magnitude += far
        sums[i] = total
        largest = max(largest, magnitude)
    return largest


def row_sums(rows: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the int64 sum of each row of int8 or int16 codes, and the largest sum of magnitudes of a row."""
    sums = np.empty(len(rows), dtype=np.int64)
    return sums, int(_row_sums(owned(rows), sums))


def largest_code(x: np.ndarray) -> int:
    """Return ``max|x|``; 128 for int8, which is proof enough and needs no look at the data."""
    if x.dtype == np.int8 or not x.size:
        return 128
    return max(int(x.max()), -int(x.min()))


def depth_of(length: int) -> int:
    """Return `length` rounded up to whole vectors; the extra elements of `a` are zero."""
    return -(-length // DEPTH_MULTIPLE) * DEPTH_MULTIPLE


def padded_rows(rows: np.ndarray, dtype: type[np.generic]) -> np.ndarray:
    """Return 2-D `rows` as `dtype`, zero-padded to :func:`depth_of` columns."""
    length = rows.shape[1]
    depth = depth_of(length)
    if depth == length and rows.dtype == dtype:
        return owned(rows)
    out = np.zeros((rows.shape[0], depth), dtype=dtype)
    out[:, :length] = rows
    return out


def accumulate(
    a: np.ndarray, b: np.ndarray, out: np.ndarray, offset: int = 0, steps: tuple[int, int] | None = None
) -> None:
    """Add ``a @ b.T`` into the flat view of `out` (int32 or int64, C-contiguous).

    Parameters
    ----------
    a, b : numpy.ndarray
        (I, K) and (J, K), C-contiguous, both int16, or int8 and uint8.
    out : numpy.ndarray
        int32: the caller has proved that no true sum leaves int32. int64: sums are int64.
    offset : int
        Flat index of element (0, 0).
    steps : (int, int) or None
        Flat distance of rows and columns; None is (J, 1).
    """
    step_i, step_j = steps or (b.shape[0], 1)
    kernel = _dots32 if out.dtype == np.int32 else _dots64
    kernel(a, b, out.reshape(-1), offset, step_i, step_j)
