"""The default search and the mix search: each step of the FAQ, on a workbench and on given scores."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.calibration.candidates import Score
from qworkbench.calibration.method import CalibrationMethod
from qworkbench.calibration.search import default_search, mix_search, three_methods
from qworkbench.errors import CalibrationError, Cancelled

MAX, PERCENTILE, KL = three_methods()


def run_default(cosines, asymmetric=0.5, **options):
    asked = []

    def measure(method):
        key = method.name + (" per channel" if method.per_channel else "")
        asked.append(key)
        return Score(cosines[key], 0.1)

    def measure_asymmetric(method):
        asked.append(f"asymmetric {method.name}")
        return Score(0.9, 0.1), Score(asymmetric, 0.1)

    return default_search(measure, measure_asymmetric, **options), asked


def test_how_to_understand_the_default_calibration_method_step_1_stops_at_0_995():
    result, asked = run_default({"max": 0.994, "max-percentile": 0.995, "kl": 0.9})
    assert asked == ["max", "max-percentile", "kl"]
    assert result.winner.name == "max-percentile 0.99995"
    assert "step 1 stopped" in result.why


def test_how_to_understand_the_default_calibration_method_step_2_adds_per_channel():
    result, asked = run_default({"max": 0.99, "max-percentile": 0.98, "kl": 0.9, "max-percentile per channel": 0.996})
    assert asked == ["max", "max-percentile", "kl", "max-percentile per channel"]
    assert result.winner.method.per_channel
    assert "step 2 stopped" in result.why


@pytest.mark.parametrize(("asymmetric", "winner"), [(0.5, "kl"), (0.999, "asymmetric")])
def test_how_to_understand_the_default_calibration_method_step_3_is_asymmetric_of_the_best(asymmetric, winner):
    cosines = {"max": 0.9, "max-percentile": 0.91, "kl": 0.93, "max-percentile per channel": 0.92}
    result, asked = run_default(cosines, asymmetric)
    assert asked[-1] == "asymmetric kl"
    assert len(result.table) == 5
    assert winner in result.winner.name
    # what the emulator cannot represent is told, and never applied
    assert result.applied.method == KL
    assert ("cannot represent" in result.why) == (winner == "asymmetric")
    assert result.table["judged_by"].tolist() == ["emulator"] * 4 + ["fake-quant"]


def test_nan_never_wins():
    result, _ = run_default({"max": float("nan"), "max-percentile": 0.996, "kl": float("nan")})
    assert result.winner.method == PERCENTILE


def test_how_to_understand_the_mix_calibration_method():
    effects = {MAX: {"a": 0.9, "b": 0.99}, PERCENTILE: {"a": 0.95, "b": 0.99}, KL: {"a": 0.97, "b": 0.98}}
    whole = {MAX: 0.96, PERCENTILE: 0.95, KL: 0.94}
    result = mix_search(
        lambda method, nodes: Score(0.97 if nodes else whole[method], 0.1),
        lambda method: ["a", "b"] if method == MAX else [],
        lambda method, nodes: {node: effects[method][node] for node in nodes},
    )
    assert result.winner.name == "mix"
    assert result.winner.nodes == {"a": KL}  # b stays with the base, which is as good as any
    assert result.node_table["choice"].tolist() == [KL.describe(), "max"]
    assert set(result.table.index) == {"mix", *(m.describe() for m in (MAX, PERCENTILE, KL))}


def test_cancel_stops_between_candidates():
    asked = []
    with pytest.raises(Cancelled):
        default_search(
            lambda method: asked.append(method) or Score(0.5, 0.1),
            lambda method: (Score(0, 0), Score(0, 0)),
            cancelled=lambda: len(asked) >= 2,
        )
    assert len(asked) == 2


# -- on a workbench ----
class Lopsided(nn.Module):
    """Channels of very different size that all count the same in the end, so that one scale is not enough."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3, padding=1)
        self.b = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.c = nn.Conv2d(8, 4, 1)
        with torch.no_grad():
            self.a.weight *= torch.logspace(-3, 2, 8).reshape(-1, 1, 1, 1)
            for layer in (self.a, self.b, self.c):
                layer.bias.zero_()
            self.b.weight *= torch.logspace(2, -3, 8).reshape(-1, 1, 1, 1)

    def forward(self, x):
        return self.c(self.b(torch.relu(self.a(x))))


@pytest.fixture(scope="module")
def lopsided():
    torch.manual_seed(0)
    x = torch.randn(6, 3, 8, 8)
    return q.Workbench(Lopsided().eval(), x[:1], calibration=x)


def test_the_default_search_reaches_per_channel_where_channels_differ(lopsided):
    before = lopsided.config
    seen = []
    result = lopsided.calibrate(method="default", progress=lambda done, total: seen.append((done, total)))
    assert len(result.candidates) >= 4
    assert result.applied.method.per_channel
    assert lopsided.config.calibration == result.applied.method
    # the table's cosine is what a run on the first sample shows
    assert lopsided.run().table["cosine"].min() == pytest.approx(result.applied.score.cosine, abs=1e-7)
    assert seen[0] == (0, 3)
    assert seen[-1][0] == seen[-1][1] == len(result.candidates)
    lopsided.undo()
    assert lopsided.config == before


def test_a_search_with_data_replaces_statistics_and_is_one_step(wb, samples):
    steps = len(wb.journal)
    result = wb.calibrate(samples[:4], method="mix")
    assert wb.statistics.samples == 4
    assert len(wb.journal) == steps + 1
    assert result.winner.score.cosine == max(c.score.cosine for c in result.candidates)
    assert "<table" in result._repr_html_()


def test_a_cancelled_search_changes_nothing(wb, samples):
    before, statistics = wb.config, wb.statistics
    calls = []
    with pytest.raises(Cancelled):
        wb.calibrate(samples[:4], method="default", cancelled=lambda: len(calls) > 40 or calls.append(1))
    assert (wb.config, wb.statistics) == (before, statistics)


def test_a_search_runs_as_a_job_with_progress(wb):
    events = []
    wb.subscribe(lambda event, data: events.append(event))
    result = wb.calibrate_async(method="default").wait(60)
    assert result.applied.method == wb.config.calibration
    assert {"running", "progress", "edited"} <= set(events)


def test_asymmetric_beats_symmetric_in_fake_quantization_where_values_lie_on_one_side():
    from qworkbench.workbench.searching import Searcher

    torch.manual_seed(0)
    x = torch.rand(4, 3, 8, 8) + 0.5
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.Sigmoid(), nn.Conv2d(8, 4, 1)).eval()
    wb = q.Workbench(model, x[:1], calibration=x)
    searcher = Searcher(wb._stages, wb.config, wb.example, lambda: False)
    symmetric, asymmetric = searcher.measure_asymmetric(MAX)
    assert asymmetric.l1 < symmetric.l1
    # fake quantization and integers agree closely where both exist
    assert symmetric.cosine == pytest.approx(searcher.measure(MAX).cosine, abs=1e-3)


def test_methods_of_nodes_change_only_their_thresholds_and_survive_a_file(wb, mixed_model, tmp_path):
    plain = wb._stages.plan(wb.config)
    wb.edit(q.SetNodeCalibration("act", "max-percentile", 0.9), q.SetNodeCalibration("x", "max-percentile", 0.9))
    plan = wb._stages.plan(wb.config)
    changed = {
        key
        for key in plan.quantities
        if key.endswith("int8") and plan.quantities[key].scale[0] != plain.quantities[key].scale[0]
    }
    assert changed == {"act@int8", "x@int8"}
    run = wb.run()
    wb.save(tmp_path / "state.qwb.json")
    opened = q.Workbench.open(tmp_path / "state.qwb.json", mixed_model)
    assert opened.config == wb.config
    assert opened.run().table["cosine"].tolist() == run.table["cosine"].tolist()
    fresh = q.Workbench(mixed_model, wb.example)
    exec(wb.as_code(), {"wb": fresh})
    assert fresh.config == wb.config
    assert any("methods act: calibration -> max-percentile 0.9" in line for line in wb.diff())
    wb.edit(q.SetNodeCalibration("act", "auto"))
    assert dict(wb.config.methods) == {"x": CalibrationMethod("max-percentile", 0.9)}


def test_a_search_needs_statistics(wb, mixed_model, tmp_path):
    wb.save(tmp_path / "state.qwb.json")
    opened = q.Workbench.open(tmp_path / "state.qwb.json", mixed_model)
    with pytest.raises(CalibrationError, match="calibrate with data"):
        opened.calibrate(method="default")
