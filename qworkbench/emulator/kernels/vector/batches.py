"""Products of two activations as tiles: the right side is packed as a weight is, but anew for every product.

Both sides are read where they lie: transposed and permuted operands are other steps, not copies. Rows of the left are
pixels, columns of the right output channels (:mod:`.product`).
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from qworkbench.emulator.kernels.calls import RESULT, Call, note, perform
from qworkbench.emulator.kernels.memory import Memory
from qworkbench.emulator.kernels.rescale import requantize
from qworkbench.emulator.kernels.surface import aligned
from qworkbench.emulator.kernels.vector import packing
from qworkbench.emulator.kernels.vector import parameters as at
from qworkbench.emulator.kernels.vector.amx_layers import LENGTH, tiles_for
from qworkbench.emulator.kernels.vector.parts import most_of
from qworkbench.emulator.kernels.vector.paths import Path, path_for
from qworkbench.emulator.kernels.vector.product import INT32_LIMIT, WORTH_A_THREAD, Product, prepared
from qworkbench.numerics.arithmetic import Requantize
from qworkbench.numerics.dtypes import NUMPY

WORTH_PACKING = 1 << 14  # multiply-accumulates of one product of two activations
KEPT = 512
Lies = tuple[np.dtype, tuple[int, ...], tuple[int, ...]]
"""Dtype, shape and strides."""


def multiply_batches(a: np.ndarray, b: np.ndarray, outer: tuple[int, ...], rq: Requantize | None) -> np.ndarray | None:
    """Return ``a @ b`` requantized, batch by batch, as :func:`qworkbench.numerics.reference.matmul`, or None."""
    (count, length), outputs = a.shape[-2:], b.shape[-1]
    path = path_for(a.dtype, b.dtype, product=True)
    if path is None or not a.size or not b.size or count * length * outputs < WORTH_PACKING:
        return None
    path = _tiles(path, a, b) or path
    reach, always = _reach(a, b)
    if reach >= INT32_LIMIT:
        return None
    left, right = _readable(path, a), np.ascontiguousarray(b) if min(b.strides) < 0 else b
    products = _products(path, _lies(left), _lies(right), outer, reach, rq)
    pitch = products.pitch
    out = aligned(prod(outer) * count * pitch, products.dtype).reshape(*outer, count, pitch)
    perform(products.call, (left.ctypes.data, right.ctypes.data), out.ctypes.data)
    whole = out if pitch == outputs else out[..., :outputs]
    if rq is not None and products.dtype != NUMPY[rq.dtype]:
        return requantize(whole, rq, -1)
    if always and left is a and right is b and whole is out:
        note((a, b), (whole,), (products.call,), products, products.work)
    return whole


def _tiles(path: Path, a: np.ndarray, b: np.ndarray) -> Path | None:
    """Return the path of AMX tiles where the products are theirs: rows of whole steps, or copied anyway."""
    (count, length), outputs = a.shape[-2:], b.shape[-1]
    if a.dtype != np.int8 or (length % LENGTH and _in_place(path, a)) or a.strides[-2] <= 0:
        return None
    return tiles_for(a.dtype, b.dtype, (outputs, 1, length), count)


def _lies(x: np.ndarray) -> Lies:
    return x.dtype, x.shape, x.strides


class _Products(NamedTuple):
    """The call that computes all products, and what it needs; results are rows of `pitch` numbers of `dtype`."""

    call: Call
    dtype: type[np.generic]
    pitch: int
    work: int
    kept: tuple[object, ...]


@lru_cache(KEPT)
def _products(
    path: Path, left: Lies, right: Lies, outer: tuple[int, ...], reach: int, rq: Requantize | None
) -> _Products:
    """Return what computes the products of operands that lie so."""
    count, (length, outputs), item = left[1][-2], right[1][-2:], right[0].itemsize
    product = _prepared(path, count, length, outputs, left[2][-2], reach, rq)
    pitch, matrices = _pitch(path, outputs), prod(outer)
    dtype = np.int32 if rq is None or product.mode == at.INT32 else NUMPY[rq.dtype]
    starts = [_starts(shape, strides, outer) for _, shape, strides in (left, right)]
    row = np.zeros(packing.WORDS, np.int64)
    row[packing.SWEEP], row[packing.ROW] = path.sweep.address, product.row.ctypes.data
    row[packing.COUNT] = matrices
    row[packing.LEFT_AT], row[packing.RIGHT_AT] = (table.ctypes.data for table in starts)
    row[packing.OUT_STEP], row[packing.CODE_BYTES] = count * pitch * np.dtype(dtype).itemsize, item
    row[packing.STEP_K], row[packing.STEP_N] = (step // item for step in right[2][-2:])
    row[packing.LENGTH], row[packing.OUTPUTS], row[packing.PER_WORD] = length, outputs, path.per_word
    row[packing.GROUPS] = _padded(path, length) // path.per_word
    row[packing.CHANNELS], row[packing.WEIGHT] = path.channels, -128 if path.shifts else 0
    row[packing.WIDE], row[packing.TAIL] = path.panels(outputs)
    work = product.work * matrices
    slots = ((packing.LEFT, 0, 0), (packing.RIGHT, 1, 0), (packing.OUT, RESULT, 0))
    call = Call(packing.multiply_all, row, slots, matrices > 1 and work >= WORTH_A_THREAD)
    return _Products(call, dtype, pitch, work, (product, starts))


def _starts(shape: tuple[int, ...], strides: tuple[int, ...], outer: tuple[int, ...]) -> np.ndarray:
    """Return where in memory each matrix begins, in bytes behind the first; an operand repeats over `outer`."""
    own = (1,) * (len(outer) - len(shape) + 2) + shape[:-2]
    steps = (0,) * (len(outer) - len(shape) + 2) + strides[:-2]
    found = np.zeros(1, np.int64)
    for size, mine, step in zip(outer, own, steps, strict=True):
        found = (found[:, None] + np.arange(size) * (step if mine > 1 else 0)).reshape(-1)
    return found


def _reach(a: np.ndarray, b: np.ndarray) -> tuple[int, bool]:
    """Return a bound of every sum, and whether it holds whatever the codes; of int8 its length is proof enough."""
    largest = most_of(a)
    if b.dtype == np.int8 and largest * 128 * int(a.shape[-1]) < INT32_LIMIT:
        return largest * 128 * int(a.shape[-1]), True
    return largest * int(np.abs(b.astype(np.int32)).sum(axis=-2, dtype=np.int64).max(initial=0)), False


def _padded(path: Path, length: int) -> int:
    """Return `length` in whole steps of the path."""
    step = LENGTH if path.tiles else path.per_word
    return -(-length // step) * step


def _in_place(path: Path, a: np.ndarray) -> bool:
    """Tell whether the path can read `a` where it lies.

    What is read behind a row meets weights that are zero; behind memory of ours there is always more.
    """
    beside = a.strides[-1] == a.itemsize and min(a.strides) >= 0
    whole = _padded(path, a.shape[-1]) == a.shape[-1] or type(a.base) is Memory
    return beside and a.dtype == path.codes and whole


def _readable(path: Path, a: np.ndarray) -> np.ndarray:
    """Return `a` with adjacent codes along its rows as the path reads them, in whole words."""
    if _in_place(path, a):
        return a
    length = a.shape[-1]
    padded = _padded(path, length)
    out = aligned(a.size // length * padded, path.codes).reshape(*a.shape[:-1], padded)
    out[..., :length] = a
    out[..., length:] = 0
    return out


def _pitch(path: Path, outputs: int) -> int:
    """Return the distance of output rows: a path that cannot mask its stores fills whole panels."""
    return outputs if path.masks else -(-outputs // path.channels) * path.channels


def _prepared(
    path: Path, count: int, length: int, outputs: int, row_step: int, reach: int, rq: Requantize | None
) -> Product:
    """Return the product that lacks only addresses: of both operands, of the result and of what corrects the sums."""
    wide, _ = path.panels(outputs)
    index = np.arange(count)
    tables = (index * row_step, index * _pitch(path, outputs), np.zeros(1, np.int64), np.zeros(wide + 1, np.int64))
    none = np.zeros(0, path.codes)
    shape = (outputs, 1, _padded(path, length))
    made = prepared(path, none, shape, np.zeros(outputs, np.int64), reach, rq, None, tables)
    assert made is not None  # rows at one distance, and as many as a tile has, fit
    return made
