"""The vendor's table from a workbench and from the magic: thresholds in force, cosines of the newest run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import qworkbench as q

COLUMNS = ["node", "on", "subgraph", "type", "cosine", "threshold", "dtype"]


class Net(nn.Module):
    """A residual that stays elementwise, and a concat that requantizes one of its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.act = nn.SiLU()
        self.side = nn.Conv2d(8, 8, 1)
        self.mix = nn.Conv2d(16, 4, 1)

    def forward(self, image):
        x = self.act(self.stem(image))
        return self.mix(torch.cat([x, self.side(x)], 1))


@pytest.fixture
def workbench():
    torch.manual_seed(0)
    images = torch.rand(8, 3, 8, 8)
    return q.Workbench(Net().eval(), images[:2], calibration=images, march="bayes-e")


def test_rows_carry_thresholds_before_and_cosines_after_a_run(workbench):
    table = workbench.vendor_table()
    assert list(table.columns) == COLUMNS
    assert table["type"].tolist() == [
        "HzSQuantizedPreprocess",
        "HzSQuantizedConv",
        "HzLut",
        "HzSQuantizedConv",
        "HzRequantize",
        "Concat",
        "HzSQuantizedConv",
    ]
    assert table["cosine"].isna().all()
    by_node = table.set_index("node")
    assert by_node["threshold"]["HZ_PREPROCESS_FOR_image"] == 127.0
    # side and the concat read the same tensor, mix reads the joint one
    assert by_node["threshold"]["side"] == by_node["threshold"].iloc[5]
    assert np.isnan(by_node["threshold"]["act_output_0_calibrated_Requantize"])
    run = workbench.run()
    after = workbench.vendor_table().set_index("node")
    assert after["cosine"]["mix"] == run.layers["cosine"]["mix"]
    assert after["cosine"]["act"] == run.layers["cosine"]["act"]
    assert np.isnan(after["cosine"]["act_output_0_calibrated_Requantize"])


def test_threshold_is_that_of_the_first_input(workbench):
    before = workbench.vendor_table().set_index("node")["threshold"]
    workbench.edit(q.FixScale("stem", 0.5))
    after = workbench.vendor_table().set_index("node")["threshold"]
    assert after["act"] == pytest.approx(0.5 * 127)
    assert after["stem"] == before["stem"]


def test_equal_scales_on_both_sides_need_no_requantize(workbench):
    concat = workbench.vendor_table().query("type == 'Concat'")["node"].item()
    workbench.edit(q.FixScale("act", 0.0625), q.FixScale(concat, 0.0625))
    assert "HzRequantize" not in workbench.vendor_table()["type"].tolist()


def test_an_uncalibrated_workbench_has_the_rows_and_no_thresholds():
    table = q.Workbench(Net().eval(), torch.rand(1, 3, 8, 8), march="bayes-e").vendor_table()
    assert table["threshold"].notna().sum() == 1
    assert len(table) == 7


def test_magic_returns_the_same_table(workbench):
    from argparse import Namespace
    from types import SimpleNamespace

    from qworkbench.magics.commands import COMMANDS

    found = COMMANDS["table"].run(SimpleNamespace(workbench=workbench), Namespace())
    assert found.equals(workbench.vendor_table())
