"""Operands that lie in ways of their own, or hold nothing, and a weight that meets codes of several dtypes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from qworkbench.emulator import kernels
from qworkbench.numerics import ConvGeometry, Requantize, reference
from tests.emulator import guarded
from tests.emulator.codes import DTYPES, assert_equal, random_codes

SQUARE = ConvGeometry((3, 3), pads=(1, 1, 1, 1))
NARROW = Requantize(np.array([1e-3]), "int8", -128, 127)
WIDE = Requantize(np.array([1e-3]), "int16", -32768, 32767, "half_even", "float64")


@pytest.mark.parametrize("order", [("int8", "int16"), ("int16", "int8")])
def test_one_weight_meets_codes_of_both_widths(path, order):
    rng = np.random.default_rng(0)
    w, forms = random_codes(rng, (8, 20, 3, 3), "int8"), {}
    for dtype in (*order, *order):
        x = random_codes(rng, (1, 20, 6, 6), dtype) // (1 if dtype == "int8" else 8)
        operands = (x, w, None, SQUARE, NARROW)
        assert_equal(kernels.conv2d(*operands, forms=forms), reference.conv2d(*operands))


@pytest.mark.skipif(sys.platform != "linux", reason="pages are closed by mprotect")
def test_nothing_is_read_behind_the_last_code(path):
    made = subprocess.run([sys.executable, "-m", guarded.__name__], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr or f"killed by signal {-made.returncode}"


@pytest.mark.parametrize("dtype", DTYPES)
def test_codes_that_repeat_in_place(path, dtype):
    rng = np.random.default_rng(1)
    for shape, few in (((2, 100), (2, 1)), ((2, 3, 5, 5), (2, 3, 1, 1)), ((2, 3, 5, 5), (2, 1, 5, 5))):
        x, y = (np.broadcast_to(random_codes(rng, few, dtype), shape) for _ in range(2))
        a, b = np.ascontiguousarray(x), np.ascontiguousarray(y)
        by_channel = Requantize(rng.uniform(0.1, 1.0, shape[1]), "int8", -128, 127)
        for rq in (NARROW, WIDE, by_channel):
            assert_equal(kernels.requantize(x, rq), reference.requantize(a, rq))
        assert_equal(kernels.dequantize(x, np.float32(0.3)), reference.dequantize(a, np.float32(0.3)))
        assert_equal(kernels.add(x, y, 0.3, 0.7, NARROW), reference.add(a, b, 0.3, 0.7, NARROW))
        assert_equal(kernels.mul(x, y, WIDE), reference.mul(a, b, WIDE))
        assert_equal(kernels.maximum(x, y), reference.maximum(a, b))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("group", [1, 2, 8])
def test_no_image_has_no_codes(path, dtype, group):
    rng = np.random.default_rng(2)
    x, geometry = np.zeros((0, 8, 6, 5), dtype), ConvGeometry((3, 3), pads=(1, 1, 1, 1), group=group)
    w = random_codes(rng, (8, 8 // group, 3, 3), "int8")
    operands = (x, w, None, geometry, NARROW)
    assert_equal(kernels.conv2d(*operands), reference.conv2d(*operands))
    assert_equal(kernels.conv_transpose2d(*operands), reference.conv_transpose2d(*operands))
