"""Reference quantize, requantize, add and mul against rationals and against ONNX Runtime."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from qworkbench.errors import EmulationError
from qworkbench.numerics import Requantize, reference, scale_from_threshold
from qworkbench.numerics.multiplier import fixed_point, power_of_two
from tests.numerics.onnx_model import run
from tests.numerics.test_rounding import ROUNDINGS, exactly


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("kind", ["fixed", "pow2"])
def test_integer_multipliers_are_exact(kind, rounding):
    rng = np.random.default_rng(0)
    q = rng.integers(-(2**31), 2**31, (3, 2, 50)).astype(np.int32)
    q[0, 0, :4] = [-(2**31), 2**31 - 1, 0, -1]
    m = np.array([3.1e-6, 2.0**-20])
    mantissa, shift = (fixed_point if kind == "fixed" else power_of_two)(m)
    y = reference.requantize(q, Requantize(m, "int16", -32768, 32767, rounding, kind))
    for channel in range(2):
        held = Fraction(int(mantissa[channel])) / Fraction(2) ** int(shift[channel])
        expected = [min(max(exactly(int(v) * held, rounding), -32768), 32767) for v in q[:, channel].reshape(-1)]
        assert y[:, channel].reshape(-1).tolist() == expected


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_float64_multiplier_rounds_the_float64_product(rounding):
    rng = np.random.default_rng(0)
    q = rng.integers(-(2**24), 2**24, 500).astype(np.int32)
    y = reference.requantize(q, Requantize(np.array([3.1e-5]), "int16", -500, 400, rounding, "float64"), axis=0)
    assert y.tolist() == [min(max(exactly(Fraction(int(v) * 3.1e-5), rounding), -500), 400) for v in q]


def test_relu_is_a_clamp_at_zero():
    q = np.array([[-5000, -1, 0, 1, 5000]], np.int32)
    assert reference.requantize(q, Requantize(np.array([0.5]), "int8", 0, 127)).tolist() == [[0, 0, 0, 0, 127]]


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_quantize_equals_onnxruntime_quantizelinear(dtype, per_channel):
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((2, 3, 20, 20)) * 4).astype(np.float32)
    scale = rng.uniform(1e-4, 0.05, 3 if per_channel else ()).astype(np.float32)
    half = np.float32(0.5) * (scale[:, None, None] if per_channel else scale)
    x[0] = rng.integers(-300, 300, x[0].shape) * 2 * half + half  # as near to ties as float32 gets
    x[1, 0, 0, :3] = [np.inf, -np.inf, 3e38]
    zero = np.zeros(scale.shape, dtype)
    expected = run("QuantizeLinear", {"x": x, "s": scale, "z": zero}, dtype, axis=1)
    np.testing.assert_array_equal(reference.quantize(x, scale, dtype, "half_even"), expected)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32"])
def test_dequantize_equals_onnxruntime_dequantizelinear(dtype):
    rng = np.random.default_rng(0)
    info = np.iinfo(dtype)
    q = rng.integers(info.min, info.max, (2, 3, 20)).astype(dtype)
    scale = rng.uniform(1e-4, 0.05, 3).astype(np.float32)
    expected = run("DequantizeLinear", {"x": q, "s": scale, "z": np.zeros(3, dtype)}, "float32", axis=1)
    np.testing.assert_array_equal(reference.dequantize(q, scale), expected)


def test_quantize_refuses_nan_and_scales_that_are_none():
    x = np.zeros((1, 2, 3), np.float32)
    with pytest.raises(EmulationError, match="NaN"):
        reference.quantize(x * np.nan, np.float32(1), "int8", "half_even")
    for scale in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(EmulationError, match="finite and > 0"):
            reference.quantize(x, scale, "int8", "half_even")
    with pytest.raises(EmulationError, match="3 scales for shape"):
        reference.quantize(x, np.ones(3, np.float32), "int8", "half_even")


def test_add_of_two_scales_is_within_half_a_step_of_the_real_sum():
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-128, 128, 3000).astype(np.int8) for _ in range(2))
    s_a, s_b, s_y = (float(scale_from_threshold(t, "int8")) for t in (3.0, 1.7, 5.0))
    real = (a * s_a + b * s_b) / s_y
    for kind in ("float32", "float64", "fixed"):
        rq = Requantize(np.ones(1), "int8", -128, 127, "half_even", kind)
        assert np.abs(reference.add(a, b, s_a / s_y, s_b / s_y, rq) - np.clip(real, -128, 127)).max() <= 0.5001
        product = reference.mul(a, b, Requantize(np.array([s_a * s_b / s_y]), "int8", -128, 127, "half_even", kind))
        assert np.abs(product - np.clip(a * s_a * (b * s_b) / s_y, -128, 127)).max() <= 0.5001
        back = reference.sub(a, b, s_a / s_y, s_b / s_y, rq)
        assert np.abs(back - np.clip((a * s_a - b * s_b) / s_y, -128, 127)).max() <= 0.5001


def test_broadcasting_follows_numpy():
    a, b = np.arange(6, dtype=np.int8).reshape(1, 2, 3, 1), np.arange(4, dtype=np.int16)
    y = reference.add(a, b, 1.0, 1.0, Requantize(np.ones(1), "int8", -128, 127))
    np.testing.assert_array_equal(y, a.astype(int) + b)
