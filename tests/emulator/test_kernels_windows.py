"""Pooling, resize, reductions, lookup tables: kernels equal the reference bit for bit."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from qworkbench.emulator import kernels
from qworkbench.errors import EmulationError
from qworkbench.numerics import (
    ConvGeometry,
    SegmentTable,
    build_table8,
    build_table16,
    linear_index,
    nearest_index,
    reference,
)
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


def test_both_packages_have_the_same_functions_with_the_same_parameters():
    assert kernels.__all__ == reference.__all__
    for name in kernels.__all__:
        found = inspect.signature(getattr(kernels, name))
        # keyword-only parameters concern speed: where packed weights are kept
        shared = [p for p in found.parameters.values() if p.kind is not inspect.Parameter.KEYWORD_ONLY]
        assert found.replace(parameters=shared) == inspect.signature(getattr(reference, name)), name


@quick(60)
@given(
    seed=seeds,
    geometry=geometries(),
    dtype=dtypes,
    fill=fills,
    ceil_mode=st.booleans(),
    include=st.booleans(),
    kind=st.sampled_from(KINDS),
    rounding=st.sampled_from(ROUNDINGS),
)
def test_pools_equal_reference(seed, geometry, dtype, fill, ceil_mode, include, kind, rounding):
    rng = np.random.default_rng(seed)
    x = random_codes(rng, (2, 3, *(int(n) for n in rng.integers(1, 10, 2))), dtype, fill)
    assume(min(geometry.output_size(*x.shape[2:], ceil_mode=ceil_mode)) >= 1)
    assert_same("max_pool2d", x, geometry, ceil_mode)
    rq = random_requantize(rng, 1, dtype, kind, rounding, float(np.iinfo(dtype).max))
    assert_same("average_pool2d", x, geometry, ceil_mode, include, rq)


@quick(40)
@given(
    seed=seeds,
    dtype=dtypes,
    fill=fills,
    shape=st.lists(st.integers(1, 6), min_size=3, max_size=5),
    kind=st.sampled_from(KINDS),
    rounding=st.sampled_from(ROUNDINGS),
    keepdims=st.booleans(),
)
def test_reductions_equal_reference(seed, dtype, fill, shape, kind, rounding, keepdims):
    rng = np.random.default_rng(seed)
    x = random_codes(rng, tuple(shape), dtype, fill)
    axes = tuple(int(a) for a in rng.permutation(len(shape))[: rng.integers(1, len(shape) + 1)])
    rq = random_requantize(rng, 1, dtype, kind, rounding, float(np.iinfo(dtype).max))
    for name in ("reduce_sum", "reduce_mean"):
        assert_same(name, x, axes, keepdims, rq)
    for name in ("reduce_max", "reduce_min"):
        assert_same(name, x, axes, keepdims)
    for name in ("argmax", "argmin"):
        assert_same(name, x, axes[0], keepdims)
    assert_same("global_average_pool", x, rq)
    assert_same("global_max_pool", x)


@quick(40)
@given(
    seed=seeds,
    dtype=dtypes,
    fill=fills,
    mode=st.sampled_from(("asymmetric", "half_pixel", "pytorch_half_pixel", "align_corners")),
    bits=st.sampled_from((1, 5, 8, 11, 15)),
)
def test_resizes_equal_reference(seed, dtype, fill, mode, bits):
    rng = np.random.default_rng(seed)
    height, width, out_h, out_w = (int(n) for n in rng.integers(1, 12, 4))
    x = random_codes(rng, (2, 3, height, width), dtype, fill)
    assert_same(
        "resize_nearest", x, (out_h, out_w), nearest_index(height, out_h, mode), nearest_index(width, out_w, mode)
    )
    down, across = linear_index(height, out_h, mode, bits=bits), linear_index(width, out_w, mode, bits=bits)
    assert_same("resize_bilinear", x, *down, *across, bits)


@pytest.mark.parametrize("out_dtype", DTYPES)
def test_lut_equals_reference_on_every_code(out_dtype):
    q = np.arange(-128, 128, dtype=np.int8).reshape(2, 8, 16)
    table = build_table8(np.tanh, 0.05, 1 / 30000, out_dtype, "half_even")
    assert_same("lut", q, table)
    assert kernels.lut(q, table).reshape(-1).tolist() == table.tolist()


@pytest.mark.parametrize("mode", ["uniform", "curvature", "exact"])
@pytest.mark.parametrize("segments", [1, 16, 64])
@pytest.mark.parametrize("fn", [np.tanh, np.exp, np.floor, lambda x: -30 * x, lambda x: 1 / x])
def test_lut16_equals_reference_on_every_code(mode, segments, fn):
    q = np.arange(-32768, 32768).astype(np.int16)
    assert_same("lut16", q, build_table16(fn, 8 / 32768, 1 / 32768, "half_even", mode=mode, segments=segments))


def test_lut16_takes_a_table_whose_segments_cover_part_of_the_codes():
    rows = np.array([[-32768, -1001, 0, -7], [-1000, -937, 0, 64], [-936, 400, 5, 900], [401, 32767, 0, 77]], np.int16)
    entry = np.stack([np.arange(64), 3 * np.arange(64)]).astype(np.int16)
    table = SegmentTable(rows, entry)
    q = np.arange(-32768, 32768).astype(np.int16)
    assert_same("lut16", q, table)
    y = kernels.lut16(q, table)
    assert y[0] == -7
    assert y[-1] == 77
    assert y[32768 - 936 + 16] == 2  # half way between the entries 0 and 3, rounded up


def test_a_segment_table_with_a_gap_is_refused():
    rows = np.array([[-5, -5, 0, 0], [0, 63, 0, 0], [70, 100, 0, 0], [0, 0, 0, 0]], np.int16)
    with pytest.raises(EmulationError, match="follow each other"):
        SegmentTable(rows, np.zeros((2, 64), np.int16))


@quick(25)
@given(seed=seeds, dtype=dtypes)
def test_maximum_and_minimum_equal_reference(seed, dtype):
    rng = np.random.default_rng(seed)
    a, b = random_codes(rng, (2, 3, 4), dtype), random_codes(rng, (3, 1), dtype)
    assert_same("maximum", a, b)
    assert_same("minimum", a, b)


def test_maximum_of_two_dtypes_is_refused():
    with pytest.raises(EmulationError, match="requantize first"):
        kernels.maximum(np.zeros(2, np.int8), np.zeros(2, np.int16))


def test_indices_outside_the_input_are_refused():
    x = np.zeros((1, 1, 4, 4), np.int8)
    index = np.arange(5)
    with pytest.raises(EmulationError, match="leave the input"):
        kernels.resize_nearest(x, (5, 4), index, index[:4])


def test_a_pool_larger_than_its_input_is_refused():
    with pytest.raises(EmulationError, match="larger than the padded input"):
        kernels.max_pool2d(np.zeros((1, 1, 2, 2), np.int8), ConvGeometry((3, 3)))
