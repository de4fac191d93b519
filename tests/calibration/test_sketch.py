"""The sketch: percentiles near numpy's, extremes exact, order and batch size without effect."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qworkbench.calibration.rectified import Rectified
from qworkbench.calibration.sketch import Sketch
from qworkbench.calibration.thresholds import percentile

DRAWS = {
    "normal": lambda rng: rng.normal(size=50_000),
    "heavy tails": lambda rng: rng.standard_t(3, size=50_000),
    "uniform": lambda rng: rng.uniform(-3, 7, size=50_000),
    "tiny": lambda rng: rng.normal(size=50_000) * 1e-12,
    "huge": lambda rng: rng.normal(size=50_000) * 1e20,
    "mostly zero": lambda rng: np.maximum(rng.normal(size=50_000), 0),
}

arrays = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=5),
    elements=st.floats(-1e6, 1e6, width=32),
)


def sketch_of(*parts, channels=False):
    sketch = Sketch()
    for part in parts:
        sketch.update(part, channels=channels)
    return sketch


def assert_equal(a, b):
    np.testing.assert_array_equal(a.counts, b.counts)
    assert (a.low, a.high) == (b.low, b.high)
    np.testing.assert_array_equal(a.channel_max, b.channel_max)
    if a.channel_counts is None:
        assert b.channel_counts is None
    else:
        np.testing.assert_array_equal(a.channel_counts, b.channel_counts)


@pytest.mark.parametrize("fraction", [0.5, 0.9, 0.999, 0.9999])
@pytest.mark.parametrize("name", DRAWS)
def test_percentiles_are_within_0_8_percent_of_numpy(name, fraction):
    x = DRAWS[name](np.random.default_rng(0)).astype(np.float32)
    # the value below which the fraction lies, by either reading of a quantile between two samples
    low = np.quantile(np.abs(x), fraction, method="lower")
    high = np.quantile(np.abs(x), fraction, method="higher")
    got = percentile(sketch_of(x).bins(), fraction)
    assert low * (1 - 0.008) <= got <= high * (1 + 0.008) + 1e-38  # below the smallest normal float a bin is coarse


@given(arrays)
@settings(max_examples=40, deadline=None)
def test_percentiles_rise_with_the_fraction_up_to_the_exact_maximum(x):
    sketch = sketch_of(x)
    found = [percentile(sketch.bins(), f) for f in (0.1, 0.5, 0.9, 0.99, 1.0)]
    assert found == sorted(found)
    assert found[-1] == sketch.absmax == float(np.abs(x).max())


@given(arrays, st.data())
@settings(max_examples=40, deadline=None)
def test_batches_in_any_size_and_order_give_one_sketch(x, data):
    cut = data.draw(st.integers(0, len(x)))
    parts = [x[:cut], x[cut:]]
    whole = sketch_of(x, channels=True)
    for order in (parts, parts[::-1], [x[i : i + 1] for i in range(len(x))]):
        assert_equal(sketch_of(*order, channels=True), whole)


@given(arrays, st.data())
@settings(max_examples=40, deadline=None)
def test_merged_sketches_equal_one_that_saw_everything(x, data):
    cut = data.draw(st.integers(0, len(x)))
    whole = sketch_of(x, channels=True)
    for first, second in ((x[:cut], x[cut:]), (x[cut:], x[:cut])):
        merged = sketch_of(first, channels=True)
        merged.merge(sketch_of(second, channels=True))
        assert_equal(merged, whole)


@given(arrays, st.sampled_from([float("inf"), 6.0, 0.3]), st.data())
@settings(max_examples=60, deadline=None)
def test_the_sketch_of_a_relu_follows_exactly_from_the_one_of_its_input(x, ceiling, data):
    cut = data.draw(st.integers(0, len(x)))
    source, rectified = Sketch(), Rectified(ceiling, channels=True)
    for part in (x[:cut], x[cut:]):
        source.update(part, channels=True, rectified=rectified)
    expected = sketch_of(x[:cut].clip(0, ceiling), x[cut:].clip(0, ceiling), channels=True)
    found = rectified.sketch(source)
    assert_equal(found, expected)
    assert (found.total, found.average) == (expected.total, expected.average)
    assert_equal(source, sketch_of(x, channels=True))


def test_nan_stays_nan_behind_a_relu_and_infinity_only_without_a_ceiling():
    for value, ceiling, finite, nan in (
        (np.nan, 6.0, False, True),
        (-np.nan, np.inf, False, True),
        (np.inf, np.inf, False, False),
        (np.inf, 6.0, True, False),
        (-np.inf, np.inf, True, False),
    ):
        source, rectified = Sketch(), Rectified(ceiling)
        source.update(np.array([[1.0, value]], np.float32), rectified=rectified)
        found = rectified.sketch(source)
        assert (found.finite, found.has_nan) == (finite, nan)


def test_channel_maxima_are_exact():
    x = np.random.default_rng(1).normal(size=(3, 5, 4, 4)).astype(np.float32)
    np.testing.assert_array_equal(sketch_of(x).channel_max, np.abs(x).max((0, 2, 3)))


@pytest.mark.parametrize("fraction", [0.5, 0.99])
def test_channel_percentiles_are_within_a_coarse_bin_of_numpy(fraction):
    x = (np.random.default_rng(1).normal(size=(8, 3, 32, 32)) * np.array([1, 0.01, 300])[:, None, None]).astype(
        np.float32
    )
    bins = sketch_of(x, channels=True).channel_bins()
    assert bins is not None
    got = [percentile(channel, fraction) for channel in bins]
    exact = np.quantile(np.abs(x).transpose(1, 0, 2, 3).reshape(3, -1), fraction, axis=1)
    np.testing.assert_allclose(got, exact, rtol=1 / 16)


@pytest.mark.parametrize("shape", [(3, 40, 30, 30), (2, 3, 500, 500), (9, 7), (30,)], ids=str)
def test_of_a_thinned_tensor_extremes_are_exact_and_each_eighth_element_is_counted(shape):
    x = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    sketch = Sketch()
    for sample in x[:, None] if x.ndim > 1 else x:
        sketch.update(sample, channels=True, step=8)
    rows = x.reshape(*shape[:2], -1)[..., ::8] if x.ndim > 1 else x
    assert (sketch.low, sketch.high) == (x.min(), x.max())
    assert sketch.total == sketch.counts.sum() == rows.size
    if x.ndim > 1:
        np.testing.assert_array_equal(sketch.channel_max, np.abs(x.reshape(*shape[:2], -1)).max((0, 2)))


def test_how_many_samples_wait_shows_in_nothing():
    x = np.random.default_rng(3).normal(size=(40, 24, 20, 20)).astype(np.float32)
    one, whole, read = Sketch(), sketch_of(x, channels=True), Sketch()
    for index, sample in enumerate(x[:, None]):
        one.update(sample, channels=True)
        read.update(sample, channels=index % 3 == 0)
        assert read.counts.sum() == read.total
    assert_equal(one, whole)
    assert_equal(Sketch.of_counts(read.total, read.table, ends=(read.low, read.high), average=read.average,
                                  tops=read.tops), sketch_of(x))  # fmt: skip
    assert read.channel_counts.sum() == x[::3].size


def test_an_empty_batch_changes_nothing():
    sketch = sketch_of(np.zeros((0, 3, 2, 2), np.float32))
    assert (sketch.total, sketch.absmax, sketch.channel_max) == (0, 0.0, None)
    assert percentile(sketch.bins(), 0.9) == 0.0


def test_an_all_zero_tensor_has_threshold_zero():
    assert percentile(sketch_of(np.zeros((2, 3), np.float32)).bins(), 0.99) == 0.0


@pytest.mark.parametrize(
    ("value", "finite", "nan"), [(np.nan, False, True), (np.inf, False, False), (3e38, True, False)]
)
def test_nan_and_infinity_are_told_apart(value, finite, nan):
    sketch = sketch_of(np.array([[1.0, value]], np.float32))
    assert (sketch.finite, sketch.has_nan) == (finite, nan)


def test_memory_does_not_depend_on_how_much_was_seen():
    sketch = Sketch()
    sizes = set()
    for seed in range(5):
        sketch.update(np.random.default_rng(seed).normal(size=(4, 3, 8, 8)).astype(np.float32), channels=True)
        sizes.add((sketch.counts.nbytes, sketch.channel_max.nbytes, sketch.channel_counts.nbytes))
    assert len(sizes) == 1
