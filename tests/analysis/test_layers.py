from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.analysis.layer_table import GUIDE_COLUMNS
from qworkbench.analysis.quantization_error import quantization_error


def row_of(found, name):
    return found.frame.set_index("mod_name").loc[name]


def test_every_column_of_the_guide_is_there_and_agrees_with_a_run(wb, samples):
    found, run = wb.compare_layers(samples[:2]), wb.run(samples[:2])
    assert list(found.frame.columns)[: len(GUIDE_COLUMNS)] == list(GUIDE_COLUMNS)
    for name in run.layers.index[run.layers.cosine.notna()]:
        row = row_of(found, name)
        assert row.Cosine == pytest.approx(run.layers.cosine[name], rel=1e-12)
        assert row.Atol == row.max_atol_diff == run.layers.atol[name]
        if not math.isnan(run.layers.max_qscale_diff[name]):
            assert pytest.approx(run.layers.max_qscale_diff[name]) == row.max_qscale_diff
            assert pytest.approx(row.Atol / row.qscale) == row.max_qscale_diff
    fused = row_of(found, "bn")
    assert fused.analy_op_type.startswith("fused into")
    assert math.isnan(fused.Cosine)
    assert not math.isnan(fused.base_model_max)


def test_a_healthy_model_has_no_bad_layer_and_local_errors_near_the_yardstick(wb, samples):
    found = wb.compare_layers(samples)
    assert found.first_bad is None
    row = row_of(found, "x")
    assert pytest.approx(0.29, abs=0.03) == row.local_rmse_qscale
    assert row.healthy_SQNR == pytest.approx(49.92)
    live = found.frame.dropna(subset=["local_SQNR", "SQNR"])
    assert (live.local_SQNR >= live.SQNR - 6).all()


def test_a_channel_scaled_by_1000_is_named_at_its_layer(make_workbench, chain, samples):
    with torch.no_grad():
        chain.second.weight[3] *= 1000
        chain.second.bias[3] *= 1000
        chain.third.weight[:, 3] /= 1000
    found = make_workbench(chain, samples).compare_layers(samples)
    assert found.first_bad == "_generated_relu_1"
    advice = row_of(found, "_generated_relu_1").advice
    assert "channel 3 is" in advice
    assert "large for int8" in advice


def test_a_truncated_threshold_is_named_with_the_scale_that_repairs_it(make_workbench, chain, samples):
    wb = make_workbench(chain, samples)
    healthy = wb.compare_layers(samples)
    assert healthy.first_bad is None
    tail = "_generated_relu_1"
    wb.edit(q.FixScale(tail, float(row_of(healthy, tail).qscale) / 16))
    found = wb.compare_layers(samples)
    row = found.frame[found.frame.advice.str.startswith("truncated")].iloc[0]
    assert found.first_bad == row.mod_name == tail
    assert row.truncation_rmse > row.rounding_rmse
    scale = float(row.advice.split("fix the scale at ")[1].split()[0])
    wb.edit(q.FixScale(row.mod_name, scale))
    assert wb.compare_layers(samples).first_bad is None


def test_an_input_beyond_calibration_is_a_truncated_input(wb, samples):
    found = wb.compare_layers(samples * 8)
    assert found.first_bad == "x"
    assert "; truncated: codes reach" in row_of(found, "x").advice


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.out = nn.Conv2d(3, 2, 1)

    def forward(self, x):
        return self.out(self.conv(x)), self.out(self.conv(x * 50.0))


def test_a_shared_conv_with_two_very_different_inputs_is_told(make_workbench, samples):
    torch.manual_seed(0)
    found = make_workbench(Shared().eval(), samples).compare_layers(samples)
    told = found.frame[found.frame.advice.str.contains("shared module: 'conv' is called 2 times")]
    assert len(told) == 2


def test_a_saturating_accumulator_is_told(make_workbench):
    model = nn.Sequential(nn.Conv2d(600, 2, 1, bias=False), nn.Conv2d(2, 2, 1)).eval()
    nn.init.constant_(model[0].weight, 1.0)
    wb = make_workbench(model, torch.ones(1, 600, 2, 2))
    wb.edit(q.SetDtype("0", input="int16"))
    assert "saturating accumulator: 8 sums" in row_of(wb.compare_layers(), "0").advice


def test_rounding_and_truncation_are_apart():
    x = np.array([0.24, 0.26, 100.0, -100.0], np.float32)
    error = quantization_error(x, "int8", np.array([0.5], np.float32))
    assert error.truncated == 0.5
    assert error.truncation == pytest.approx(math.sqrt((36.5**2 + 36.0**2) / 4))
    assert error.rounding == pytest.approx(math.sqrt((0.24**2 + 0.24**2) / 4), rel=1e-5)


def test_the_table_is_written_in_three_forms(wb, tmp_path):
    found = wb.compare_layers()
    frame = pd.read_csv(found.save(tmp_path / "layers.csv"), index_col=0)
    assert list(frame.mod_name) == list(found.frame.mod_name)
    assert "mod_name" in found.save(tmp_path / "layers.txt").read_text()
    assert "<table" in found.save(tmp_path / "layers.html").read_text()
    for bad in ("layers.xls", "missing/layers.csv"):
        with pytest.raises(q.QWorkbenchError):
            found.save(tmp_path / bad)


def test_it_can_be_cancelled(wb):
    with pytest.raises(q.QWorkbenchError, match="cancelled"):
        wb.compare_layers(cancelled=lambda: True)
    job = wb.in_background("compare_layers")
    assert len(job.wait(20).frame) > 10
    assert job.done == job.total


def test_figures_show_the_metric_per_layer_and_where_codes_end(wb, samples):
    from qworkbench.analysis.plots import histogram_figure

    found = wb.compare_layers(samples * 8)
    axes = found.figure("Cosine").axes[0]
    shown = found.frame.Cosine.notna().sum()
    assert [len(line.get_xdata()) for line in axes.lines[:2]] == [shown, shown]
    assert "first bad: x" in [text.get_text() for text in axes.get_legend().get_texts()]
    with pytest.raises(q.QWorkbenchError, match="did you mean 'Cosine'"):
        found.figure("Cosin")
    marks = histogram_figure(samples.numpy(), 2.5).axes[0].lines
    assert sorted(line.get_xdata()[0] for line in marks) == [-2.5, 2.5]


def test_figures_of_ranges_of_the_accumulated_error_and_of_one_tensor(wb, samples):
    found = wb.compare_layers(samples)
    ranges, errors = found.figure("ranges").axes[0], found.figure("accumulated").axes[0]
    assert {"min", "mean", "max", "codes reach"} == {text.get_text() for text in ranges.get_legend().get_texts()}
    assert any("healthy rounding, 0.29" in text.get_text() for text in errors.get_legend().get_texts())
    histogram = wb.values_figure("mix", samples)
    limit = float(row_of(found, "mix").qscale) * 127
    assert sorted(line.get_xdata()[0] for line in histogram.axes[0].lines) == pytest.approx([-limit, limit])
    assert histogram._repr_png_().startswith(b"\x89PNG")
    boxes = wb.values_figure("mix", samples, "channels").axes[0]
    assert boxes.get_title() == f"mix  codes reach {limit:.4g}"
    for wrong in (("mixx", "histogram"), ("mix", "boxes"), ("softmax", "channels")):
        with pytest.raises(q.QWorkbenchError):
            wb.values_figure(wrong[0], samples, wrong[1])


def test_both_yardsticks_stand_beside_what_they_measure(wb, samples):
    frame = wb.compare_layers(samples).frame
    coded = frame[frame.healthy_SQNR.notna()]
    assert coded.healthy_rmse_qscale.to_numpy() == pytest.approx(12**-0.5)
    assert list(frame.columns).index("healthy_rmse_qscale") == list(frame.columns).index("local_rmse_qscale") + 1


def test_a_name_that_looks_like_a_tag_stays_text():
    from qworkbench.analysis.layer_table import LayerComparison

    frame = pd.DataFrame({"mod_name": ["<b>"], "quant_dtype": ["int8"], "advice": [""]})
    shown = LayerComparison(frame, "<script>alert(1)</script>")._repr_html_()
    assert "<script>" not in shown
    assert "<b>" not in shown
