"""Convolution, transposed convolution, linear layer and matmul equal the reference bit for bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from qworkbench.emulator import kernels
from qworkbench.errors import EmulationError
from qworkbench.numerics import ConvGeometry, Requantize, Residual
from tests.emulator.codes import (
    DTYPES,
    KINDS,
    ROUNDINGS,
    assert_same,
    fills,
    geometries,
    quick,
    random_codes,
    random_requantize,
    seeds,
)

dtypes = st.sampled_from(DTYPES)


def finishes(rng, shape, axis, depth, dtypes_):
    """Bias, requantize (or none) and residual (or none) for an output of `shape`."""
    channels = shape[axis]
    size = float(np.iinfo(dtypes_[0]).max) * np.iinfo(dtypes_[1]).max * depth / 4
    bias = rng.integers(-(2**20), 2**20, channels).astype(np.int32) if rng.random() < 0.7 else None
    rq = None
    if rng.random() < 0.8:
        count = channels if rng.random() < 0.7 else 1
        target = DTYPES[int(rng.integers(0, 2))]
        rq = random_requantize(rng, count, target, KINDS[rng.integers(0, 4)], ROUNDINGS[rng.integers(0, 3)], size)
    residual = None
    if rng.random() < 0.5:
        ratio = rng.uniform(0, size / 1000, channels if rng.random() < 0.5 else 1)
        residual = Residual(random_codes(rng, shape, DTYPES[int(rng.integers(0, 2))]), ratio)
    return bias, rq, residual


@quick(120)
@given(
    seed=seeds,
    geometry=geometries(),
    x_type=dtypes,
    w_type=dtypes,
    fill=fills,
    channels=st.tuples(st.integers(1, 7), st.integers(1, 9)),
)
def test_conv2d_equals_reference(seed, geometry, x_type, w_type, fill, channels):
    rng = np.random.default_rng(seed)
    size = tuple(int(n) for n in rng.integers(1, 10, 2))
    assume(min(geometry.output_size(*size)) >= 1)
    x = random_codes(rng, (int(rng.integers(1, 4)), channels[0], *size), x_type, fill)
    w = random_codes(rng, (channels[1], channels[0], *geometry.kernel), w_type, fill)
    shape = (len(x), channels[1], *geometry.output_size(*size))
    bias, rq, residual = finishes(rng, shape, 1, w[0].size, (x_type, w_type))
    assert_same("conv2d", x, w, bias, geometry, rq, residual)


@quick(60)
@given(
    seed=seeds,
    geometry=geometries(),
    x_type=dtypes,
    w_type=dtypes,
    fill=fills,
    group=st.integers(2, 5),
    per_group=st.tuples(st.integers(1, 3), st.integers(1, 5)),
)
def test_grouped_and_depthwise_conv2d_equal_reference(seed, geometry, x_type, w_type, fill, group, per_group):
    rng = np.random.default_rng(seed)
    size = tuple(int(n) for n in rng.integers(2, 10, 2))
    geometry = replace(geometry, group=group)
    assume(min(geometry.output_size(*size)) >= 1)
    x = random_codes(rng, (2, group * per_group[0], *size), x_type, fill)
    w = random_codes(rng, (group * per_group[1], per_group[0], *geometry.kernel), w_type, fill)
    shape = (2, len(w), *geometry.output_size(*size))
    bias, rq, residual = finishes(rng, shape, 1, w[0].size, (x_type, w_type))
    assert_same("conv2d", x, w, bias, geometry, rq, residual)


@quick(60)
@given(
    seed=seeds,
    geometry=geometries(),
    x_type=dtypes,
    w_type=dtypes,
    fill=fills,
    group=st.integers(1, 3),
    per_group=st.tuples(st.integers(1, 3), st.integers(1, 4)),
)
def test_conv_transpose2d_equals_reference(seed, geometry, x_type, w_type, fill, group, per_group):
    rng = np.random.default_rng(seed)
    size = tuple(int(n) for n in rng.integers(1, 6, 2))
    extra = tuple(int(rng.integers(0, s)) for s in geometry.strides)
    geometry = replace(geometry, group=group, output_padding=extra)
    assume(min(geometry.transposed_output_size(*size)) >= 1)
    x = random_codes(rng, (2, group * per_group[0], *size), x_type, fill)
    w = random_codes(rng, (group * per_group[0], per_group[1], *geometry.kernel), w_type, fill)
    shape = (2, group * per_group[1], *geometry.transposed_output_size(*size))
    bias, rq, residual = finishes(rng, shape, 1, per_group[0] * w[0, 0].size, (x_type, w_type))
    assert_same("conv_transpose2d", x, w, bias, geometry, rq, residual)


@quick(80)
@given(
    seed=seeds,
    x_type=dtypes,
    w_type=dtypes,
    fill=fills,
    outer=st.lists(st.integers(1, 5), max_size=2),
    k=st.integers(1, 80),
    n=st.integers(1, 11),
)
def test_gemm_equals_reference(seed, x_type, w_type, fill, outer, k, n):
    rng = np.random.default_rng(seed)
    x, w = random_codes(rng, (*outer, k), x_type, fill), random_codes(rng, (n, k), w_type, fill)
    bias, rq, residual = finishes(rng, (*outer, n), -1, k, (x_type, w_type))
    assert_same("gemm", x, w, bias, rq, residual)


@quick(60)
@given(
    seed=seeds, a_type=dtypes, b_type=dtypes, fill=fills, m=st.integers(1, 6), k=st.integers(1, 70), n=st.integers(1, 6)
)
def test_matmul_equals_reference_with_broadcast_batches(seed, a_type, b_type, fill, m, k, n):
    rng = np.random.default_rng(seed)
    batches = [((), ()), ((2,), ()), ((2, 1), (3,)), ((1, 2), (3, 1)), ((), (2, 2))][int(rng.integers(0, 5))]
    a, b = random_codes(rng, (*batches[0], m, k), a_type, fill), random_codes(rng, (*batches[1], k, n), b_type)
    rq = None
    if rng.random() < 0.8:
        size = float(np.iinfo(a_type).max) * np.iinfo(b_type).max * k / 4
        rq = random_requantize(rng, 1, a_type, KINDS[rng.integers(0, 4)], ROUNDINGS[rng.integers(0, 3)], size)
    assert_same("matmul", a, b, rq)


@pytest.mark.parametrize("size", [(33, 31), (1, 1), (64, 3)])
@pytest.mark.parametrize("channels", [(3, 16), (32, 5), (65, 33), (130, 4)])
def test_conv2d_across_blocks_of_pixels_and_ragged_channels(size, channels):
    rng = np.random.default_rng(1)
    x, w = (
        random_codes(rng, (1, channels[0], *size), "int8"),
        random_codes(rng, (channels[1], channels[0], 3, 3), "int8"),
    )
    rq = Requantize(rng.uniform(1e-5, 1e-3, channels[1]), "int8", 0, 127)
    assert_same("conv2d", x, w, None, ConvGeometry((3, 3), pads=(1, 1, 1, 1)), rq)


def test_overflow_of_int32_is_counted_and_wraps():
    x = np.full((1, 4, 3, 3), -32768, np.int16)
    w = np.full((2, 4, 1, 1), -32768, np.int16)
    w[1] = 1
    y, overflow = kernels.conv2d(x, w, None, ConvGeometry((1, 1)), None)
    assert overflow == 9  # 4 * 2**30 = 2**32 in channel 0 only
    assert (y[:, 0] == 0).all()
    assert (y[:, 1] == -4 * 32768).all()


def test_overflow_through_bias_and_residual_is_counted():
    x, w = np.full((1, 1, 1, 1), 127, np.int8), np.full((1, 1, 1, 1), 127, np.int8)
    bias = np.array([2**31 - 1], np.int32)
    assert kernels.conv2d(x, w, bias, ConvGeometry((1, 1)), None)[1] == 1
    residual = Residual(np.full((1, 1, 1, 1), 127, np.int8), np.array([2.0**25]))
    assert kernels.conv2d(x, w, None, ConvGeometry((1, 1)), None, residual)[1] == 1
    assert_same("conv2d", x, w, None, ConvGeometry((1, 1)), None, residual)
    assert kernels.gemm(x[0, 0], w[0, 0], None, None)[1] == 0


def test_full_range_int16_sums_are_exact_where_they_fit():
    rng = np.random.default_rng(2)
    x, w = random_codes(rng, (3, 300), "int16"), random_codes(rng, (5, 300), "int16")
    y, overflow = kernels.gemm(x, w, None, None)
    exact = x.astype(np.int64) @ w.astype(np.int64).T
    assert overflow == int(np.count_nonzero(np.abs(exact) >= 2**31)) > 0
    np.testing.assert_array_equal(y, exact.astype(np.int32))


def test_operands_that_do_not_fit_are_refused_in_one_sentence():
    x, w = np.zeros((1, 3, 4, 4), np.int8), np.zeros((2, 3, 3, 3), np.int8)
    geometry = ConvGeometry((3, 3))
    with pytest.raises(EmulationError, match="does not fit input"):
        kernels.conv2d(x[:, :2], w, None, geometry, None)
    with pytest.raises(EmulationError, match="larger than the padded input"):
        kernels.conv2d(x[:, :, :2], w, None, geometry, None)
    with pytest.raises(EmulationError, match="int8 or int16 codes, got float32"):
        kernels.conv2d(x.astype(np.float32), w, None, geometry, None)
    with pytest.raises(EmulationError, match="bias of shape"):
        kernels.conv2d(x, w, np.zeros(3, np.int32), geometry, None)
    with pytest.raises(EmulationError, match="residual of shape"):
        kernels.conv2d(x, w, None, geometry, None, Residual(np.zeros((1, 2, 1, 1), np.int8), np.ones(1)))
    with pytest.raises(EmulationError, match="the weight is"):
        kernels.gemm(x, np.zeros((4, 3), np.int8), None, None)
