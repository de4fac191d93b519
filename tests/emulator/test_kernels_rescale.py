"""Kernels that round equal the reference bit for bit, for every rounding and multiplier model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qworkbench.emulator import kernels
from qworkbench.errors import EmulationError
from qworkbench.numerics import Requantize
from tests.emulator.codes import (
    DTYPES,
    KINDS,
    ROUNDINGS,
    assert_same,
    fills,
    quick,
    random_codes,
    random_requantize,
    seeds,
)

shapes = st.lists(st.integers(1, 6), min_size=2, max_size=4).map(tuple)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
@quick(20)
@given(
    seed=seeds,
    shape=shapes,
    source=st.sampled_from(("int8", "int16", "int32", "int64")),
    target=st.sampled_from(DTYPES),
)
def test_requantize_equals_reference(kind, rounding, seed, shape, source, target):
    rng = np.random.default_rng(seed)
    bits = 40 if source == "int64" else 31
    limit = min(2**bits, int(np.iinfo(source).max)) >> int(rng.integers(0, 7))
    q = rng.integers(-limit - 1, limit + 1, shape).astype(source)
    axis = int(rng.integers(0, len(shape)))
    channels = shape[axis] if rng.random() < 0.7 else 1
    assert_same("requantize", q, random_requantize(rng, channels, target, kind, rounding, float(limit)), axis)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("multiplier", [2.0**-70, 1e-30, 2.0**-40, 0.5, 0.25, 1.5, 2.0**31, 3e12, 1e30])
def test_requantize_at_the_ends_of_int32_and_of_the_multiplier(kind, rounding, multiplier):
    ends = [-(2**31), -(2**31) + 1, -3, -2, -1, 0, 1, 2, 3, 2**31 - 2, 2**31 - 1]
    q = np.array(ends * 2, dtype=np.int32).reshape(1, 2, -1)
    for dtype in DTYPES:
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        assert_same("requantize", q, Requantize(np.array([multiplier]), dtype, low, high, rounding, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_requantize_of_sums_beyond_64_bit_products(kind):
    q = np.array([[2**62, -(2**62), 2**40 + 1, -(2**40) - 1, 5, 0]], dtype=np.int64)
    assert_same("requantize", q, Requantize(np.array([1.5 * 2.0**-48]), "int16", -32768, 32767, "half_even", kind))


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_requantize_meets_every_tie_of_a_power_of_two(rounding):
    q = np.arange(-512, 512, dtype=np.int32).reshape(1, 2, -1)
    for kind in KINDS:
        rq = Requantize(np.array([0.25, 0.125]), "int8", -128, 127, rounding, kind)
        assert_same("requantize", q, rq)
    expected = {"half_even": 0, "half_away": 1, "half_up": 1}[rounding]
    half = Requantize(np.array([0.5]), "int8", -128, 127, rounding, "float32")
    assert kernels.requantize(np.array([[1]], np.int32), half)[0, 0] == expected
    negative = {"half_even": 0, "half_away": -1, "half_up": 0}[rounding]
    assert kernels.requantize(np.array([[-1]], np.int32), half)[0, 0] == negative


@pytest.mark.parametrize("rounding", ROUNDINGS)
@quick(25)
@given(seed=seeds, shape=shapes, dtype=st.sampled_from(DTYPES), per_channel=st.booleans())
def test_quantize_equals_reference(rounding, seed, shape, dtype, per_channel):
    rng = np.random.default_rng(seed)
    scale = rng.uniform(1e-3, 1e-1, shape[1] if per_channel else 1).astype(np.float32)
    scale = scale if per_channel or seed % 2 else scale[0]
    x = (rng.standard_normal(shape) * 5).astype(np.float32)
    x.reshape(-1)[:1] = rng.choice(np.array([np.inf, -np.inf, 3e38, 0.0, -0.0], np.float32))
    ties = (rng.integers(-200, 200, shape) + 0.5).astype(np.float32)
    assert_same("quantize", x, scale, dtype, rounding)
    assert_same("quantize", ties, np.float32(1), dtype, rounding)


def test_quantize_refuses_nan():
    x = np.array([[0.0, np.nan, 1.0]], dtype=np.float32)
    with pytest.raises(EmulationError, match="1 of 3 values are NaN"):
        kernels.quantize(x, np.float32(1), "int8", "half_even")


@quick(25)
@given(seed=seeds, shape=shapes, dtype=st.sampled_from((*DTYPES, "int32")), per_channel=st.booleans())
def test_dequantize_equals_reference(seed, shape, dtype, per_channel):
    rng = np.random.default_rng(seed)
    scale = rng.uniform(1e-6, 1e3, shape[1] if per_channel else 1).astype(np.float32)
    scale = scale if per_channel or seed % 2 else scale[0]
    assert_same("dequantize", random_codes(rng, shape, dtype), scale)
    assert_same("dequantize", random_codes(rng, shape, dtype), scale)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.inf, np.nan, [0.5, 0.0, 1.0]])
def test_scales_that_cannot_be_are_refused_every_time(scale):
    wrong, codes = np.float32(scale), np.zeros((2, 3), np.int8)
    for _ in range(2):
        with pytest.raises(EmulationError, match="scales must be finite and > 0"):
            kernels.dequantize(codes, wrong)
        with pytest.raises(EmulationError, match="scales must be finite and > 0"):
            kernels.quantize(codes.astype(np.float32), wrong, "int8", "half_even")
    with pytest.raises(EmulationError, match="rounding must be one of"):
        kernels.quantize(codes.astype(np.float32), np.float32(1), "int8", "upwards")


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_product_with_one_code_equals_reference(kind, rounding):
    rng = np.random.default_rng(5)
    rq = random_requantize(rng, 1, "int8", kind, rounding, 500.0)
    x = random_codes(rng, (2, 8, 9, 10), "int8")
    for code, dtype in ((3, "int8"), (-128, "int8"), (-128, "int16"), (300, "int16"), (3, "int8")):
        assert_same("mul", x, np.array([code], dtype), rq)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
@quick(20)
@given(seed=seeds, shape=shapes, fill=fills, left=st.sampled_from(DTYPES), right=st.sampled_from(DTYPES))
def test_add_sub_mul_equal_reference_with_broadcasting(kind, rounding, seed, shape, fill, left, right):
    rng = np.random.default_rng(seed)
    a = random_codes(rng, shape, left, fill)
    b = random_codes(rng, tuple(1 if rng.random() < 0.4 else n for n in shape), right)
    ratios = [float(np.float32(2.0 ** rng.uniform(-12, 3))) for _ in range(2)]
    if rng.random() < 0.5:
        ratios = [2.0 ** round(np.log2(r)) for r in ratios]
    target = DTYPES[int(rng.integers(0, 2))]
    rq = random_requantize(rng, 1, target, kind, rounding, 2.0**20)
    assert_same("add", a, b, *ratios, rq)
    assert_same("sub", b, a, *ratios, rq)
    assert_same("mul", a, b, rq)


@pytest.mark.parametrize("kind", ["fixed", "pow2"])
@pytest.mark.parametrize("ratios", [(1e30, 1e30), (2.0**40, 2.0**20), (1e-30, 1e-29), (1.0, 1e-12)])
def test_add_with_ratios_beyond_the_grid(kind, ratios):
    codes = np.array([-32768, -1, 0, 1, 2, 32767], dtype=np.int16)
    a, b = codes[:, None], codes[None, :]
    rq = Requantize(np.ones(1), "int16", -32768, 32767, "half_even", kind)
    assert_same("add", a, b, *ratios, rq)
    assert_same("sub", a, b, *ratios, rq)


def test_add_in_float32_rounds_each_product_before_the_sum():
    """A fused multiply-add would keep the low bits of one product and give another code somewhere in 65,536 pairs."""
    a, b = (np.ascontiguousarray(v) for v in np.meshgrid(np.arange(-128, 128), np.arange(-128, 128)))
    a, b = a.astype(np.int8), b.astype(np.int8)
    rng = np.random.default_rng(0)
    fused_differs = 0
    rq = Requantize(np.ones(1), "int16", -32768, 32767, "half_even", "float32")
    for left, right in rng.uniform(20, 200, (40, 2)).astype(np.float32):
        assert_same("add", a, b, float(left), float(right), rq)
        product = (b.astype(np.float32) * right).astype(np.float64)
        fused = np.rint((a.astype(np.float64) * np.float64(left) + product).astype(np.float32))
        fused_differs += int(np.count_nonzero(np.clip(fused, -32768, 32767) != kernels.add(a, b, left, right, rq)))
    assert fused_differs > 0


def test_read_only_and_strided_operands_give_the_same_codes():
    rng = np.random.default_rng(0)
    a = random_codes(rng, (3, 4, 5), "int8")
    frozen = a.copy()
    frozen.setflags(write=False)
    rq = Requantize(np.full(4, 0.3), "int8", -128, 127)
    for view in (frozen, np.asfortranarray(a), a[:, ::-1][:, ::-1]):
        assert_same("requantize", view, rq)
        np.testing.assert_array_equal(kernels.requantize(view, rq), kernels.requantize(a, rq))


@pytest.mark.parametrize(
    ("rq", "text"),
    [
        (Requantize(np.array([0.0]), "int8", -128, 127), "multiplier must be > 0"),
        (Requantize(np.array([np.inf]), "int8", -128, 127), "multiplier must be > 0"),
        (Requantize(np.ones(3), "int8", -128, 127), "3 multipliers for 2 channels"),
        (Requantize(np.ones(1), "int8", -128, 128), "clamp range"),
        (Requantize(np.ones(1), "int8", 5, 4), "clamp range"),
        (Requantize(np.ones(1), "int32", 0, 1), "requantize to 'int32'"),
        (Requantize(np.ones(1), "int8", 0, 1, "nearest"), "rounding must be one of"),  # type: ignore[arg-type]
    ],
)
def test_a_requantize_that_cannot_be_is_refused_in_one_sentence(rq, text):
    with pytest.raises(EmulationError, match=text):
        kernels.requantize(np.zeros((1, 2, 3), np.int32), rq)
