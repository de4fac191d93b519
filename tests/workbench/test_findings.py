"""The newest result of each analysis stays with the workbench, and says whether it still holds."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import qworkbench as q


@pytest.fixture
def images():
    torch.manual_seed(0)
    return torch.rand(4, 1, 8, 8)


@pytest.fixture
def wb(images):
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()
    return q.Workbench(model, images[:1], calibration=images)


def test_a_result_holds_until_an_edit_and_again_after_its_undo(wb, images):
    assert not wb.holds("sensitivity")
    table = wb.sensitivity(images)
    assert wb.findings["sensitivity"].result is table
    wb.edit(q.SetDtype("0", "int16"))
    assert not wb.holds("sensitivity")
    wb.undo()
    assert wb.holds("sensitivity")


def test_how_images_reach_the_model_changes_no_figure(wb, images):
    wb.sensitivity(images)
    wb.declare_input(rt="gray", train="gray", mean=127.5)
    assert wb.holds("sensitivity")
    wb.edit(q.SetMarch("nash-m"))
    assert not wb.holds("sensitivity")


def test_new_calibration_data_makes_it_old_although_no_setting_changed(wb, images):
    wb.compare_layers(images)
    before = wb.config
    wb.calibrate(images * 2)
    assert wb.config == before
    assert not wb.holds("compare_layers")


def test_listeners_hear_which_analysis_has_a_new_result(wb, images):
    heard = []
    wb.subscribe(lambda event, data: heard.append(data) if event == "found" else None)
    wb.mixed_precision(budget=10.0, inputs=images)
    wb.channels("0", images)
    assert heard == ["sensitivity", "mixed_precision", "channels"]


def test_a_candidate_is_named_in_full_or_by_the_part_before_the_colon(wb):
    result = wb.calibrate(method="default")
    names = [candidate.name for candidate in result.candidates]
    wb.use_candidate("kl")
    assert wb.config.calibration.name == "kl"
    wb.use_candidate(names[0])
    assert wb.config.calibration.describe() == names[0]
    with pytest.raises(q.QWorkbenchError, match="did you mean"):
        wb.use_candidate("max-percentil")


def test_a_candidate_that_the_emulator_cannot_represent_is_refused():
    from qworkbench.calibration.candidates import Candidate, Score, SearchResult
    from qworkbench.calibration.method import CalibrationMethod

    plain = Candidate("max", 1, CalibrationMethod(), Score(0.9, 0.1))
    asymmetric = Candidate("max, asymmetric", 3, CalibrationMethod(), Score(0.99, 0.1), "fake-quant")
    result = SearchResult("default", (plain, asymmetric), asymmetric, plain, "")
    assert result.candidate("max") is plain
    with pytest.raises(q.QWorkbenchError, match="the emulator has no asymmetric thresholds"):
        result.candidate("max, asymmetric")


def test_channel_boxes_are_quartiles_per_channel(wb, images):
    found = wb.channels("1", images)
    with torch.no_grad():
        values = wb.model[:2](images)
    rows = values.transpose(0, 1).reshape(4, -1)
    assert found.frame["min"].tolist() == pytest.approx(rows.min(1).values.tolist(), abs=1e-6)
    assert found.frame["median"].tolist() == pytest.approx(rows.quantile(0.5, 1).tolist(), abs=1e-6)
    with pytest.raises(q.QWorkbenchError, match="no node"):
        wb.channels("7")
    with pytest.raises(q.QWorkbenchError, match="'2' is not quantized"):
        wb.channels("2")
