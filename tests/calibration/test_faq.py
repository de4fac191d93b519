"""The answers of the PTQ FAQ about calibration, on models: each test is named after the question."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.analysis.metrics import compare
from qworkbench.calibration.method import CalibrationMethod
from qworkbench.calibration.search import SIMILARITY, three_methods

datasets = pytest.importorskip("sklearn.datasets")


class Digits(nn.Module):
    """A small classifier of 8 x 8 digits."""

    def __init__(self):
        super().__init__()
        self.a, self.bn = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.b = nn.Conv2d(8, 16, 3, 2, 1)
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        x = torch.relu(self.b(torch.relu(self.bn(self.a(x)))))
        return self.fc(x.mean((2, 3)))


class Residual(nn.Module):
    """A residual block with a SiLU and a depthwise convolution."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.c, self.act = nn.Conv2d(8, 4, 1), nn.SiLU()

    def forward(self, x):
        x = self.act(self.a(x))
        return self.c(x + self.b(x))


def digits():
    images = torch.tensor(datasets.load_digits().images, dtype=torch.float32)[:, None] / 16
    labels = torch.tensor(datasets.load_digits().target)
    torch.manual_seed(0)
    model = Digits()
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(25):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images[:600]), labels[:600]).backward()
        optimizer.step()
    return model.eval(), images[:16]


def residual():
    torch.manual_seed(1)
    return Residual().eval(), torch.randn(8, 3, 12, 12)


def lopsided():
    """Channels of very different size that count the same in the end: no method per tensor reaches the limit."""
    torch.manual_seed(0)
    a, b = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
    c = nn.Conv2d(8, 4, 1, bias=False)
    with torch.no_grad():
        a.weight *= torch.logspace(-3, 2, 8).reshape(-1, 1, 1, 1)
        b.weight *= torch.logspace(2, -3, 8).reshape(-1, 1, 1, 1)
    return nn.Sequential(a, nn.ReLU(), b, c).eval(), torch.randn(8, 3, 8, 8)


MODELS = {"digits": digits, "residual": residual, "lopsided": lopsided}


@pytest.fixture(scope="module", params=MODELS)
def case(request):
    model, x = MODELS[request.param]()
    return request.param, model, x, q.Workbench(model, x[:1], calibration=x)


def first_sample_cosine(workbench, model, x):
    """Return the lowest output cosine of the state in force on the first calibration sample, computed apart."""
    run = workbench.run(x[:1])
    with torch.no_grad():
        expected = model(x[:1]).numpy()
    return compare(expected, next(iter(run.outputs.values()))).cosine


def test_how_to_understand_horizons_default_calibration_method(case):
    name, model, x, workbench = case
    result = workbench.calibrate(method="default")
    table = result.table
    by_step = {step: table[table["step"] == step] for step in (1, 2, 3)}
    assert by_step[1].index.tolist() == [method.describe() for method in three_methods()]
    best_of_one = by_step[1]["cosine"].max()
    if best_of_one >= SIMILARITY:
        assert len(table) == 3
    else:
        assert by_step[2].index.tolist() == ["max-percentile 0.99995, per channel"]
        best_of_two = table["cosine"][:4].max()
        assert len(table) == (4 if best_of_two >= SIMILARITY else 5)
        if len(table) == 5:
            assert by_step[3].index[0] == f"{table['cosine'][:4].idxmax()}, asymmetric"
    assert table["cosine"][result.winner.name] == table["cosine"].max()
    assert table["chosen"][result.winner.name].startswith("winner")
    # every row of the table is what that method gives, measured apart
    for candidate in result.candidates:
        if candidate.judge == "emulator":
            method = candidate.method
            workbench.edit(q.SetCalibration(method.name, method.percentile, method.per_channel))
            assert first_sample_cosine(workbench, model, x) == pytest.approx(candidate.score.cosine, abs=2e-6)
    assert (len(table) > 3) == (name == "lopsided")


def test_how_to_understand_horizons_mix_calibration_method(case):
    _, model, x, workbench = case
    result = workbench.calibrate(method="mix")
    whole = {c.name: c for c in result.candidates}
    assert set(whole) == {"mix", *(method.describe() for method in three_methods())}
    nodes = result.node_table
    assert len(nodes) >= 1
    for node, row in nodes.iterrows():
        scores = row.drop("choice")
        assert scores[row["choice"]] == scores.max(), node
    assert result.winner.score.cosine == max(c.score.cosine for c in result.candidates)
    assert first_sample_cosine(workbench, model, x) == pytest.approx(result.applied.score.cosine, abs=2e-6)
    base = max((c for c in result.candidates if c.name != "mix"), key=lambda c: c.score.cosine).method
    changed = {node for node, row in nodes.iterrows() if row["choice"] != base.describe()}
    assert set(whole["mix"].nodes) == changed


def test_the_result_of_calibration_depends_neither_on_batch_size_nor_on_order(case):
    _, _, x, workbench = case
    whole = workbench.statistics
    other = q.Workbench(workbench.model, x[:1], calibration=[x[i : i + 1] for i in reversed(range(len(x)))]).statistics
    for method in (*three_methods(), CalibrationMethod("mse")):
        for name in whole.sketches:
            a, b = whole.threshold(name, method), other.threshold(name, method)
            assert a == pytest.approx(b, rel=0.02), (name, method)  # batches round differently in float


@pytest.mark.parametrize("outlier", [40.0, 400.0])
def test_kl_has_1024_bins_and_up_to_16384_where_a_few_outliers_lie_beyond(outlier):
    from qworkbench.calibration.sketch import Sketch
    from qworkbench.calibration.thresholds import percentile

    rng = np.random.default_rng(0)
    bulk = rng.normal(size=40_000).astype(np.float32)
    plain, spiked = Sketch(), Sketch()
    plain.update(bulk)
    spiked.update(np.append(bulk, np.float32(outlier)))
    method = CalibrationMethod("kl")
    assert (method.num_bin, method.max_num_bin) == (1024, 16384)
    without, found = method.of_sketch(plain), method.of_sketch(spiked)
    coarse = CalibrationMethod("kl", max_num_bin=1024).of_sketch(spiked)
    # one outlier hardly moves the threshold; with 1024 bins in all it decides it
    assert found == pytest.approx(without, rel=0.25)
    assert coarse > (1.05 if outlier == 40 else 10) * found
    number = round(1024 * outlier / percentile(spiked.bins(), 0.99995) + 0.5)
    width = outlier / min(number, 16384)
    assert found / width == pytest.approx(round(found / width), abs=1e-3)


def test_max_and_percentile_are_exact_on_the_same_histogram():
    from qworkbench.calibration.thresholds import percentile

    rng = np.random.default_rng(3)
    from qworkbench.calibration.sketch import Sketch

    x = rng.laplace(size=30_000).astype(np.float32)
    sketch = Sketch()
    sketch.update(x)
    bins = sketch.bins()
    assert CalibrationMethod("max").of_sketch(sketch) == np.abs(x).max()
    for fraction in (0.9, 0.999, 0.99995):
        # numpy's inverted distribution function over the same bins, values evenly spread inside each
        edges = np.concatenate([bins.low[:1], bins.high])
        below = np.concatenate([[0.0], np.cumsum(bins.counts)]) / bins.counts.sum()
        gaps = bins.low[1:] > bins.high[:-1]
        expected = np.interp(fraction, below, edges) if not gaps.any() else None
        found = percentile(bins, fraction)
        if expected is not None:
            assert found == pytest.approx(expected, rel=1e-9)
        inside = np.searchsorted(np.cumsum(bins.counts), fraction * bins.counts.sum())
        assert bins.low[inside] <= found <= bins.high[inside]
