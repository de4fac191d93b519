"""Memory that packed weights lie in."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest

from qworkbench.emulator.kernels import slabs
from qworkbench.emulator.kernels.memory import LINE, SLACK


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
def test_pieces_begin_on_a_line_and_do_not_meet(dtype):
    sizes = [1, 63, 64, 5000, slabs.SLAB // 4, slabs.SLAB // 2, 3]
    pieces = [slabs.lasting(size, dtype) for size in sizes]
    for number, piece in enumerate(pieces):
        piece[...] = number
    for number, (size, piece) in enumerate(zip(sizes, pieces, strict=True)):
        assert piece.shape == (size,)
        assert piece.dtype == dtype
        assert piece.ctypes.data % LINE == 0
        assert (piece == number).all()
    ends = sorted((piece.ctypes.data, piece.ctypes.data + piece.nbytes) for piece in pieces)
    assert all(end + SLACK <= begin for (_, end), (begin, _) in pairwise(ends))


def test_a_piece_larger_than_a_slab_has_one_of_its_own():
    piece = slabs.lasting(slabs.SLAB + 5, np.int8)
    piece[...] = 7
    assert piece.size == slabs.SLAB + 5


def test_a_slab_is_free_when_nothing_in_it_is_held():
    slabs._current.clear()
    kept = slabs.lasting(10, np.int8)
    whole = kept
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    gone = weakref.ref(whole)
    slabs._current.clear()
    gc.collect()
    assert gone() is not None
    del kept, whole
    gc.collect()
    assert gone() is None


def test_threads_get_different_pieces():
    with ThreadPoolExecutor(8) as pool:
        pieces = list(pool.map(lambda _: slabs.lasting(1000, np.int8), range(400)))
    assert len({piece.ctypes.data for piece in pieces}) == len(pieces)


def test_a_system_without_large_pages_will_do(monkeypatch):
    monkeypatch.delattr(slabs.mmap, "MADV_HUGEPAGE", raising=False)
    slabs._current.clear()
    assert slabs.lasting(5, np.int16).size == 5
