"""How many thresholds a node has, from where to where, along which axis, and who decided them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

import qworkbench as q


class Net(nn.Module):
    """Two convolutions in a row, which may hand over scales per channel, a transposed one and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.relu = nn.ReLU()
        self.mid = nn.Conv2d(8, 6, 3, padding=1)
        self.up = nn.ConvTranspose2d(6, 4, 2, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4, 5)

    def forward(self, x):
        return self.fc(self.pool(self.up(self.mid(self.relu(self.stem(x))))).flatten(1))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture
def images():
    return torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def wb(model, images):
    return q.Workbench(model, images[:1], calibration=images)


def part(wb, name, which):
    return next(entry for entry in wb.node_details(name)["thresholds"] if entry["part"] == which)


def test_nothing_is_said_of_thresholds_before_calibration(model, images):
    wb = q.Workbench(model, images[:1])
    assert wb.node_details("stem")["thresholds"] == []
    assert "thresholds:" not in str(wb.why("stem"))


@pytest.mark.parametrize(("name", "axis"), [("stem", 0), ("mid", 0), ("up", 1), ("fc", 0)])
def test_the_thresholds_of_a_weight_are_counted_along_the_axis_of_the_output_channels(wb, model, name, axis):
    weight = model.get_submodule(name).weight.detach().numpy()
    largest = np.abs(np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)).max(axis=1)
    found = part(wb, name, "weight")
    assert (found["count"], found["axis"], found["tensor"]) == (weight.shape[axis], axis, f"{name}.weight")
    np.testing.assert_allclose([found["low"], found["high"]], [largest.min(), largest.max()], rtol=1e-6)
    assert (found["low_at"], found["high_at"]) == (largest.argmin(), largest.argmax())
    text = str(wb.why(name))
    assert f"weight, int8: {largest.size} thresholds, one per channel (axis {axis})" in text
    assert f"{found['low']:.6g} (channel {largest.argmin()}) to" in text
    assert "largest magnitude of each output channel" in text


def test_an_activation_with_a_scale_per_channel_says_how_many_on_both_sides(wb, model, images):
    wb.calibrate(images, per_channel=True)
    with torch.no_grad():
        largest = torch.relu(model.stem(images)).abs().amax((0, 2, 3)).numpy()
    wrote, read = part(wb, "relu", "output"), part(wb, "mid", "input")
    for found in (wrote, read):
        assert (found["count"], found["axis"], found["tensor"]) == (8, 1, "relu")
        np.testing.assert_allclose([found["low"], found["high"]], [largest.min(), largest.max()], rtol=1e-4)
        assert found["source"] == "calibration: max, per channel"
    assert "input 'relu', int8: 8 thresholds, one per channel (axis 1)" in str(wb.why("mid"))
    assert "channels' scales of 'relu' folded in" in part(wb, "mid", "weight")["source"]
    # one that cannot be had per channel says so
    assert part(wb, "mid", "output")["count"] == 1
    assert "need a convolution on either side" in str(wb.why("mid"))


def test_sums_that_leave_have_scales_and_no_threshold(wb):
    found = part(wb, "fc", "output")
    assert (found["dtype"], found["count"], found["axis"], found["low"]) == ("int32", 5, 1, None)
    assert "output, int32: 5 scales, one per channel" in str(wb.why("fc"))


def test_who_decided_is_told_calibration_its_method_for_one_node_or_the_user(wb):
    assert "calibration: max" in part(wb, "mid", "output")["source"]
    wb.edit(q.SetNodeCalibration("mid", "kl"))
    assert "calibration: kl" in part(wb, "mid", "output")["source"]
    wb.edit(q.FixScale("mid", 0.05))
    found = part(wb, "mid", "output")
    assert found["high"] == pytest.approx(6.35)
    assert found["source"] == "fixed by the user at 'mid': scale 0.05"
    json.dumps(wb.node_details("mid"), allow_nan=False)


def test_members_of_a_fused_unit_have_its_thresholds(wb):
    assert wb.node_details("stem")["thresholds"] == wb.node_details("relu")["thresholds"]


def test_batch_normalization_that_is_folded_in_is_named(images):
    torch.manual_seed(0)
    bn = nn.BatchNorm2d(4)
    bn.running_var[:] = torch.tensor([0.25, 1.0, 4.0, 16.0])
    model = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), bn).eval()
    wb = q.Workbench(model, images[:1], calibration=images)
    found = part(wb, "0", "weight")
    gain = (bn.weight / torch.sqrt(bn.running_var + bn.eps)).detach()
    largest = (model[0].weight.detach().abs().amax((1, 2, 3)) * gain).numpy()
    np.testing.assert_allclose([found["low"], found["high"]], [largest.min(), largest.max()], rtol=1e-5)
    assert "'1' folded in" in found["source"]


def test_why_still_answers_where_thresholds_cannot_be_had(wb, model):
    with torch.no_grad():
        model.mid.weight *= 2
    assert "not known: the model's weights changed" in str(wb.why("mid"))
