"""Analyses in the panel, over the comm: what is asked, what streams, what is shown, what a click applies."""

from __future__ import annotations

import comm
import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.widgets import variables
from qworkbench.widgets.workbench_widget import WorkbenchWidget
from tests.widgets.fake import RecordingComm


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.relu = nn.ReLU()
        self.head = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 1))
        self.sigmoid = nn.Sigmoid()

    def forward(self, x):
        return self.sigmoid(self.head(self.relu(self.conv(x))))


@pytest.fixture
def images():
    torch.manual_seed(1)
    return torch.rand(6, 3, 8, 8)


@pytest.fixture
def workbench(images):
    torch.manual_seed(0)
    return q.Workbench(Net().eval(), images[:1], calibration=images, march="nash-m")


@pytest.fixture
def widget(monkeypatch, workbench, images):
    monkeypatch.setattr(comm, "create_comm", RecordingComm)
    notebook = {"images": images, "_hidden": images, "number": 3}
    monkeypatch.setattr("qworkbench.widgets.workbench_widget.namespace", lambda: notebook)
    monkeypatch.setattr("qworkbench.widgets.reading.namespace", lambda: notebook)
    shown = WorkbenchWidget(workbench)
    yield shown
    shown.close()


def ask(widget, analysis, **more):
    widget.comm.custom({"type": "analyse", "analysis": analysis, **more})
    done(widget)


def done(widget):
    before = None
    while widget._job is not before:
        before = widget._job
        if before is not None:
            before.wait(60)
    assert widget.error == ""


def cells(data, column):
    at = data["columns"].index(column)
    return [row[at] for row in data["rows"]]


def test_a_search_shows_every_candidate_as_it_comes_and_which_one_holds(widget, workbench):
    widget.comm.custom({"type": "calibrate", "method": "default", "per_channel": False})
    done(widget)
    streamed = [len(data["rows"]) for data in widget.comm.updates("found_search") if data.get("partial")]
    assert streamed == list(range(1, len(streamed) + 1))
    assert streamed[:3] == [1, 2, 3]
    shown = widget.found_search
    assert cells(shown, "candidate")[0] == "max"
    assert "applied" in "".join(cells(shown, "chosen"))
    assert "won with output cosine" in shown["why"]
    assert widget.standing["candidate"] in cells(shown, "candidate")
    assert widget.standing["search"] == "fresh"


def test_another_candidate_is_one_step_and_the_search_stays_true(widget, workbench):
    widget.comm.custom({"type": "calibrate", "method": "default", "per_channel": False})
    done(widget)
    first = widget.standing["candidate"]
    other = "max" if first.startswith("kl") else "kl"
    widget.comm.custom({"type": "apply", "what": "candidate", "name": other})
    done(widget)
    assert workbench.config.calibration.name == other
    assert widget.standing["candidate"].partition(":")[0] == other
    assert widget.standing["search"] == "fresh"
    assert len(workbench.journal) == 2
    widget.comm.custom({"type": "undo"})
    done(widget)
    assert widget.standing["candidate"] == first
    widget.comm.custom({"type": "edit", "edits": [{"kind": "SetPlacement", "node": "conv", "on": "cpu"}]})
    done(widget)
    assert widget.standing["search"] == "stale"


def test_a_mixed_search_names_the_choice_of_each_sensitive_node(widget):
    widget.comm.custom({"type": "calibrate", "method": "mix", "per_channel": False})
    done(widget)
    assert cells(widget.found_search["nodes"], "choice")
    widget.comm.custom({"type": "apply", "what": "candidate", "name": "mixx"})
    assert "did you mean 'mix'" in widget.error


def test_sensitivity_goes_stale_with_an_edit_and_fresh_again_with_its_undo(widget):
    ask(widget, "sensitivity", options={"metric": "COSINE"}, samples="images")
    assert widget.found_sensitivity["metrics"] == ["COSINE"]
    assert set(cells(widget.found_sensitivity, "sensitive_type")) == {"weight", "activation"}
    assert widget.standing["sensitivity"] == "fresh"
    assert widget.flags["sensitivity_stale"] is False
    widget.comm.custom({"type": "edit", "edits": [{"kind": "SetDtype", "node": "conv", "output": "int16"}]})
    done(widget)
    assert widget.standing["sensitivity"] == "stale"
    assert widget.flags["sensitivity_stale"] is True
    widget.comm.custom({"type": "undo"})
    done(widget)
    assert widget.standing["sensitivity"] == "fresh"
    assert widget.flags["sensitivity_stale"] is False


def test_what_a_cell_measures_is_in_the_panel_too(widget, workbench, images):
    table = workbench.sensitivity(images)
    assert len(widget.found_sensitivity["rows"]) == len(table)
    workbench.sensitivity_preview(images)
    assert widget.found_sensitivity["estimate"] is True
    assert {row["id"]: row.get("sensitivity") for row in widget.table}["conv"] > 0


def test_mixed_precision_streams_trials_and_is_applied_and_undone_as_one_step(widget, workbench):
    before = workbench.config
    table = workbench.run().table["cosine"].min()
    target = float(1 - (1 - table) * 0.5)
    ask(widget, "mixed_precision", options={"target": target}, samples="images")
    shown = widget.found_mixed_precision
    assert shown["partial"] is False
    assert any(data.get("partial") for data in widget.comm.updates("found_mixed_precision"))
    assert shown["reached"] is True
    assert shown["edits"] > 0
    widget.comm.custom({"type": "apply", "what": "mixed_precision"})
    done(widget)
    assert len(workbench.journal) == 1
    assert widget.standing["mixed_precision"] == "applied"
    assert widget.standing["sensitivity"] == "stale"
    widget.comm.custom({"type": "undo"})
    done(widget)
    assert workbench.config == before
    assert widget.standing["mixed_precision"] == "fresh"


def test_any_trial_of_the_curve_can_be_applied(widget, workbench):
    ask(widget, "mixed_precision", options={"budget": 10.0}, samples="images")
    top = cells(widget.found_mixed_precision, "top_k")[0]
    widget.comm.custom({"type": "apply", "what": "mixed_precision", "top_k": top})
    done(widget)
    assert "int16" in widget.history[-1]["text"]
    widget.comm.custom({"type": "apply", "what": "mixed_precision", "top_k": 999})
    assert "no trial with top_k '999'" in widget.error


def test_a_recipe_shows_its_stages_and_notes(widget, workbench):
    ask(widget, "recipe", options={"name": "j6m", "target": 0.5}, samples="images")
    shown = widget.found_recipe
    assert cells(shown, "stage")[0] == "all int16"
    assert any("dual int16 is not available" in note for note in shown["notes"])
    assert shown["reached"] is True


def test_layers_carry_what_the_plots_need(widget):
    ask(widget, "compare_layers")
    shown = widget.found_compare_layers
    assert {"Cosine", "local_Cosine", "rmse_qscale", "base_model_min", "reach"} <= set(shown["columns"])
    at = cells(shown, "mod_name").index("relu")
    assert cells(shown, "reach")[at] == pytest.approx(cells(shown, "qscale")[at] * 127)


def test_a_region_is_found_named_and_raised_in_one_step(widget, workbench):
    ask(widget, "bisect", samples="images")
    shown = widget.found_bisect
    assert shown["ops"]
    assert shown["explained"] >= 0.9
    widget.comm.custom({"type": "apply", "what": "bisect", "how": "int16"})
    done(widget)
    assert len(workbench.journal) == 1
    widget.comm.custom({"type": "apply", "what": "bisect", "how": "int17"})
    assert "did you mean 'int16'" in widget.error


def test_quantization_off_in_a_region(widget):
    ask(widget, "partial", options={"patterns": "head.*"}, samples="images")
    assert widget.found_partial["columns"] == ["output", "all_on", "region_off", "only_region"]


def test_bad_cases_and_the_layers_on_the_worst_of_them(widget, workbench):
    ask(widget, "bad_cases", samples="images")
    shown = widget.found_bad_cases
    assert shown["seen"] == 6
    assert {row[1] for row in shown["rows"]} == {"COSINE", "L1", "ATOL"}
    ask(widget, "compare_layers", worst="L1")
    assert widget.found_compare_layers["rows"]


def test_known_ranges_are_proposed_and_fixed_one_by_one(widget, workbench):
    widget.comm.custom({"type": "analyse", "analysis": "range_proposals", "options": {"ranges": {"relu": [0, 4]}}})
    assert widget.error == ""
    nodes = cells(widget.found_range_proposals, "node")
    assert "relu" in nodes
    widget.comm.custom({"type": "apply", "what": "range_proposals", "nodes": ["relu"]})
    done(widget)
    assert workbench.config.scales["relu"] == pytest.approx(4 / 127)


def test_channels_of_a_node_with_the_reach_of_its_codes(widget):
    ask(widget, "channels", options={"node": "conv"}, samples="images")
    shown = widget.found_channels
    assert shown["node"] == "conv"
    assert len(shown["rows"]) == 4
    assert shown["limit"] >= max(*cells(shown, "max"), -min(cells(shown, "min"))) * 0.99


def test_an_nv12_input_is_declared_by_the_edit_message_and_refused_where_it_does_not_fit(widget, workbench):
    name = widget.inputs[0]["name"]
    declare = {"kind": "SetPreprocess", "node": name, "rt": "nv12", "train": "rgb", "mean": "123.7 116.3 103.5"}
    widget.comm.custom({"type": "edit", "edits": [declare]})
    done(widget)
    assert workbench.config.inputs[name].rt == "nv12"
    assert widget.inputs[0]["declared"]["mean"] == "123.7 116.3 103.5"
    widget.comm.custom({"type": "edit", "edits": [{**declare, "train": "gray"}]})
    assert "a model trained on gray takes gray at runtime, not nv12" in widget.error
    widget.comm.custom({"type": "edit", "edits": [{**declare, "rt": "gray", "train": "gray", "mean": "1"}]})
    assert "gray has 1 channel" in widget.error
    assert workbench.config.inputs[name].train == "rgb"


def test_variables_that_may_hold_samples_are_offered(widget):
    ask(widget, "sensitivity", samples="images")
    assert widget.variables == ["images"]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"type": "analyse", "analysis": "sensitivty"}, "did you mean 'sensitivity'"),
        ({"type": "analyse", "analysis": "sensitivity", "samples": "imags"}, "did you mean 'images'"),
        (
            {"type": "analyse", "analysis": "sensitivity", "samples": "images[0]"},
            "is not the name of a notebook variable",
        ),
        ({"type": "analyse", "analysis": "sensitivity", "samples": "images.__class__"}, "has no attribute"),
        ({"type": "analyse", "analysis": "sensitivity", "options": {"mertic": "L1"}}, "did you mean 'metric'"),
        ({"type": "analyse", "analysis": "mixed_precision", "options": {"target": "much"}}, "target must be a number"),
        ({"type": "analyse", "analysis": "bad_cases"}, "name a notebook variable"),
        ({"type": "analyse", "analysis": "compare_layers", "worst": "L1"}, "there is no result of bad_cases"),
        ({"type": "analyse", "analysis": "range_proposals", "options": {"ranges": {"x": [1]}}}, "needs two numbers"),
        ({"type": "apply", "what": "mixd"}, "no result to apply 'mixd'"),
        ({"type": "apply", "what": "recipe"}, "there is no result of recipe"),
        ({"type": "apply", "what": "candidate", "name": "kl"}, "there was no search yet"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(widget, workbench, message, said):
    widget.comm.custom(message)
    assert said in widget.error
    assert "\n" not in widget.error
    assert workbench.journal == ()


def test_a_cancelled_analysis_leaves_the_table_before_it(widget, workbench, images):
    workbench.sensitivity(images)
    rows = widget.found_sensitivity["rows"]
    widget._show_partial("sensitivity", workbench.findings["sensitivity"].result.head(1))
    assert len(widget.found_sensitivity["rows"]) == 1
    workbench._publish("cancelled", "the sweep was cancelled")
    assert widget.found_sensitivity["rows"] == rows
    assert widget.status["state"] == "cancelled"


def test_outside_of_a_notebook_there_is_no_variable():
    with pytest.raises(q.QWorkbenchError, match="no notebook variable 'images'"):
        variables.variable("images", {})
