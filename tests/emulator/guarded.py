"""Kernels on codes that end where memory does, in a process of its own: who reads on behind them kills it."""

from __future__ import annotations

import ctypes
import mmap

import numpy as np

from qworkbench.emulator import kernels
from qworkbench.numerics import Requantize, SegmentTable, reference
from tests.emulator.codes import assert_equal, random_codes

held: list[mmap.mmap] = []


def at_the_end(codes: np.ndarray) -> np.ndarray:
    """Return a copy whose last byte is that of a page, before one that nobody may read."""
    page = mmap.PAGESIZE
    pages = -(-codes.nbytes // page)
    held.append(mmap.mmap(-1, (pages + 1) * page))
    memory = np.frombuffer(held[-1], np.uint8)
    system = ctypes.CDLL(None)
    system.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    assert system.mprotect(memory.ctypes.data + pages * page, page, 0) == 0
    copy = memory[pages * page - codes.nbytes : pages * page].view(codes.dtype).reshape(codes.shape)
    copy[...] = codes
    return copy


def main() -> None:
    """Try what reads arrays where they lie."""
    rng = np.random.default_rng(17)
    for dtype in ("int8", "int16"):
        info = np.iinfo(dtype)
        rq = Requantize(
            np.array([1e-4]), dtype, info.min, info.max, "half_even", "float64" if info.max > 127 else "float32"
        )
        for length in (4, 12, 22, 64, 68, 108, 132):
            w = random_codes(rng, (9, length), "int8")
            x = random_codes(rng, (5, length), dtype)
            y = at_the_end(x)
            assert_equal(kernels.gemm(y, w, None, rq), reference.gemm(x, w, None, rq))
            assert_equal(kernels.requantize(y, rq), reference.requantize(x, rq))
            assert_equal(kernels.mul(y, y, rq), reference.mul(x, x, rq))
            if dtype == "int8":
                table = at_the_end(random_codes(rng, (256,), dtype))
                assert_equal(kernels.lut(y, table), reference.lut(x, table))
            else:
                full = at_the_end(random_codes(rng, (65536,), dtype))
                given = SegmentTable(np.zeros((2, 4), np.int16), np.zeros((0, 64), np.int16), full)
                assert_equal(kernels.lut16(y, given), reference.lut16(x, given))


if __name__ == "__main__":
    main()
