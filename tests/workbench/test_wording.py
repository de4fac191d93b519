"""Sentences that name the next step, and figures as the user typed them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.workbench.config import Config, difference


@pytest.fixture
def bench():
    torch.manual_seed(0)
    images = torch.rand(4, 1, 4, 4)
    return q.Workbench(nn.Sequential(nn.Conv2d(1, 2, 1), nn.Sigmoid()).eval(), images[:1], calibration=images)


def test_diff_shows_a_scale_as_it_was_typed_and_calibration_as_a_phrase(bench):
    bench.edit(q.FixScale("0", 0.01))
    bench.calibrate(method="max-percentile", percentile=0.99)
    assert bench.diff() == ["calibration: max -> max-percentile 0.99", "scales 0: calibrated -> 0.01"]


def test_diff_of_calibrations_that_read_alike_tells_every_field():
    before = Config()
    after = q.SetCalibration("max", percentile=0.5).apply(before)
    assert before.calibration.describe() == after.calibration.describe()
    assert "percentile 0.5" in difference(before, after)[0]


def test_an_array_of_another_dtype_is_told_the_numpy_way(bench):
    with pytest.raises(q.QWorkbenchError, match=r"x\.astype\('float32'\)"):
        bench.run(np.zeros((1, 1, 4, 4)))
    with pytest.raises(q.QWorkbenchError, match=r"x\.to\(torch\.float32\)"):
        bench.run(torch.zeros(1, 1, 4, 4, dtype=torch.float64))


def test_nan_in_a_sample_says_where_to_look(bench):
    with pytest.raises(q.QWorkbenchError, match="look for it in the sample"):
        bench.run(torch.full((1, 1, 4, 4), float("nan")))


@pytest.mark.parametrize("scale", [1e300, 1e-60])
def test_a_scale_outside_float32_says_so(bench, scale):
    with pytest.raises(q.QWorkbenchError, match="beyond float32"):
        bench.edit(q.FixScale("0", scale))
    assert bench.diff() == []


def test_a_broken_yes_or_no_constraint_reads_as_a_sentence():
    class Mean(nn.Module):
        def forward(self, x):
            return x.mean((2, 3))

    ways = [way.text for way in q.Workbench(Mean(), torch.rand(1, 3, 4, 4)).placement["_generated_mean_0"].reason.ways]
    assert ways == ["change the model so that keepdims = yes"]


def test_the_package_offers_its_public_names_once():
    assert dir(q) == sorted({*q.__all__, "__version__"})
