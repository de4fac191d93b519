"""The widget from the kernel's side: what a message does, what an event sends, what stays when the kernel is gone."""

from __future__ import annotations

import base64
import threading
import xml.etree.ElementTree as ET

import comm
import pytest

from qworkbench.view.forms import VIEW_MIME
from qworkbench.widgets import display_bundle, widget_of
from qworkbench.widgets.workbench_widget import WorkbenchWidget
from qworkbench.workbench.edits import SetDtype, SetPlacement
from tests.widgets.fake import VIEW, FakeWorkbench, RecordingComm


def to_bpu(node="softmax"):
    return {"type": "edit", "edits": [{"kind": "SetPlacement", "node": node, "on": "bpu"}]}


def test_opening_sends_the_whole_state(monkeypatch, workbench):
    monkeypatch.setattr(comm, "create_comm", RecordingComm)
    widget = WorkbenchWidget(workbench)
    kind, data = widget.comm.log[0]
    state = data["state"]
    assert kind == "comm_open"
    assert state["view"] == {**VIEW, "collapsed": []}
    flags = {"can_undo": False, "can_redo": False, "stale": True, "march": "bayes-e", "sensitivity_stale": False}
    assert state["flags"] == flags
    assert state["status"]["state"] == "idle"
    assert state["outputs"][0]["cosine"] is None, "NaN must not reach JSON"


def test_an_edit_message_edits_once_and_reruns(page, workbench):
    page.comm.custom(to_bpu())
    assert workbench.done == [SetPlacement("softmax", "bpu")]
    assert len(workbench.jobs) == 1
    assert page.comm.updates("history")[-1][-1]["current"] is True
    assert page.comm.updates("flags")[-1]["can_undo"] is True
    assert page.comm.updates("status")[-1]["state"] == "running"


def test_several_edits_of_a_message_are_one_step(page, workbench):
    page.comm.custom(
        {
            "type": "edit",
            "edits": [
                {"kind": "SetPlacement", "node": "softmax", "on": "bpu"},
                {"kind": "SetDtype", "node": "head.fc", "output": "int16"},
            ],
        }
    )
    assert workbench.done == [SetPlacement("softmax", "bpu"), SetDtype("head.fc", output="int16")]
    assert len(workbench.jobs) == 1


def test_undo_redo_and_reset_rerun_too(page, workbench):
    page.comm.custom(to_bpu())
    page.comm.custom({"type": "undo"})
    assert workbench.done == []
    page.comm.custom({"type": "redo"})
    assert workbench.done == [SetPlacement("softmax", "bpu")]
    page.comm.custom({"type": "reset"})
    assert workbench.done == []
    assert len(workbench.jobs) == 4


def test_without_calibration_an_edit_does_not_try_to_run(page, workbench):
    workbench.statistics = None
    page.comm.custom(to_bpu())
    assert workbench.done
    assert workbench.jobs == []
    page.comm.custom({"type": "run"})
    assert len(workbench.jobs) == 1, "a press on Run is passed on, so that the workbench can say what is missing"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("run", "mapping with a 'type'"),
        ({"type": "runn"}, "did you mean 'run'"),
        ({}, "no message 'None'"),
        ({"type": "edit"}, "needs 'edits' as list"),
        ({"type": "edit", "edits": ["x"]}, "an edit is a mapping"),
        ({"type": "edit", "edits": [{"kind": "SetPlacment"}]}, "did you mean 'SetPlacement'"),
        (to_bpu("sofmax"), "no node 'sofmax'; did you mean 'softmax'"),
        ({"type": "undo"}, "nothing to undo"),
        ({"type": "select", "node": 7}, "needs 'node' as str"),
        ({"type": "select", "node": "sofmax"}, "did you mean 'softmax'"),
        ({"type": "collapse", "module": "hea", "collapsed": True}, "did you mean 'head'"),
        ({"type": "collapse", "module": "head", "collapsed": "yes"}, "needs 'collapsed' as bool"),
    ],
)
def test_a_wrong_message_becomes_one_line_and_changes_nothing(page, workbench, message, said):
    page.comm.custom(message)
    assert said in page.error
    assert "\n" not in page.error
    assert page.comm.updates("error")[-1] == page.error
    assert workbench.done == []
    assert workbench.jobs == []


def test_the_same_error_twice_is_sent_twice(page):
    page.comm.custom({"type": "undo"})
    page.comm.custom({"type": "undo"})
    assert [text for text in page.comm.updates("error") if text] == [page.error] * 2


def test_a_good_message_clears_the_error(page):
    page.comm.custom({"type": "undo"})
    page.comm.custom(to_bpu())
    assert page.error == ""


def test_an_unforeseen_error_is_shown_and_not_swallowed(page, workbench, caplog, capsys):
    workbench.run_again_async = lambda: 1 / 0
    page.comm.custom({"type": "run"})
    assert "internal error" in page.error
    assert "ZeroDivisionError" in page.error
    assert "ZeroDivisionError" in caplog.text + "".join(capsys.readouterr())


def test_selecting_from_the_page_sends_the_panel(page):
    page.comm.update(selected="softmax")
    panel = page.comm.updates("panel")[-1]
    assert panel["name"] == "softmax"
    assert panel["metrics"] == {"sqnr": "Infinity", "cosine": None}


def test_selecting_from_python_and_by_message_is_the_same(page):
    page.selected = "softmax"
    assert page.comm.updates("selected") == ["softmax"]
    page.comm.custom({"type": "select", "node": "pool"})
    assert page.panel["name"] == "pool"
    page.selected = ""
    assert page.panel == {}


@pytest.mark.parametrize("box", ["input:image", "output:probabilities"])
def test_boxes_that_are_no_node_have_no_panel_and_no_error(page, box):
    page.comm.update(selected=box)
    assert page.panel == {}
    assert page.error == ""


def test_a_selected_node_that_an_undo_removes_is_deselected(page, workbench):
    page.comm.custom(to_bpu())
    page.comm.update(selected="unit_conv_branch.concat_after")
    workbench.nodes.remove("unit_conv_branch.concat_after")
    page.comm.custom({"type": "undo"})
    assert page.selected == ""
    assert page.panel == {}
    assert page.error == ""


def test_modules_fold_and_open(page):
    page.comm.custom({"type": "collapse", "module": "head", "collapsed": True})
    page.comm.custom({"type": "collapse", "module": "stem", "collapsed": True})
    assert page.view["collapsed"] == ["head", "stem"]
    page.comm.custom({"type": "collapse", "module": "head", "collapsed": False})
    assert page.comm.updates("view")[-1]["collapsed"] == ["stem"]


def test_a_folded_module_that_an_edit_removes_is_forgotten(page, workbench, monkeypatch):
    page.comm.custom({"type": "collapse", "module": "head", "collapsed": True})
    monkeypatch.setitem(VIEW, "modules", ["stem", "branch"])
    workbench.publish("edited")
    assert page.view["collapsed"] == []


def test_a_run_is_told_from_its_start_to_its_end(page, workbench):
    page.comm.custom({"type": "run"})
    workbench.publish("progress", {"node": "pool", "done": 3, "total": 16})
    assert page.status == {"state": "running", "text": "pool", "done": 3, "total": 16}
    workbench.finish()
    assert page.status["state"] == "done"
    assert page.status["text"].startswith("2 of 16 steps computed, the rest from the cache; 5 nodes compared, ")
    assert page.outputs[0]["cosine"] == 0.9931
    assert page.flags["stale"] is False


def test_progress_is_thinned_out(page, workbench):
    workbench.publish("running")
    for done in range(1000):
        workbench.publish("progress", {"node": "n", "done": done, "total": 1000})
    assert 1 <= len([s for s in page.comm.updates("status") if s["done"]] or [0]) < 100


def test_overflow_is_said(page, workbench):
    page.comm.custom({"type": "run"})
    workbench.finish(overflow=["head.fc"])
    assert "int32 overflow in head.fc" in page.status["text"]


def test_cancel_and_errors_of_a_run_are_shown(page, workbench):
    page.comm.custom({"type": "run"})
    page.comm.custom({"type": "cancel"})
    workbench.publish("cancelled", "cancelled at head.fc")
    assert page.status["state"] == "cancelled"
    assert page.error == ""
    workbench.publish("error", "scale of 'image' must be > 0")
    assert page.status["state"] == "error"
    assert page.error == "scale of 'image' must be > 0"


def test_the_end_of_a_superseded_run_does_not_hide_the_new_one(page, workbench):
    page.comm.custom(to_bpu())
    page.comm.custom({"type": "undo"})
    workbench.publish("cancelled", "superseded")
    assert page.status["state"] == "running"


def test_an_older_state_never_replaces_a_newer_one(page, workbench):
    """A slow reader that began first must lose against one that began later."""
    reading, go_on = threading.Event(), threading.Event()

    def slow():
        if threading.current_thread() is not threading.main_thread():
            reading.set()
            go_on.wait(5)
            return [{"output": "old"}]
        return [{"output": "new"}]

    page._readers["outputs"] = slow
    thread = threading.Thread(target=workbench.publish, args=("edited",))
    thread.start()
    assert reading.wait(5)
    workbench.publish("edited")
    go_on.set()
    thread.join(5)
    assert page.outputs == [{"output": "new"}]


def test_events_of_many_threads_end_in_one_state(page, workbench):
    threads = [threading.Thread(target=page.comm.custom, args=(to_bpu(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert len(page.history) == 8


def test_closing_ends_the_subscription(monkeypatch, workbench):
    monkeypatch.setattr(comm, "create_comm", RecordingComm)
    widget = WorkbenchWidget(workbench)
    assert len(workbench.listeners) == 1
    widget.close()
    assert workbench.listeners == []
    widget.close()  # as the garbage collector does
    assert workbench.listeners == []


def test_the_bundle_holds_five_forms(page):
    data, _ = page._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == page.model_id
    assert data[VIEW_MIME]["schema"] == 1
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert ET.fromstring(data["image/svg+xml"]).tag.endswith("svg")
    assert data["text/plain"] == VIEW["sentence"]


def test_include_and_exclude_are_kept(page):
    assert set(page._repr_mimebundle_(include=["text/plain"])[0]) == {"text/plain"}
    assert "image/png" not in page._repr_mimebundle_(exclude=["image/png"])[0]


def test_the_repr_is_the_same_in_every_session(page):
    assert repr(page) == f"<WorkbenchWidget {VIEW['sentence']}>"


def test_one_workbench_has_one_widget(monkeypatch):
    monkeypatch.setattr(comm, "create_comm", RecordingComm)
    workbench = FakeWorkbench()
    first, second = display_bundle(workbench)[0], display_bundle(workbench)[0]
    mime = "application/vnd.jupyter.widget-view+json"
    assert first[mime] == second[mime]
    assert len(workbench.listeners) == 1
    widget_of(workbench).close()
    assert display_bundle(workbench)[0][mime] != first[mime], "a closed widget is replaced"
    widget_of(workbench).close()
