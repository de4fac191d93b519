"""Products of two activations as tiles: the right side is packed as a weight is, but anew for every product.

Both sides are read where they lie: transposed and permuted operands are other steps, not copies. Rows of the left are
pixels, columns of the right output channels (:mod:`.product`).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from qworkbench.emulator.kernels.compiled import kernel
from qworkbench.emulator.kernels.rescale import requantize
from qworkbench.emulator.kernels.surface import aligned
from qworkbench.emulator.kernels.vector import parameters as at
from qworkbench.emulator.kernels.vector.paths import Path, path_for
from qworkbench.emulator.kernels.vector.product import INT32_LIMIT, Product, prepared
from qworkbench.numerics.arithmetic import Requantize
from qworkbench.numerics.dtypes import NUMPY

WORTH_PACKING = 1 << 14  # multiply-accumulates of one product of two activations
KEPT = 256


@kernel()
def _pack(
    b: np.ndarray, starts: np.ndarray, step_k: int, step_n: int, length: int, outputs: int, per_word: int,
    channels: int, wide: int, tail: int, words: np.ndarray, bias: np.ndarray, weight: int,
) -> None:  # fmt: skip
    """Write every b [k, n] as words [panel][group][channel] of `per_word` codes along k; bias = weight * sum over k."""
    bits = np.int32(32 // per_word)
    mask = np.int32((1 << bits) - 1)
    groups = (length + per_word - 1) // per_word
    bias[:] = np.int32(0)
    for index in range(starts.size):
        done = 0
        for panel in range(wide + (1 if tail else 0)):
            first = panel * channels
            width = channels if panel < wide else tail
            inside = min(width, outputs - first)
            totals = bias[index, first : first + inside]
            for group in range(groups):
                line = words[index, done : done + width]
                if step_k == 1 and per_word == 4 and 4 * group + 4 <= length:  # a word as it lies in memory
                    begin = starts[index] + 4 * group + first * step_n
                    for n in range(inside):
                        k = begin + n * step_n
                        c0, c1, c2, c3 = np.int32(b[k]), np.int32(b[k + 1]), np.int32(b[k + 2]), np.int32(b[k + 3])
                        low, high = (c0 & mask) | (c1 & mask) << np.int32(8), (c2 & mask) | (c3 & mask) << np.int32(8)
                        line[n] = np.int32(np.int32(low) | np.int32(high << np.int32(16)))
                        totals[n] += np.int32(np.int32(c0 + c1) + np.int32(c2 + c3))
                    line[inside:] = np.int32(0)
                    done += width
                    continue
                line[:] = np.int32(0)
                for j in range(min(per_word, length - group * per_word)):
                    shift = np.int32(j * bits)
                    begin = starts[index] + (group * per_word + j) * step_k + first * step_n
                    if step_n == 1:
                        row = b[begin : begin + inside]
                        for n in range(inside):
                            code = np.int32(row[n])
                            line[n] |= np.int32((code & mask) << shift)
                            totals[n] += code
                    else:
                        for n in range(inside):
                            code = np.int32(b[begin + n * step_n])
                            line[n] |= np.int32((code & mask) << shift)
                            totals[n] += code
                done += width
            for n in range(inside):
                totals[n] *= np.int32(weight)


def multiply_batches(a: np.ndarray, b: np.ndarray, outer: tuple[int, ...], rq: Requantize | None) -> np.ndarray | None:
    """Return ``a @ b`` requantized, batch by batch, as :func:`qworkbench.numerics.reference.matmul`, or None."""
    (count, length), outputs = a.shape[-2:], b.shape[-1]
    path = path_for(a.dtype, b.dtype)
    if path is None or not a.size or not b.size or count * length * outputs < WORTH_PACKING:
        return None
    reach = _reach(a, b)
    if reach >= INT32_LIMIT:
        return None
    right = np.ascontiguousarray(b) if min(b.strides) < 0 else b
    left, right = (np.broadcast_to(x, (*outer, *x.shape[-2:])) for x in (_readable(path, a), right))
    multiplier = None if rq is None else float(rq.multiplier.reshape(-1)[0])
    setting = None if rq is None else (rq.dtype, rq.low, rq.high, rq.rounding, rq.kind)
    product = _prepared(path, count, length, outputs, left.strides[-2], reach, multiplier, setting)
    pitch = _pitch(path, outputs)
    dtype = np.int32 if product.mode == at.INT32 or rq is None else NUMPY[rq.dtype]
    out = aligned(int(np.prod(outer)) * count * pitch, dtype).reshape(*outer, count, pitch)
    words, bias = _packed(path, right)
    row = product.row.copy()
    packed, begin = words.ctypes.data, bias.ctypes.data
    address, target, size = left.ctypes.data, out.ctypes.data, count * pitch * out.itemsize
    for index, offset in enumerate(_offsets(left)):
        row[at.WEIGHTS], row[at.BIAS] = packed + index * words.strides[0], begin + index * bias.strides[0]
        row[at.X], row[at.OUT], row[at.COUNTER] = address + offset, target + index * size, 0
        path.sweep(row)
    whole = out if pitch == outputs else out[..., :outputs]
    return whole if rq is None or product.mode != at.INT32 else requantize(whole, rq, -1)


def _offsets(x: np.ndarray) -> list[int]:
    """Return where in memory each matrix of `x` begins, in bytes behind the first."""
    found = np.zeros(1, np.int64)
    for size, step in zip(x.shape[:-2], x.strides[:-2], strict=True):
        found = (found[:, None] + np.arange(size) * step).reshape(-1)
    return list(map(int, found))


def _packed(path: Path, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each matrix of `b` packed as weights, and the bias that corrects shifted pixels."""
    length, outputs = b.shape[-2:]
    wide, tail = path.panels(outputs)
    starts = np.array(_offsets(b)) // b.itemsize
    step_k, step_n = (step // b.itemsize for step in b.strides[-2:])
    extent = 1 + int(starts[-1]) + (length - 1) * step_k + (outputs - 1) * step_n
    flat = np.lib.stride_tricks.as_strided(b, (extent,), (b.itemsize,), writeable=False)
    size = (wide * path.channels + tail) * -(-length // path.per_word)
    words = aligned(starts.size * size, np.int32).reshape(starts.size, size)
    bias = np.empty((starts.size, (wide + bool(tail)) * path.channels), np.int32)
    weight = -128 if path.shifts else 0
    _pack(flat, starts, step_k, step_n, length, outputs, path.per_word, path.channels, wide, tail, words, bias, weight)
    return words, bias


def _reach(a: np.ndarray, b: np.ndarray) -> int:
    """Return a bound of every sum; of int8 its length is proof enough."""
    largest = 128 if a.dtype == np.int8 else 32768
    if b.dtype == np.int8 and largest * 128 * int(a.shape[-1]) < INT32_LIMIT:
        return largest * 128 * int(a.shape[-1])
    return largest * int(np.abs(b.astype(np.int32)).sum(axis=-2, dtype=np.int64).max(initial=0))


def _readable(path: Path, a: np.ndarray) -> np.ndarray:
    """Return `a` with adjacent codes of whole words along its rows, as the path reads them."""
    length = a.shape[-1]
    padded = -(-length // path.per_word) * path.per_word
    if a.dtype == path.codes and padded == length and a.strides[-1] == a.itemsize and min(a.strides) >= 0:
        return a
    out = aligned(a.size // length * padded, path.codes).reshape(*a.shape[:-1], padded)
    out[..., :length] = a
    out[..., length:] = 0
    return out


def _pitch(path: Path, outputs: int) -> int:
    """Return the distance of output rows: a path that cannot mask its stores fills whole panels."""
    return outputs if path.masks else -(-outputs // path.channels) * path.channels


@lru_cache(KEPT)
def _prepared(
    path: Path,
    count: int,
    length: int,
    outputs: int,
    row_step: int,
    reach: int,
    multiplier: float | None,
    setting: tuple[object, ...] | None,
) -> Product:
    """Return the product that lacks only addresses: of both operands, of the result and of what corrects the sums."""
    rq = None if setting is None else Requantize(np.array([multiplier]), *setting)  # type: ignore[arg-type]
    wide, _ = path.panels(outputs)
    index = np.arange(count)
    tables = (index * row_step, index * _pitch(path, outputs), np.zeros(1, np.int64), np.zeros(wide + 1, np.int64))
    none = np.zeros(0, path.codes)
    return prepared(path, none, (outputs, 1, length), np.zeros(outputs, np.int64), reach, rq, None, tables)
