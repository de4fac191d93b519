"""Distances against independent formulas in numpy, in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qworkbench.analysis.metrics import compare, compare_codes
from qworkbench.errors import EmulationError

pairs = hnp.array_shapes(min_dims=1, max_dims=4, max_side=6).flatmap(
    lambda shape: st.tuples(
        *[hnp.arrays(np.float32, shape, elements=st.floats(-1e4, 1e4, width=32, allow_subnormal=False))] * 2
    )
)


@given(pairs)
@settings(max_examples=80, deadline=None)
def test_every_metric_equals_its_formula(pair):
    a, b = (x.astype(np.float64).ravel() for x in pair)
    got = compare(*pair, scale=0.5)
    difference = np.abs(a - b)
    norm = np.linalg.norm(a) * np.linalg.norm(b)
    if norm > 0:
        assert got.cosine == pytest.approx(a @ b / norm, rel=1e-9, abs=1e-12)
    assert got.l1 == pytest.approx(difference.mean(), rel=1e-9)
    assert got.mse == pytest.approx(np.mean(difference**2), rel=1e-9)
    assert got.atol == difference.max()
    assert got.max_qscale_diff == difference.max() / 0.5
    changed = difference > 0
    if changed.any():
        with np.errstate(divide="ignore"):
            assert got.rtol == pytest.approx((difference[changed] / np.abs(a[changed])).max(), rel=1e-9)
            assert got.sqnr == pytest.approx(10 * np.log10((a @ a) / (difference @ difference)), rel=1e-9, abs=1e-9)
    else:
        assert (got.rtol, got.sqnr) == (0.0, math.inf)


def test_the_whole_tensor_counts_not_the_mean_of_samples():
    a = np.array([[1, 0], [0, 100]], np.float32)
    b = np.array([[0, 1], [0, 100]], np.float32)
    assert compare(a, b).cosine == pytest.approx(10000 / 10001)


def test_equal_tensors_are_at_no_distance():
    x = np.arange(-8, 8, dtype=np.float32)
    got = compare(x, x.copy())
    assert (got.cosine, got.l1, got.mse, got.atol, got.rtol, got.sqnr) == (pytest.approx(1.0), 0, 0, 0, 0, math.inf)


def test_zero_tensors_have_a_cosine_by_definition():
    zero, one = np.zeros(4, np.float32), np.ones(4, np.float32)
    assert compare(zero, zero).cosine == 1.0
    assert compare(zero, one).cosine == compare(one, zero).cosine == 0.0
    assert compare(zero, one).sqnr == -math.inf
    assert compare(zero, one).rtol == math.inf


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("where", [0, 3, 7])
def test_nan_wins_over_every_number(where, side):
    pair = [np.arange(8, dtype=np.float32), np.arange(8, dtype=np.float32) + 1]
    pair[side][where] = np.nan
    got = compare(*pair, scale=0.1)
    for name in ("cosine", "l1", "mse", "atol", "rtol", "sqnr", "max_qscale_diff"):
        assert math.isnan(getattr(got, name)), name


def test_opposite_tensors_have_cosine_minus_one():
    x = np.linspace(-1, 3, 9, dtype=np.float32)
    assert compare(x, -x).cosine == pytest.approx(-1.0)


def test_layout_and_dtype_do_not_matter():
    a = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    b = a + 0.1
    assert compare(a.transpose(2, 0, 1), b.transpose(2, 0, 1)).l1 == pytest.approx(compare(a, b).l1, rel=1e-12)
    assert compare(np.array([1, 2, 3]), np.array([1, 2, 5])).atol == 2.0
    assert compare(np.array([True, False]), np.array([True, True])).l1 == 0.5


def test_read_only_arrays_are_read():
    a = np.ones(4, np.float32)
    a.flags.writeable = False
    assert compare(a, a).l1 == 0


def test_large_values_do_not_overflow():
    a = np.full(1000, 1e30, np.float32)
    assert compare(a, a * np.float32(2)).cosine == pytest.approx(1.0)


def test_empty_tensors_are_equal():
    got = compare(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32))
    assert (got.cosine, got.l1, got.sqnr) == (1.0, 0.0, math.inf)


def test_different_shapes_are_refused():
    with pytest.raises(EmulationError, match=r"\(2, 3\) and \(3, 2\)"):
        compare(np.zeros((2, 3), np.float32), np.zeros((3, 2), np.float32))


def test_without_a_scale_there_is_no_distance_in_steps():
    assert compare(np.ones(2, np.float32), np.zeros(2, np.float32)).max_qscale_diff is None


def test_equal_tensors_have_cosine_exactly_one_and_none_exceeds_it():
    values = np.full(1000, 0.1, np.float32)
    assert compare(values, values).cosine == 1.0
    for scale in (1.0000001, 0.5, 3.0):
        assert abs(compare(values, values * np.float32(scale)).cosine) <= 1.0


def test_complex_tensors_count_both_parts():
    a = np.array([1 + 1j, 2 - 1j], np.complex64)
    found = compare(a, a * np.complex64(1j))
    assert found.atol == pytest.approx(3.0)
    assert found.cosine == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("size", [1, 31, 32, 33, 1000])
@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_codes_count_as_the_numbers_that_they_stand_for(size: int, dtype: type) -> None:
    rng = np.random.default_rng(size)
    info = np.iinfo(dtype)
    codes = rng.integers(info.min, info.max, (size, 1), endpoint=True).astype(dtype)
    scale = 3.0 / info.max
    reference = (codes * scale + rng.normal(0, scale, (size, 1))).astype(np.float32)
    assert compare_codes(reference, codes, scale) == compare(reference, codes * np.float32(scale), scale)


def test_codes_of_another_dtype_are_refused() -> None:
    with pytest.raises(EmulationError, match="int8 or int16"):
        compare_codes(np.zeros(3, np.float32), np.zeros(3, np.int32), 0.1)
