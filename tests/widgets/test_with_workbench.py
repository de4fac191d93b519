"""The widget on a real workbench: every message of the page that a fake cannot answer truthfully."""

from __future__ import annotations

import comm
import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.widgets.workbench_widget import WorkbenchWidget
from tests.widgets.fake import RecordingComm


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.relu = nn.ReLU()
        self.head = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 1))
        self.softmax = nn.Softmax(dim=1)

    def forward(self, x):
        return self.softmax(self.head(self.relu(self.conv(x))))


@pytest.fixture
def workbench():
    torch.manual_seed(0)
    return q.Workbench(Net().eval(), torch.rand(1, 1, 8, 8), calibration=torch.rand(4, 1, 8, 8))


@pytest.fixture
def widget(monkeypatch, workbench):
    monkeypatch.setattr(comm, "create_comm", RecordingComm)
    shown = WorkbenchWidget(workbench)
    yield shown
    shown.close()


def done(widget):
    """Wait for the job that the last message started, and for those that its end starts."""
    before = None
    while widget._job is not before:
        before = widget._job
        if before is not None:
            before.wait(60)
    assert widget.error == ""


def test_several_nodes_show_what_they_share_and_change_in_one_step(widget, workbench):
    widget.comm.update(picked=["conv", "head.0"], selected="head.0")
    several = widget.panel["several"]
    assert several["names"] == ["conv", "head.0"]
    assert several["ops"] == {"Conv": 2}
    edits = [{"kind": "SetDtype", "node": name, "output": "int16"} for name in several["names"]]
    widget.comm.custom({"type": "edit", "edits": edits})
    done(widget)
    assert widget.panel["several"]["requested"]["output"] == "int16"
    assert len(workbench.journal) == 1
    widget.comm.custom({"type": "undo"})
    done(widget)
    assert workbench.config.dtypes == {}


def test_an_edit_without_run_leaves_the_numbers_stale(widget, workbench):
    edits = [{"kind": "SetPlacement", "node": "conv", "on": "cpu"}]
    widget.comm.custom({"type": "edit", "edits": edits, "run": False})
    assert widget.flags["stale"] is True
    assert workbench.last_run is None


def test_the_journal_jumps_and_the_trail_grows_with_every_run(widget, workbench):
    for on in ("cpu", "bpu"):
        widget.comm.custom({"type": "edit", "edits": [{"kind": "SetPlacement", "node": "softmax", "on": on}]})
        done(widget)
    widget.comm.custom({"type": "jump", "index": 0})
    done(widget)
    assert [row["current"] for row in widget.history] == [True, False, False]
    assert len(widget.outputs[0]["cosine_trail"]) == 3
    widget.comm.custom({"type": "jump", "index": 9})
    assert "steps 0 to 2" in widget.error


def test_comparison_names_what_differs_and_ends_with_its_step(widget, workbench):
    widget.comm.custom({"type": "run"})
    done(widget)
    widget.comm.custom({"type": "edit", "edits": [{"kind": "SetPlacement", "node": "conv", "on": "cpu"}]})
    done(widget)
    widget.comm.custom({"type": "compare", "index": 0})
    shown = widget.comparison
    assert shown["text"] == "as loaded"
    assert shown["nodes"]["conv"] == "BPU int8 -> CPU float32"
    assert shown["outputs"][0]["cosine"] == pytest.approx(workbench.at(0).last_run.table["cosine"].iloc[0])
    assert {node["id"]: node["on"] for node in shown["view"]["nodes"]}["conv"] == "BPU"
    widget.comm.custom({"type": "compare", "index": 1})
    assert widget.comparison["nodes"] == {}
    widget.comm.custom({"type": "compare", "index": None})
    assert widget.comparison == {}


def test_a_step_that_a_new_edit_overwrote_is_not_compared_with_any_more(widget):
    for on in ("cpu", "bpu"):
        widget.comm.custom({"type": "edit", "edits": [{"kind": "SetPlacement", "node": "softmax", "on": on}]})
        done(widget)
    widget.comm.custom({"type": "compare", "index": 2})
    widget.comm.custom({"type": "jump", "index": 0})
    done(widget)
    assert widget.comparison["index"] == 2
    widget.comm.custom({"type": "edit", "edits": [{"kind": "SetPlacement", "node": "conv", "on": "cpu"}]})
    done(widget)
    assert widget.comparison == {}


def test_a_folded_module_stands_for_the_nodes_inside_that_differ(widget):
    widget.comm.custom({"type": "edit", "edits": [{"kind": "SetPlacement", "node": "head.0", "on": "cpu"}]})
    done(widget)
    widget.comm.custom({"type": "collapse", "module": "head", "collapsed": True})
    widget.comm.custom({"type": "compare", "index": 0})
    assert widget.comparison["nodes"]["head"].startswith("head.0: BPU int8 -> CPU float32")


@pytest.mark.parametrize("method", ["mse", "default"])
def test_another_calibration_is_one_step_and_runs(widget, workbench, method):
    widget.comm.custom({"type": "calibrate", "method": method, "per_channel": False})
    done(widget)
    assert len(workbench.journal) == 1
    assert workbench.last_run is not None
    assert not workbench.stale


def test_a_percentile_that_is_no_number_is_refused(widget, workbench):
    widget.comm.custom({"type": "calibrate", "method": "max-percentile", "percentile": "much"})
    assert "percentile must be a number, got 'much'" in widget.error
    assert workbench.journal == ()


def test_sensitivity_colours_nodes_and_fills_the_table(widget):
    widget.comm.custom({"type": "analyse", "analysis": "sensitivity"})
    done(widget)
    figures = {row["id"]: row["sensitivity"] for row in widget.table}
    assert figures["conv"] > 0
    assert {node["id"]: node.get("sensitivity") for node in widget.view["nodes"]}["conv"] == figures["conv"]
    assert widget.status["state"] == "done"


def test_the_histogram_holds_every_value_and_the_threshold_is_its_end(widget, workbench):
    widget.comm.update(selected="conv")
    data = widget.panel["histogram"]
    assert sum(data["counts"]) == data["total"] == 4 * 4 * 8 * 8
    assert max(abs(data["low"]), abs(data["high"])) == pytest.approx(widget.panel["threshold"])


def test_a_unit_conv_can_be_taken_out_at_either_node(widget):
    widget.comm.custom({"type": "edit", "edits": [{"kind": "InsertUnitConv", "node": "relu", "where": "after"}]})
    done(widget)
    for name in ("relu", "_unitconv_0"):
        widget.comm.update(selected=name)
        assert widget.panel["removable"] == [{"node": "relu", "where": "after", "slot": None}]


def test_what_is_shown_is_left_with_the_workbench_and_comes_back(widget, workbench):
    widget.comm.custom({"type": "collapse", "module": "head", "collapsed": True})
    widget.comm.update(selected="conv", colouring="dtype")
    again = WorkbenchWidget(workbench)
    assert again.selected == "conv"
    assert again.colouring == "dtype"
    assert again.view["collapsed"] == ["head"]
    assert again.panel["name"] == "conv"
    again.close()


def test_the_code_makes_the_same_state(widget, workbench):
    widget.comm.custom({"type": "edit", "edits": [{"kind": "SetDtype", "node": "head.0", "output": "int16"}]})
    done(widget)
    fresh = q.Workbench(workbench.model, workbench.example)
    exec(widget.code, {"wb": fresh})
    assert fresh.config.dtypes == workbench.config.dtypes
