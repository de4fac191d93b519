"""The ratio of a residual as two integers: the same codes as float64 for all 256 of them, or none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qworkbench.emulator import kernels
from qworkbench.emulator.kernels.vector.residual import BITS, split_ratio
from qworkbench.numerics import ConvGeometry, Requantize, Residual, reference
from tests.emulator.codes import assert_equal, quick, random_codes

CODES = np.arange(-128, 128, dtype=np.int64)[:, None]


def rounded(whole, part):
    return CODES * whole.astype(np.int64) + ((CODES * part + (1 << BITS - 1)) >> BITS)


@pytest.mark.parametrize("most", [1e-3, 1.0, 300.0, 65000.0])
def test_two_integers_round_as_float64_does(most):
    ratio = np.random.default_rng(0).uniform(0, most, 3000)
    found = split_ratio(ratio)
    assert found is not None
    np.testing.assert_array_equal(rounded(*found), np.rint(CODES * ratio))


@quick(200)
@given(
    code=st.integers(1, 128), half=st.integers(0, 2000), off=st.sampled_from([1e-7, 1e-9, 1e-12, -1e-7, -1e-9, -1e-12])
)
def test_ratios_beside_a_tie_round_as_float64_does(code, half, off):
    ratio = np.abs(np.array([half / (2 * code) + off]))
    found = split_ratio(ratio)
    assert found is not None
    np.testing.assert_array_equal(rounded(*found), np.rint(CODES * ratio))


def test_a_tie_keeps_the_exact_ratio_and_whole_numbers_do_not():
    assert split_ratio(np.array([3.0, 0.5])) is None
    assert split_ratio(np.array([70000.0])) is None
    whole, part = split_ratio(np.array([3.0, 0.0]))
    assert whole.tolist() == [3, 0]
    assert part.tolist() == [0, 0]


@pytest.mark.parametrize("ratios", [[0.5, 3.0], [0.3, 7.1]])
@pytest.mark.parametrize("outputs", [16, 24, 64, 96, 130])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_residuals_enter_alike_in_every_tile(ratios, outputs, dtype):
    rng = np.random.default_rng(outputs)
    x, w = random_codes(rng, (1, 32, 7, 7), "int8"), random_codes(rng, (outputs, 32, 1, 1), "int8")
    rq = Requantize(rng.uniform(1e-3, 1e-2, outputs), "int8", -128, 127)
    residual = Residual(random_codes(rng, (1, outputs, 7, 7), dtype), np.resize(np.array(ratios), outputs))
    operands = (x, w, None, ConvGeometry((1, 1)), rq, residual)
    assert_equal(kernels.conv2d(*operands), reference.conv2d(*operands))


@pytest.mark.parametrize(("kernel", "inputs"), [(1, 516), (3, 57), (3, 114)])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("size", [1.0, 10.0, 20000.0])
def test_what_a_residual_pushes_out_of_int32_or_back_is_counted(path, kernel, inputs, sign, size):
    rng = np.random.default_rng(inputs)
    x = np.full((1, inputs, 9, 10), 32767, np.int16)
    x[:, :, 0] = rng.integers(-32768, 32768, (1, inputs, 10))
    w = np.full((70, inputs, kernel, kernel), 127, np.int8)
    w[::3] = random_codes(rng, w[::3].shape, "int8")
    geometry = ConvGeometry((kernel, kernel), pads=(kernel // 2,) * 4)
    rq = Requantize(rng.uniform(1e-6, 1e-5, 70), "int16", -32768, 32767, "half_even", "float64")
    entering = sign * random_codes(rng, (1, 70, 9, 10), "int16") // 2
    operands = (x, w, None, geometry, rq, Residual(entering, rng.uniform(0.5, 1.0, 70) * size))
    found = kernels.conv2d(*operands)
    assert_equal(found, reference.conv2d(*operands))
    small = (x // 256, *operands[1:])
    assert_equal(kernels.conv2d(*small), reference.conv2d(*small))


def test_the_same_weight_takes_residuals_of_either_width(path):
    rng = np.random.default_rng(3)
    x, w = random_codes(rng, (1, 200, 7, 7), "int16"), random_codes(rng, (24, 200, 3, 3), "int8")
    geometry, forms, ratio = ConvGeometry((3, 3), pads=(1, 1, 1, 1)), {}, rng.uniform(5e4, 1.5e5, 24)
    rq = Requantize(rng.uniform(1e-8, 1e-7, 24), "int8", -128, 127)
    for dtype in ("int8", "int16", "int8"):
        residual = Residual(random_codes(rng, (1, 24, 7, 7), dtype, "ends"), ratio)
        found = kernels.conv2d(x, w, None, geometry, rq, residual, forms=forms)
        assert_equal(found, reference.conv2d(x, w, None, geometry, rq, residual))
