"""A block of edits is one step or none."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.errors import EditError, UnknownNameError


@pytest.fixture
def wb():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()
    return q.Workbench(model, torch.rand(1, 1, 8, 8), calibration=torch.rand(4, 1, 8, 8))


def block(workbench, *steps):
    with workbench.block():
        for step in steps:
            step()


def test_a_block_is_one_step(wb):
    heard = []
    wb.subscribe(lambda event, _: heard.append(event))
    with wb.block():
        wb.edit(q.InsertUnitConv("1"))
        wb.edit(q.SetDtype("_unitconv_0", output="int16"))
    assert len(wb.journal) == 1
    assert heard == ["edited"]
    wb.undo()
    assert wb.journal == ()
    assert wb.config.unit_convs == ()


def test_an_error_inside_takes_everything_back(wb):
    wb.edit(q.SetPlacement("0", "cpu"))
    statistics = wb.statistics
    with pytest.raises(UnknownNameError):
        block(
            wb,
            lambda: wb.edit(q.SetPlacement("2", "cpu")),
            lambda: wb.calibrate(torch.rand(2, 1, 8, 8)),
            lambda: wb.edit(q.SetPlacement("nothing", "cpu")),
        )
    assert wb.journal == ("0: run_on_cpu",)
    assert wb.statistics is statistics


def test_what_was_undone_is_there_again_after_a_failed_block(wb):
    wb.edit(q.SetPlacement("0", "cpu"))
    wb.undo()
    with pytest.raises(UnknownNameError):
        block(wb, lambda: wb.edit(q.SetPlacement("2", "cpu")), lambda: wb.edit(q.SetPlacement("nothing", "cpu")))
    wb.redo()
    assert wb.journal == ("0: run_on_cpu",)


def test_a_block_that_contradicts_itself_is_refused(wb):
    with pytest.raises(EditError, match="the edits contradict: placement of '0'"):
        block(wb, lambda: wb.edit(q.SetPlacement("0", "cpu")), lambda: wb.edit(q.SetPlacement("0", "bpu")))
    assert wb.journal == ()


def test_undo_inside_a_block_reaches_further_back(wb):
    wb.edit(q.SetPlacement("0", "cpu"))
    with wb.block():
        wb.undo()
        wb.edit(q.SetPlacement("2", "cpu"))
        wb.edit(q.SetDtype("0", output="int16"))
    assert wb.journal == ("2: run_on_cpu; 0: output int16",)


def test_a_saved_file_replays_a_block(wb, tmp_path):
    with wb.block():
        wb.edit(q.InsertUnitConv("1"))
        wb.edit(q.SetDtype("_unitconv_0", output="int16"))
    again = q.Workbench.open(wb.save(tmp_path / "a.qwb.json"), wb.model)
    assert again.config == wb.config
    assert again.journal == wb.journal


def test_jump_goes_both_ways_and_names_the_range(wb):
    wb.edit(q.SetPlacement("0", "cpu"))
    wb.edit(q.SetPlacement("2", "cpu"))
    wb.jump(0)
    assert wb.journal == ()
    wb.jump(2)
    assert len(wb.journal) == 2
    with pytest.raises(EditError, match="steps 0 to 2, got 3"):
        wb.jump(3)


def test_a_state_knows_the_run_that_it_had(wb):
    first = wb.run()
    wb.edit(q.SetPlacement("0", "cpu"))
    wb.run()
    assert wb.at(0).last_run.table.equals(first.table)
    assert wb.at(1).placement["0"].on == "CPU"
    assert wb.differing_nodes(0)["0"] == "BPU int8 -> CPU float32"
