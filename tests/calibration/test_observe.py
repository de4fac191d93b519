"""A calibration set goes through the float graph: what is observed, what is refused, and that nothing is kept."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import qworkbench as q
from qworkbench.calibration.method import CalibrationMethod
from qworkbench.calibration.observe import batches_of, collect
from qworkbench.errors import CalibrationError, Cancelled, UnknownNameError
from qworkbench.graph.execute import run_float


@pytest.fixture(scope="module")
def graph(mixed_model, samples):
    return q.capture(mixed_model, samples[:1])


def thresholds(statistics, method=None):
    return {name: statistics.threshold(name, method or CalibrationMethod()) for name in statistics.sketches}


def test_maximum_of_every_activation_is_exact(graph, samples):
    statistics = collect(graph, batches_of(samples))
    assert statistics.samples == len(samples)
    for name, tensor in run_float(graph, {"x": samples}).items():
        assert statistics.threshold(name, CalibrationMethod()) == pytest.approx(float(tensor.abs().max()), rel=1e-6)


@pytest.mark.parametrize(
    "form",
    [
        lambda x: x.numpy(),
        lambda x: [x[:5], x[5:]],
        lambda x: (x[i : i + 1] for i in range(len(x))),
        lambda x: {"x": x},
        lambda x: [{"x": x[:3]}, {"x": x[3:]}],
        lambda x: DataLoader(TensorDataset(x), batch_size=5),
        lambda x: [(x,)],
    ],
    ids=["array", "list", "generator", "dict", "dicts", "DataLoader", "tuples"],
)
def test_every_form_of_the_same_samples_gives_the_same_thresholds(graph, samples, form):
    expected = thresholds(collect(graph, batches_of(samples)))
    found = collect(graph, batches_of(form(samples)))
    assert found.samples == len(samples)
    assert thresholds(found) == pytest.approx(expected, rel=1e-5)


def test_a_relu_is_not_read_again_and_its_statistics_are_those_of_its_values(captured, monkeypatch):
    from qworkbench.calibration.sketch import Sketch
    from qworkbench.calibration.thresholds import percentile

    def forward(m, x):
        y = torch.relu(m.b(m.a(x)))
        return m.d(torch.nn.functional.relu6(m.c(y) * 9)) + y

    layers = {"a": nn.Conv2d(3, 4, 1), "b": nn.BatchNorm2d(4), "c": nn.Conv2d(4, 4, 1), "d": nn.Conv2d(4, 4, 1)}
    graph = captured(forward, (2, 3, 8, 8), **layers)
    x = torch.randn(6, 3, 8, 8)
    seen = []
    update = Sketch.update
    monkeypatch.setattr(Sketch, "update", lambda self, v, **o: seen.append(v.shape) or update(self, v, **o))
    statistics = collect(graph, [x[:2], x[2:]])
    rectified = [n for n in graph.nodes if n.op in ("Relu", "Clip")]
    assert len(rectified) == 2
    assert len(seen) == 2 * (len(statistics.sketches) - 2)
    for node in rectified:
        direct = Sketch()
        for part in (x[:2], x[2:]):
            direct.update(run_float(graph, {graph.inputs[0]: part})[node.output].numpy(), channels=True)
        for method in ("max", "max-percentile", "kl", "mse", "moving-average"):
            choice = CalibrationMethod(method, 0.99)
            assert statistics.threshold(node.output, choice) == choice.of_sketch(direct)
        found = statistics.channel_thresholds(node.output, CalibrationMethod("max-percentile", 0.9, per_channel=True))
        bins = direct.channel_bins()
        assert bins is not None
        np.testing.assert_array_equal(found, np.float32([percentile(channel, 0.9) for channel in bins]))


def test_no_activation_outlives_its_batch(graph, samples, monkeypatch):
    from qworkbench.calibration import observe

    alive = []
    original = observe.run_float

    def watched(graph, feeds, *, on_node, **options):
        def watch(node, outputs):
            alive.extend(weakref.ref(tensor) for tensor in outputs)
            on_node(node, outputs)

        return original(graph, feeds, on_node=watch, **options)

    monkeypatch.setattr(observe, "run_float", watched)
    peak = []

    def batches():
        for i in range(4):
            gc.collect()
            peak.append(sum(ref() is not None for ref in alive))
            yield samples[i : i + 1]

    statistics = collect(graph, batches())
    gc.collect()
    assert len(alive) == 4 * len(graph.nodes)
    assert sum(ref() is not None for ref in alive) == 0
    # only what the last batch returned may still be on its way out
    assert max(peak) <= len(graph.outputs)
    assert statistics.samples == 4


def test_every_part_of_a_softmax_is_observed(graph, samples):
    statistics = collect(graph, batches_of(samples))
    x = run_float(graph, {"x": samples})["head"]
    shifted = x - x.amax(1, keepdim=True)
    total = shifted.exp().sum(1, keepdim=True)
    for part, tensor in (("sub", shifted), ("sum", total), ("reciprocal", 1 / total)):
        found = statistics.threshold(f"softmax.{part}", CalibrationMethod())
        assert found == pytest.approx(float(tensor.abs().max()), rel=1e-6)


BAD = {
    "nothing": (lambda x: None, "no calibration data"),
    "text": (lambda x: "images", "str"),
    "a number": (lambda x: 5, "int"),
    "a 0-d array": (lambda x: np.array(5.0), "single number"),
    "a 0-d tensor": (lambda x: torch.tensor(5.0), "single number"),
    "an empty list": (lambda x: [], "empty"),
    "an empty array": (lambda x: x[:0], "empty"),
    "an exhausted generator": (lambda x: iter([]), "empty"),
    "a wrong shape": (lambda x: x[:, :2], r"\(B, 3, 8, 8\), got \(12, 2, 8, 8\)"),
    "no batch axis": (lambda x: [x[0]], "batch axis"),
    "a wrong dtype": (lambda x: x.double(), "float32, got float64"),
    "images with labels": (lambda x: [(x, torch.zeros(12))], "takes 1 inputs"),
    "an unknown input": (lambda x: {"image": x}, "'image'"),
    "numbers in a list": (lambda x: [1, 2], "int"),
    "None in a list": (lambda x: [None], "NoneType"),
    "NaN": (lambda x: [x, x * float("nan")], "batch 2 holds NaN"),
    "infinity": (lambda x: x / 0.0, "batch 1 holds NaN or infinite"),
}


@pytest.mark.parametrize("name", BAD)
def test_data_that_cannot_be_used_is_refused_in_one_line(graph, samples, name):
    make, pattern = BAD[name]
    with pytest.raises(CalibrationError, match=pattern) as caught:
        collect(graph, batches_of(make(samples)))
    assert "\n" not in str(caught.value)


def test_an_activation_that_becomes_nan_is_named(captured):
    graph = captured(lambda m, x: torch.sqrt(m.a(x)), (1, 3, 4, 4), a=nn.Conv2d(3, 2, 1))
    with pytest.raises(CalibrationError, match="'_generated_sqrt_0' becomes NaN"):
        collect(graph, [torch.randn(1, 3, 4, 4)])


def test_a_mask_of_minus_infinity_in_front_of_a_float_softmax_is_no_obstacle(make_workbench):
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 2, 1)

        def forward(self, x):
            y = self.a(x)
            return y.masked_fill(torch.ones(4, 4).triu(1).bool(), float("-inf")).softmax(-1)

    torch.manual_seed(0)
    wb = make_workbench(Masked().eval(), torch.randn(1, 3, 4, 4))
    assert wb.run().table["cosine"].min() > 0.99
    masked = next(n.name for n in wb.graph.nodes if n.name not in ("a",) and n.op != "Softmax")
    with pytest.raises(CalibrationError, match=f"'{masked}' becomes infinite"):
        wb.statistics.threshold(masked, CalibrationMethod())


def test_cancel_stops_between_nodes(graph, samples):
    seen = []

    def cancelled():
        seen.append(1)
        return len(seen) > 3

    with pytest.raises(Cancelled, match="as before"):
        collect(graph, [samples] * 100, cancelled=cancelled)
    assert len(seen) == 4


def test_progress_counts_batches_and_knows_the_total_where_there_is_one(graph, samples):
    seen = []
    collect(graph, batches_of(samples.repeat(4, 1, 1, 1)), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]
    seen.clear()
    collect(graph, (samples for _ in range(2)), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, None), (2, None)]


def test_an_array_is_cut_into_batches_that_fit_the_cache():
    assert [len(x) for x in batches_of(np.zeros((70, 3, 8, 8), np.float32))] == [32, 32, 6]
    assert [len(x) for x in batches_of(torch.zeros(7, 3, 224, 224))] == [3, 3, 1]
    assert [len(x) for x in batches_of(np.zeros((2, 3, 512, 512), np.float32))] == [1, 1]


# -- methods ----
@pytest.mark.parametrize("percentile", [0.0, -0.1, 1.1, float("nan")])
def test_a_percentile_outside_0_to_1_is_refused(percentile):
    with pytest.raises(CalibrationError, match=r"\(0, 1\]"):
        CalibrationMethod("max-percentile", percentile)


def test_an_unknown_method_names_the_known_ones():
    with pytest.raises(UnknownNameError, match="max-percentile"):
        CalibrationMethod("percentile")


def test_a_percentile_per_channel_is_there_where_convolutions_read_and_everywhere_on_request(graph, samples):
    method = CalibrationMethod("max-percentile", 0.99, per_channel=True)
    coarse = collect(graph, batches_of(samples))
    assert coarse.channel_thresholds("act", method).shape == (6,)
    assert coarse.channel_thresholds("mix", method) is None
    fine = collect(graph, batches_of(samples), per_channel=True)
    assert fine.channel_thresholds("mix", method).shape == (6,)
    assert np.all(fine.channel_thresholds("mix", method) <= fine.channel_thresholds("mix", CalibrationMethod()))


def test_per_channel_switches_to_a_finer_emulation(make_workbench, samples):
    wb = make_workbench()
    before = wb.run()
    wb.calibrate(samples, per_channel=True)
    after = wb.run()
    assert wb.config.calibration.per_channel
    assert after.table["l1"].sum() != before.table["l1"].sum()
