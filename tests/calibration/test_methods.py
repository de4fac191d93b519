"""KL, least squares, moving average and asymmetric ranges, against slow independent forms of the same definitions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from qworkbench.calibration.average import Average
from qworkbench.calibration.divergence import best_bin
from qworkbench.calibration.entropy import entropy_bin
from qworkbench.calibration.method import METHODS, CalibrationMethod
from qworkbench.calibration.sketch import Sketch
from qworkbench.calibration.thresholds import linear, signed
from qworkbench.errors import CalibrationError

rng = np.random.default_rng(0)
DRAWS = {
    "normal": rng.normal(size=40_000),
    "laplace": rng.laplace(size=40_000),
    "relu": np.maximum(rng.normal(size=40_000), 0),
    "one outlier": np.append(rng.normal(size=40_000), 40.0),
    "heavy tails": rng.standard_t(3, size=40_000),
}


def sketch_of(x, **options):
    sketch = Sketch()
    sketch.update(np.asarray(x, np.float32), **options)
    return sketch


def mean_squared_error(x, threshold):
    step = threshold / 127
    return np.mean((x - np.clip(np.rint(x / step), -127, 127) * step) ** 2)


@pytest.mark.parametrize("name", DRAWS)
def test_mse_finds_the_error_of_a_search_on_the_data_itself(name):
    x = DRAWS[name]
    found = CalibrationMethod("mse").of_sketch(sketch_of(x))
    least = min(mean_squared_error(x, t) for t in np.geomspace(0.02, 1, 300) * np.abs(x).max())
    assert mean_squared_error(x, found) <= least * 1.01


@pytest.mark.parametrize("name", DRAWS)
def test_linear_bins_keep_every_element_and_follow_numpys_histogram(name):
    x = np.abs(DRAWS[name])
    bins = sketch_of(x).bins()
    found = linear(bins, 256)
    exact, _ = np.histogram(x, 256, (0, x.max()))
    assert found.sum() == pytest.approx(x.size)
    assert np.abs(np.cumsum(found) - np.cumsum(exact)).max() <= 0.01 * x.size


def slow_divergence(histogram, keep, smooth, entropy):
    p = histogram[:keep].copy()
    p[-1] += histogram[keep:].sum()
    q = np.zeros(keep)
    for group in range(128):
        part = slice(group * keep // 128, (group + 1) * keep // 128)
        occupied = p[part] != 0
        if occupied.any():
            q[part] = np.where(occupied, histogram[part].sum() / occupied.sum(), 0)
    p, q = smooth(p), smooth(q)
    return np.inf if p is None or q is None else entropy(p, q)


@pytest.mark.parametrize("name", DRAWS)
def test_kl_takes_the_bin_that_onnxruntimes_smoothing_and_scipys_entropy_take(name):
    calibrate = pytest.importorskip("onnxruntime.quantization.calibrate")
    stats = pytest.importorskip("scipy.stats")
    histogram = linear(sketch_of(DRAWS[name][DRAWS[name] != 0]).bins(), 320)
    scores = [
        slow_divergence(histogram, keep, calibrate.smooth_distribution, stats.entropy) for keep in range(128, 321)
    ]
    assert abs(best_bin(histogram, 128, 1) - (128 + int(np.argmin(scores)))) <= 1


NORMAL = rng.normal(size=60_000)
SHAPES = {
    **DRAWS,
    "gelu": NORMAL / (1 + np.exp(-1.7 * NORMAL)),
    "uniform": rng.uniform(-1, 1, size=40_000),
    "few": rng.normal(size=800),
    "two peaks": np.concatenate([rng.normal(-3, 0.1, size=5_000), rng.normal(2, 0.5, size=3_000)]),
    "mostly zero": np.where(rng.uniform(size=40_000) < 0.97, 0, rng.exponential(size=40_000)),
}


@pytest.mark.parametrize(
    ("name", "bins"),
    # ONNX Runtime's search takes seconds among many bins
    [*itertools.product(SHAPES, (257, 1025, 2049)), ("normal", 8193), ("relu", 8193)],
)
def test_entropy_takes_the_bin_that_onnxruntimes_calibrator_takes(name, bins):
    collector = onnxruntime_collector()
    x = SHAPES[name]
    top = np.abs(x).max()
    histogram, edges = np.histogram(x, bins, (-top, top))
    low, _ = collector.get_entropy_threshold((histogram, edges, -top, top, top), 128)
    theirs = bins // 2 - int(np.argmin(np.abs(edges[: bins // 2 + 1] - low)))
    assert abs(entropy_bin(histogram.astype(np.float64), 128) - theirs) <= 1


def onnxruntime_collector():
    calibrate = pytest.importorskip("onnxruntime.quantization.calibrate")
    return calibrate.HistogramCollector(
        method="entropy", symmetric=True, num_bins=128, num_quantized_bins=128, percentile=99.99, scenario="same"
    )


@pytest.mark.parametrize("num_bin", [1024, 2048])
@pytest.mark.parametrize("name", ["normal", "relu", "heavy tails", "gelu"])
def test_entropy_of_a_sketch_is_onnxruntimes_threshold_on_the_histogram_of_the_sketch(name, num_bin):
    collector = onnxruntime_collector()
    sketch = sketch_of(SHAPES[name])
    histogram = signed(sketch.bins(1), sketch.bins(-1), num_bin, num_bin)
    edges = np.linspace(-sketch.absmax, sketch.absmax, histogram.size + 1)
    low, _ = collector.get_entropy_threshold((histogram.astype(np.int64), edges, -1e9, 1e9, 1e9), 128)
    found = CalibrationMethod("entropy", num_bin=num_bin, max_num_bin=num_bin).of_sketch(sketch)
    assert found == pytest.approx(-low, abs=1.01 * (edges[1] - edges[0]))


@pytest.mark.parametrize("name", SHAPES)
def test_signed_bins_keep_every_element(name):
    x = SHAPES[name]
    histogram = signed(sketch_of(x).bins(1), sketch_of(x).bins(-1), 256, 256)
    assert histogram.size == 513
    assert histogram.sum() == x.size
    assert histogram[:256].sum() == pytest.approx((x < -np.abs(x).max() / 513).sum(), rel=0.02, abs=5)


def test_kl_clips_an_outlier_and_keeps_the_bulk():
    x = DRAWS["one outlier"]
    found = CalibrationMethod("kl").of_sketch(sketch_of(x))
    assert 3.0 < found < 8.0


def test_kl_does_not_let_the_zeros_of_a_relu_decide():
    x = DRAWS["relu"]
    with_zeros = CalibrationMethod("kl").of_sketch(sketch_of(x))
    assert with_zeros == CalibrationMethod("kl").of_sketch(sketch_of(x[x > 0]))
    assert with_zeros > 2.5


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("values", [[0.0, 0.0], [0.25, 0.25], [0.0, -3.0]], ids=str)
def test_every_method_is_exact_where_there_is_one_magnitude(name, values):
    found = CalibrationMethod(name).of_sketch(sketch_of(values))
    assert found == pytest.approx(max(map(abs, values)), rel=0.01)


def test_a_moving_average_counts_samples_in_their_order_and_merges():
    tops = rng.uniform(0.5, 2, size=9)
    expected = tops[0]
    for top in tops[1:]:
        expected += 0.01 * (top - expected)
    samples = np.stack([np.full((2, 3), top) for top in tops]).astype(np.float32)
    whole = sketch_of(samples)
    assert whole.average.value == pytest.approx(expected)
    parts = sketch_of(samples[:4])
    parts.merge(sketch_of(samples[4:]))
    assert (parts.average.samples, parts.average.value) == (9, pytest.approx(expected))
    empty = Average()
    empty.extend(whole.average)
    assert empty == whole.average


def test_asymmetric_ranges_follow_each_sign():
    x = np.concatenate([-rng.uniform(0, 0.2, 10_000), rng.uniform(0, 3, 30_000)])
    low, high = CalibrationMethod("max").range_of(sketch_of(x))
    assert (low, high) == (pytest.approx(x.min()), pytest.approx(x.max()))
    low, high = CalibrationMethod("max-percentile", 0.99).range_of(sketch_of(x))
    assert low == pytest.approx(np.quantile(x, 0.01), rel=0.01)
    assert high == pytest.approx(np.quantile(x, 0.99), rel=0.01)
    assert CalibrationMethod("kl").range_of(sketch_of(np.abs(x)))[0] == 0.0


def test_counts_beyond_32_bits_go_on():
    sketch = sketch_of([[1.0, 2.0]], channels=True)
    sketch.total = 2**32 - 2
    sketch.update(np.ones((2, 2), np.float32), channels=True)
    assert sketch.table.dtype == sketch.channel_counts.dtype == np.int64
    assert sketch.counts.sum() == 6


def test_bins_out_of_order_are_refused():
    with pytest.raises(CalibrationError, match="must rise"):
        CalibrationMethod("kl", num_bin=4096, max_num_bin=1024)


def test_switching_the_method_never_touches_the_data(make_workbench, samples):
    reads = []

    def batches():
        reads.append(1)
        yield samples

    wb = make_workbench(calibration=batches())
    found = {}
    for method in (*METHODS, "default", "mix"):
        wb.calibrate(method=method, percentile=0.999)
        found[method] = wb.run().table["cosine"].min()
    wb.calibrate(method="max-percentile", percentile=0.99, per_channel=True)
    assert reads == [1]
    assert len(set(found.values())) >= 5
    assert min(found.values()) > 0.95
