"""Weights, biases and multipliers as integers."""

from __future__ import annotations

import numpy as np
import pytest

from qworkbench.errors import EmulationError
from qworkbench.numerics import conv_multiplier, quantize_bias, quantize_weight


@pytest.mark.parametrize(("dtype", "last"), [("int8", 127), ("int16", 32767)])
@pytest.mark.parametrize("axis", [0, 1])
def test_the_largest_weight_of_each_channel_lands_on_the_last_code(dtype, last, axis):
    rng = np.random.default_rng(0)
    w = rng.standard_normal((6, 5, 3, 3)).astype(np.float32)
    codes, scale = quantize_weight(w, axis, dtype)
    rest = tuple(a for a in range(4) if a != axis)
    assert (np.abs(codes.astype(int)).max(axis=rest) == last).all()
    shape = [1] * 4
    shape[axis] = -1
    assert scale.dtype == np.float32
    assert np.abs(codes * scale.reshape(shape) - w).max() <= scale.max() * 0.5001
    assert codes.flags.c_contiguous


def test_a_zero_channel_has_scale_one_and_zero_codes():
    w = np.zeros((2, 3), np.float32)
    w[1] = 1e-44
    codes, scale = quantize_weight(w, 0)
    assert scale[0] == 1
    assert scale[1] > 0
    assert not codes.any()


def test_a_weight_with_nan_is_refused():
    with pytest.raises(EmulationError, match="NaN or infinity"):
        quantize_weight(np.array([[np.nan]], np.float32), 0)
    with pytest.raises(EmulationError, match="NaN or infinity"):
        quantize_bias(np.array([np.inf], np.float32), 1.0, np.ones(1, np.float32))


def test_bias_is_on_the_scale_of_the_accumulator_and_saturation_is_counted():
    b = np.array([0.5, -0.25, 1e6, -1e6], np.float32)
    codes, saturated = quantize_bias(b, np.float32(0.5), np.array([1.0, 0.5, 1e-4, 1e-4], np.float32))
    assert codes.dtype == np.int32
    assert codes.tolist() == [1, -1, 2**31 - 1, -(2**31)]
    assert saturated == 2
    assert quantize_bias(np.array([0.5], np.float32), 1.0, np.ones(1, np.float32))[0].tolist() == [0]  # half to even


def test_multiplier_in_float32_rounds_after_each_step():
    rng = np.random.default_rng(0)
    s_w = rng.uniform(1e-4, 1e-2, 500).astype(np.float32)
    single, double = (conv_multiplier(np.float32(0.037), s_w, np.float32(0.019), k) for k in ("float32", "float64"))
    assert single.dtype == double.dtype == np.float64
    np.testing.assert_array_equal(single, single.astype(np.float32))
    np.testing.assert_allclose(single, double, rtol=2e-7)
    assert (single.astype(np.float32) != double.astype(np.float32)).any()
