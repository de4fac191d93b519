"""Shared modules and known ranges: told apart by measurement, repaired by an edit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.analysis.ranges import likely_range, normalised_range


class Kinds(nn.Module):
    """`stem` is read twice (A), `same` is called on alike inputs (B), `conv` on very different ones (C)."""

    def __init__(self):
        super().__init__()
        self.stem, self.same, self.conv = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.near, self.far = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 1)

    def forward(self, x):
        x = self.stem(x)
        a, b = self.same(x), self.same(torch.flip(x, [2]))
        return self.near(self.conv(a)), self.far(self.conv(b * 50.0))


@pytest.fixture
def kinds(make_workbench, samples):
    torch.manual_seed(0)
    return make_workbench(Kinds().eval(), samples)


def scale_of(wb, node):
    plan = wb._stages.plan(wb.config)
    return float(plan.quantities[f"{wb.placement.unit_of(node).outputs[0]}@int8"].single)


@pytest.mark.parametrize("measured", [False, True])
def test_the_three_kinds_are_told_apart(kinds, samples, measured):
    table = kinds.shared_modules(samples if measured else None).set_index("module")
    assert table.kind["conv"] == "C"
    assert table.kind["same"] == "B"
    assert table.kind["stem"] == "A"
    assert table.calls["conv"] == 2
    assert table.ratio["conv"] > 10
    assert table.ratio["same"] < 2
    assert table.index[0] == "conv"
    assert "SplitModule('conv')" in table.advice["conv"]


def test_one_scale_per_module_as_the_training_plugin_has_it_and_a_split_repairs_it(kinds, samples):
    per_call = kinds.run(samples).table.cosine
    apart = scale_of(kinds, "conv"), scale_of(kinds, "conv#1")
    assert apart[1] > 10 * apart[0]
    kinds.edit(q.SetSharing("module"))
    assert scale_of(kinds, "conv") == scale_of(kinds, "conv#1") == max(apart)
    shared = kinds.run(samples).table.cosine
    assert (1 - shared.iloc[0]) > 50 * (1 - per_call.iloc[0])
    kinds.edit(q.SplitModule("conv"))
    assert (scale_of(kinds, "conv"), scale_of(kinds, "conv#1")) == apart
    assert scale_of(kinds, "same") == scale_of(kinds, "same#1")
    split = kinds.run(samples).table.cosine
    assert (1 - split.iloc[0]) < 2 * (1 - per_call.iloc[0]) + 1e-6
    assert "+ split module conv" in kinds.diff()
    kinds.undo()
    assert scale_of(kinds, "conv") == max(apart)
    kinds.undo()
    assert kinds.diff() == []


def test_a_split_is_saved_and_opened(kinds, tmp_path):
    kinds.edit(q.SetSharing("module"), q.SplitModule("conv"))
    path = kinds.save(tmp_path / "state.qwb.json")
    again = q.Workbench.open(path, kinds.model)
    assert again.config == kinds.config
    assert scale_of(again, "conv") == scale_of(kinds, "conv")
    assert "q.SplitModule('conv')" in kinds.as_code()


def test_a_split_without_sharing_or_of_another_name_is_refused(kinds):
    with pytest.raises(q.QWorkbenchError, match="SetSharing"):
        kinds.edit(q.SplitModule("conv"))
    kinds.edit(q.SetSharing("module"))
    with pytest.raises(q.QWorkbenchError, match="did you mean 'conv'"):
        kinds.edit(q.SplitModule("conw"))
    with pytest.raises(q.QWorkbenchError, match="stem"):
        kinds.edit(q.SplitModule("stem"))
    with pytest.raises(q.QWorkbenchError, match="'call'"):
        kinds.edit(q.SetSharing("calls"))
    kinds.edit(q.SplitModule("conv"))
    with pytest.raises(q.QWorkbenchError, match="split already"):
        kinds.edit(q.SplitModule("conv"))


def test_two_fixed_scales_on_calls_that_share_one_contradict(kinds):
    kinds.edit(q.SetSharing("module"), q.FixScale("conv", 0.1))
    assert scale_of(kinds, "conv#1") == np.float32(0.1)
    with pytest.raises(q.QWorkbenchError, match="split the module"):
        kinds.edit(q.FixScale("conv#1", 0.2))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 252, (0, 255)),
        (0, 0.97, (0, 1)),
        (-0.99, 0.95, (-1, 1)),
        (-120, 126, (-128, 127)),
        (-3, 5, None),
        (0, 0.4, None),
    ],
)
def test_an_input_that_looks_like_an_image_takes_its_range(low, high, expected):
    found = likely_range(low, high)
    assert (found and found[0]) == expected


def test_a_normalised_image_has_the_range_of_its_statistics():
    low, high = normalised_range((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert (low, high) == pytest.approx((-2.118, 2.64), abs=1e-3)
    assert likely_range(-2.1, 2.6)[0] == pytest.approx((low, high))
    assert normalised_range(128, 64, 0, 255) == (-2.0, 127 / 64)
    with pytest.raises(q.QWorkbenchError, match="positive"):
        normalised_range(0, 0)


def test_calibration_images_give_a_fixed_input_scale(make_workbench):
    torch.manual_seed(0)
    images = torch.randint(0, 251, (4, 3, 8, 8)).float()
    wb = make_workbench(nn.Conv2d(3, 2, 1).eval(), images)
    (edit,) = wb.fixed_scales()
    assert edit.scale == pytest.approx(255 / 127)
    assert wb.range_proposals()[0].why == "looks like an image from 0 to 255"
