"""The workbench as a whole: runs, outputs in the model's form, events, reports, copy as code."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.march import MARCHES
from qworkbench.workbench.reporting import report_data


def test_import_loads_neither_torch_nor_numba():
    code = (
        "import sys, qworkbench; "
        "print([m for m in ('torch', 'numba', 'ipywidgets', 'matplotlib', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""


# -- what goes in ----
class Untraceable(nn.Module):
    def forward(self, x):
        return x * 2 if float(x.sum()) > 0 else x


@pytest.mark.parametrize(
    ("model", "example", "options", "expected"),
    [
        (Untraceable(), torch.ones(1, 3), {}, "test_session.py"),
        (nn.Conv2d(3, 2, 1), torch.ones(1, 4, 2, 2), {}, "4"),
        ("model.pt", torch.ones(1, 3), {}, "torch file"),
        (nn.ReLU(), torch.ones(1, 3), {"march": "bayes-x"}, "bayes-e"),
        (nn.Linear(3, 2), torch.ones(1, 3), {"calibration": []}, "empty"),
        (nn.Linear(3, 2), torch.ones(1, 3), {"calibration": torch.ones(2, 4)}, r"\(2, 4\)"),
        (nn.Linear(3, 2), torch.ones(1, 3), {"calibration": torch.full((2, 3), float("nan"))}, "NaN"),
    ],
    ids=["control flow", "wrong channels", "no model", "march", "empty set", "wrong shape", "NaN"],
)
def test_a_workbench_that_cannot_be_made_says_why(model, example, options, expected):
    with pytest.raises(q.QWorkbenchError, match=expected):
        q.Workbench(model, example, **options)


def test_running_before_calibration_names_the_next_step(mixed_model, samples):
    wb = q.Workbench(mixed_model, samples[:1])
    assert wb.placement.count("BPU") > 5
    with pytest.raises(q.QWorkbenchError, match="calibrate"):
        wb.run()
    with pytest.raises(q.QWorkbenchError, match="pass calibration data once"):
        wb.calibrate(method="max-percentile")


def test_a_failed_calibration_keeps_the_thresholds_and_the_last_run(wb, samples):
    run, statistics, config = wb.run(), wb.statistics, wb.config
    for bad in ([], samples[:, :2], samples * float("nan"), "images"):
        with pytest.raises(q.QWorkbenchError):
            wb.calibrate(bad)
    with pytest.raises(q.QWorkbenchError, match="calibration method"):
        wb.calibrate(samples, method="mean")
    assert (wb.statistics, wb.config, wb.last_run) == (statistics, config, run)
    assert not wb.stale


@pytest.mark.parametrize("bad", [torch.ones(1, 2, 8, 8), torch.ones(3, 8, 8), "image", None.__class__, 5])
def test_a_sample_that_does_not_fit_is_refused_and_keeps_the_last_run(wb, bad):
    run = wb.run()
    with pytest.raises(q.QWorkbenchError):
        wb.run(bad)
    assert wb.last_run is run


def test_the_model_is_left_as_it_was(samples):
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    wb = q.Workbench(model, samples[:1], calibration=samples)
    wb.edit(q.SetDtype("0", "int16"))
    wb.run()
    assert model.training
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], atol=0, rtol=0)


# -- what comes out ----
def test_outputs_keep_the_form_of_a_tuple(wb, mixed_model, samples):
    result, expected = wb.run().result, mixed_model(samples[:1])
    assert isinstance(result, tuple)
    for got, wanted in zip(result, expected, strict=True):
        assert got.shape == wanted.shape
        torch.testing.assert_close(got, wanted, atol=0.7, rtol=0.1)
    for got, wanted in zip(wb.emulate(samples[:1]), result, strict=True):
        torch.testing.assert_close(got, wanted, atol=0, rtol=0)


def test_outputs_keep_the_form_of_a_dict(make_workbench):
    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x):
            y = self.conv(x)
            return {"scores": y, "parts": [y.argmax(1), torch.sigmoid(y)]}

    torch.manual_seed(0)
    model, x = Heads().eval(), torch.randn(2, 3, 4, 4)
    run = make_workbench(model, x).run()
    assert run.result.keys() == {"scores", "parts"}
    assert run.result["parts"][0].dtype == torch.int64
    assert (run.result["parts"][0] == model(x)["parts"][0]).float().mean() > 0.9
    assert len(run.table) == 3
    assert run.table["cosine"].min() > 0.95


def test_an_argmax_on_the_bpu_gives_indices(make_workbench):
    class Classify(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x):
            return self.conv(x).argmax(1, keepdim=True)

    torch.manual_seed(0)
    wb = make_workbench(Classify().eval(), torch.randn(1, 3, 8, 8))
    node = next(n for n in wb.graph.nodes if n.op == "ArgMax")
    assert wb.placement[node.name].on == "BPU"
    result = wb.run().result
    assert (result.dtype, tuple(result.shape)) == (torch.int64, (1, 1, 8, 8))


def test_a_constant_and_an_input_among_the_outputs_are_handed_through(make_workbench):
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 1)
            self.register_buffer("anchors", torch.arange(4.0))

        def forward(self, x):
            return self.conv(x), self.anchors, x

    x = torch.randn(1, 3, 4, 4)
    result = make_workbench(Constant().eval(), x).run().result
    torch.testing.assert_close(result[1], torch.arange(4.0))
    torch.testing.assert_close(result[2], x)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_any_batch_size_runs(wb, samples, size):
    run = wb.run(samples[:size])
    assert all(len(array) == size for array in run.outputs.values())


def test_tables_tell_before_and_after_on_the_same_inputs(wb, samples):
    first = wb.run()
    assert np.isnan(first.table["cosine_before"]).all()
    assert first.deltas.empty
    wb.edit(q.SetDtype("mix", "int16"))
    second = wb.run()
    np.testing.assert_array_equal(second.table["cosine_before"], first.table["cosine"])
    assert len(second.deltas)
    assert tuple(second.layers.index) == wb.graph.nodes.names()
    other = wb.run(samples[1:2])
    assert np.isnan(other.table["cosine_before"]).all()


def test_overflow_is_reported_by_every_run(make_workbench):
    model = nn.Sequential(nn.Conv2d(600, 2, 1, bias=False), nn.Conv2d(2, 2, 1)).eval()
    nn.init.constant_(model[0].weight, 1.0)
    wb = make_workbench(model, torch.ones(1, 600, 2, 2))
    wb.edit(q.SetDtype("0", input="int16"))
    assert wb.run().overflow == wb.run().overflow == {"0": 8}
    wb.edit(q.SetDtype("0", input="auto"))
    assert wb.run().overflow == {}
    wb.undo()
    run = wb.run()
    assert run.computed == ()
    assert run.overflow == {"0": 8}


def test_as_code_makes_the_same_state_in_a_fresh_workbench(wb, make_workbench):
    wb.edit(q.SetPlacement("softmax", "bpu"), q.FixScale("x", np.float32(1 / 3)))
    wb.edit(q.InsertUnitConv("_generated_cat_1"))
    wb.edit(q.InsertUnitConv("_generated_cat_0", "before", 1))
    wb.edit(q.SetDtype("mix", "int16", input="auto"), q.SetMarch("bayes"))
    wb.edit(q.SetCalibration("max-percentile", 0.999), q.SetArithmetic(rounding="half_up"))
    wb.edit(q.ClearScale("x"))
    wb.undo()
    fresh = make_workbench()
    exec(wb.as_code(), {"wb": fresh})
    assert fresh.config == wb.config
    assert fresh.journal == wb.journal
    for name, array in wb.run().outputs.items():
        np.testing.assert_array_equal(fresh.run().outputs[name], array)


def test_undo_redo_and_reset_walk_the_journal(wb):
    wb.edit(q.FixScale("mix", 0.1))
    wb.edit(q.SetPlacement("stem", "cpu"))
    assert wb.journal == ("mix: scale fixed at 0.1", "stem: run_on_cpu")
    assert wb.diff() == ["on stem: auto -> cpu", "scales mix: calibrated -> 0.1"]
    wb.undo()
    assert wb.journal == ("mix: scale fixed at 0.1",)
    wb.redo()
    wb.reset()
    assert (wb.journal, wb.diff(), wb.can_undo, wb.can_redo) == ((), [], False, True)
    wb.redo()
    wb.edit(q.ClearScale("mix"))
    assert not wb.can_redo
    with pytest.raises(q.QWorkbenchError, match="nothing to redo"):
        wb.redo()
    wb.reset()
    with pytest.raises(q.QWorkbenchError, match="nothing to undo"):
        wb.undo()


def test_listeners_hear_what_happens_until_they_leave(wb, samples):
    heard = []
    leave = wb.subscribe(lambda event, data: heard.append(event))
    wb.edit(q.FixScale("mix", 0.1))
    wb.run()
    wb.undo()
    wb.calibrate(samples)
    assert heard == ["edited", "ran", "edited", "edited"]
    with pytest.raises(q.QWorkbenchError):
        wb.edit(q.FixScale("mix", -1))
    leave()
    leave()
    wb.run()
    assert heard == ["edited", "ran", "edited", "edited"]


def test_a_report_is_one_file_without_network(wb, tmp_path):
    wb.edit(q.SetPlacement("softmax", "bpu"))
    path = wb.report(tmp_path / "report.html")
    text = path.read_text(encoding="utf-8")
    assert "softmax" in text
    assert "rounding" in text
    assert "1 - cosine of" in text, "the plot over the layers"
    fresh = q.Workbench(wb.model, wb.example)
    exec(report_data(wb).code, {"wb": fresh})
    assert fresh.config == wb.config
    links = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)""", text)
    assert all(link.startswith(("#", "data:")) for link in links)
    assert list(tmp_path.iterdir()) == [path]


def test_a_report_that_cannot_be_written_says_so_and_leaves_nothing(wb, tmp_path):
    for path in (tmp_path / "missing" / "report.html", tmp_path):
        with pytest.raises(q.QWorkbenchError, match="cannot write"):
            wb.report(path)
    assert list(tmp_path.iterdir()) == []


def test_the_current_run_stays_with_the_inputs_of_the_newest_one(wb, samples):
    assert wb.current_run().sample == "the example"
    made = wb.run(samples)
    assert wb.current_run() is made
    wb.edit(q.SetPlacement("softmax", "bpu"))
    told = []
    again = wb.current_run(progress=lambda *step: told.append(step))
    assert again is not made
    assert told
    assert again.inputs == made.inputs
    assert again.sample == f"the given inputs (x: {'x'.join(map(str, samples.shape))})"
    assert wb.run().sample == "the example"
    wb.undo()
    assert wb.current_run().sample == "the example"


@pytest.mark.parametrize("march", MARCHES)
def test_why_answers_for_every_node_and_names_the_nearest_for_others(wb, march):
    wb.edit(q.SetMarch(march))
    for node in wb.graph.nodes:
        text = str(wb.why(node.name))
        assert node.name in text
        assert wb.placement[node.name].reason.rule in text
    with pytest.raises(q.QWorkbenchError, match="did you mean 'softmax'"):
        wb.why("softmx")


def test_details_of_every_node_are_json(wb):
    import json

    wb.run()
    for node in wb.graph.nodes:
        details = wb.node_details(node.name)
        json.dumps(details, allow_nan=False)
        assert details["on"] == wb.placement[node.name].on
    json.dumps([wb.output_rows(), wb.node_rows(), wb.journal_rows()], allow_nan=False)
