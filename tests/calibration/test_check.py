"""What the data check finds, each in its own sentence, and that good data passes in silence."""

from __future__ import annotations

import numpy as np
import pytest

from qworkbench.calibration.check import MEAN, STD

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 3, 8, 8)).astype(np.float32)
SHAPE = (1, 3, 1, 1)
NORMALISED = ((PIXELS / 255 - MEAN.reshape(SHAPE)) / STD.reshape(SHAPE)).astype(np.float32)
TWICE = ((NORMALISED - MEAN.reshape(SHAPE)) / STD.reshape(SHAPE)).astype(np.float32)


def with_sample(index, value):
    data = NORMALISED.copy()
    data[index] = value
    return data


CASES = {
    "layout": (np.ascontiguousarray(NORMALISED[:, :, :, :].transpose(0, 2, 3, 1)), "NHWC where input 'x' is NCHW"),
    "unusable": (NORMALISED[:, :, :4], "got (6, 3, 4, 8)"),
    "nan": (with_sample(3, np.nan), "in sample 4"),
    "constant": (with_sample(2, 0.5), "one constant value in sample 3"),
    "divided_twice": (PIXELS / 255 / 255, "divided by 255 twice"),
    "normalised_twice": (TWICE, "subtracted twice"),
    "not_normalised": (PIXELS, "like raw pixels"),
    "range": (NORMALISED * 50, "preprocessed differently"),
}


@pytest.fixture(scope="module")
def workbench(make_workbench):
    import torch

    return make_workbench(example=torch.from_numpy(NORMALISED[:1]), calibration=None)


@pytest.mark.parametrize("code", CASES)
def test_each_fault_has_its_own_sentence(workbench, code):
    data, expected = CASES[code]
    found = workbench.check_data(data.astype(np.float32))
    assert [finding.code for finding in found] == [code]
    assert expected in str(found[0])
    assert "\n" not in str(found[0])


def test_good_data_is_no_finding_and_is_not_kept(workbench):
    assert workbench.check_data(NORMALISED) == []
    assert workbench.statistics is None


def test_faults_of_a_few_samples_do_not_hide_each_other(workbench):
    data = with_sample(0, np.nan)
    data[1:] = 0.5
    found = workbench.check_data(data)
    assert [finding.code for finding in found] == ["nan", "constant"]
    assert "sample 2, 3, 4 and 2 more" in str(found[1])


def test_an_empty_set_is_a_finding(workbench):
    assert "empty" in str(workbench.check_data([])[0])
