"""Edits: one step each, one readable error for what is wrong, and then nothing has changed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import qworkbench as q
from qworkbench.workbench.edits import KINDS, edit_from_dict

WRONG = {
    "unknown node": (q.SetPlacement("sofmax", "bpu"), "did you mean 'softmax'"),
    "unknown node for a scale": (q.FixScale("headd", 0.1), "'head'"),
    "node that is a number": (q.SetPlacement(5, "bpu"), "node must be text, got 5"),
    "node that is a list": (q.SetPlacement(["mix"], "bpu"), "node must be text"),
    "unknown placement": (q.SetPlacement("mix", "gpu"), "no placement 'gpu'"),
    "placement that is no text": (q.SetPlacement("mix", 3), "on must be text, got 3"),
    "placement of nothing": (q.SetPlacement("mix", None), "on must be text, got None"),
    "unknown march": (q.SetMarch("bayes-f"), "did you mean 'bayes-e'"),
    "march that is a number": (q.SetMarch(5), "march must be text"),
    "unknown dtype": (q.SetDtype("mix", "int4"), "it has int8 and int16"),
    "dtype that is a number": (q.SetDtype("mix", 5), "output must be text"),
    "no dtype at all": (q.SetDtype("mix"), "output, input or weight"),
    "scale 0": (q.FixScale("mix", 0), "> 0 and finite, got 0"),
    "negative scale": (q.FixScale("mix", -0.1), "got -0.1"),
    "scale nan": (q.FixScale("mix", float("nan")), "got nan"),
    "infinite scale": (q.FixScale("mix", float("inf")), "got inf"),
    "scale beyond float32": (q.FixScale("mix", 1e300), "got 1e"),
    "scale below float32": (q.FixScale("mix", 1e-300), "got 1e-300"),
    "scale beyond float64": (q.FixScale("mix", 10**400), "scale of 'mix' must be a number"),
    "scale that is text": (q.FixScale("mix", "big"), "must be a number, got 'big'"),
    "scale that is a list": (q.FixScale("mix", [0.1]), "must be a number"),
    "scale that is a truth value": (q.FixScale("mix", True), "must be a number, got True"),
    "scale on a float tensor": (q.FixScale("softmax", 0.1), "runs on the CPU"),
    "no scale to clear": (q.ClearScale("mix"), "no fixed scale"),
    "unknown method": (q.SetCalibration("kll"), "did you mean 'kl'"),
    "percentile 2": (q.SetCalibration("max-percentile", 2.0), "in (0, 1], got 2"),
    "percentile that is text": (q.SetCalibration("max-percentile", "x"), "percentile must be a number"),
    "per_channel that is text": (q.SetCalibration("max", 0.9, "no"), "per_channel must be True or False"),
    "bins that fall": (q.SetCalibration("kl", num_bin=2048, max_num_bin=1024), "must rise"),
    "bins as a fraction": (q.SetCalibration("kl", num_bin=1024.5), "num_bin must be a whole number"),
    "unknown method of a node": (q.SetNodeCalibration("mix", "percentil"), "did you mean 'max-percentile'"),
    "side": (q.InsertUnitConv("mix", "beside"), "no side 'beside'"),
    "slot after": (q.InsertUnitConv("mix", "after", 0), "leave it out"),
    "unit conv before several inputs": (q.InsertUnitConv("_generated_cat_0", "before"), "name one by its slot"),
    "slot that is not there": (q.InsertUnitConv("_generated_cat_0", "before", 7), "no data input 7"),
    "slot that is a fraction": (q.InsertUnitConv("_generated_cat_0", "before", 1.5), "slot must be a whole number"),
    "slot that is text": (q.InsertUnitConv("_generated_cat_0", "before", "1"), "slot must be a whole number"),
    "no unit conv to remove": (q.RemoveUnitConv("mix"), "no unit conv after 'mix'"),
    "empty arithmetic": (q.SetArithmetic(), "changes nothing"),
    "unknown rounding": (q.SetArithmetic(rounding="up"), "half_even, half_away, half_up, got 'up'"),
    "denominator 126": (q.SetArithmetic(scale_denominator=126), "127, 128, got 126"),
    "denominator as a fraction": (q.SetArithmetic(scale_denominator=127.0), "a whole number"),
    "unknown assumption": (q.SetAssumption("dual_int61", "on"), "did you mean 'dual_int16'"),
    "assumption that is no choice": (q.SetAssumption("dual_int16", "maybe"), "must be one of on, off, got 'maybe'"),
    "figure that is no number": (q.SetAssumption("peak_tops", "fast"), "must be a number, got 'fast'"),
    "figure below zero": (q.SetAssumption("peak_tops", "-1"), "must be > 0 and finite"),
    "batch that says nothing": (q.SetBatch(), "changes nothing"),
    "batch 0": (q.SetBatch(0), "from 1 to 128, got 0"),
    "batch 129": (q.SetBatch(129), "from 1 to 128, got 129"),
    "unknown stage": (q.SetInputOrder("quantised", "x"), "did you mean 'quantized'"),
    "input that is not there": (q.SetInputOrder("compiled", "y"), "no input 'y'"),
    "slot of a dtype": (q.SetInputDtype("mix", 1, "int16"), "slot must lie in 0..0, got 1"),
    "not an edit": ("mix bpu", "takes edits such as"),
}


@pytest.fixture(scope="module")
def shared(make_workbench):
    wb = make_workbench()
    wb.edit(q.FixScale("act", 0.05))
    wb.run()
    return wb


def state(wb):
    return wb.config, wb.journal, wb.history.entries, wb.history.cursor, wb.last_run, wb.march, wb.statistics


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_edit_is_one_line_and_changes_nothing(shared, name):
    edit, expected = WRONG[name]
    before = state(shared)
    for together in ((edit,), (q.SetPlacement("stem", "cpu"), edit)):
        with pytest.raises(q.QWorkbenchError) as caught:
            shared.edit(*together)
        message = str(caught.value)
        assert expected in message
        assert "\n" not in message
        assert len(message) < 400 or name == "scale beyond float64"
        assert state(shared) == before


@pytest.mark.parametrize(
    "pair",
    [
        (q.FixScale("mix", 0.1), q.FixScale("mix", 0.2)),
        (q.FixScale("mix", 0.1), q.ClearScale("mix")),
        (q.FixScale("right", 0.1), q.FixScale("pool", 0.2)),
        (q.SetPlacement("mix", "cpu"), q.SetPlacement("mix", "bpu")),
        (q.SetDtype("mix", "int8"), q.SetDtype("mix", "int16")),
        (q.SetMarch("bayes"), q.SetMarch("bernoulli2")),
        (q.SetCalibration("max"), q.SetCalibration("max-percentile")),
        (q.SetArithmetic(rounding="half_up"), q.SetArithmetic(rounding="half_away")),
        (q.InsertUnitConv("mix"), q.InsertUnitConv("mix")),
    ],
    ids=lambda pair: f"{type(pair[0]).__name__} twice",
)
def test_two_edits_of_one_step_that_contradict_are_refused(shared, pair):
    before = state(shared)
    with pytest.raises(q.QWorkbenchError, match=r"contradict|already"):
        shared.edit(*pair)
    assert state(shared) == before


def test_a_step_without_edits_is_refused(shared):
    with pytest.raises(q.QWorkbenchError, match="at least one edit"):
        shared.edit()


def test_int16_is_refused_on_the_march_that_lacks_it(wb):
    wb.edit(q.SetMarch("bernoulli2"))
    with pytest.raises(q.QWorkbenchError, match=r"int16.*bernoulli2.*it has int8"):
        wb.edit(q.SetDtype("mix", "int16"))


def test_int16_wishes_survive_a_march_without_it_as_notes(wb):
    wb.edit(q.SetDtype("mix", "int16"), q.SetMarch("bernoulli2"))
    assert wb.placement["mix"].dtype == "int8"
    assert "int16 asked for" in wb.placement["mix"].notes[0]
    wb.edit(q.SetMarch("bayes-e"))
    assert wb.placement["mix"].dtype == "int16"


def test_a_unit_conv_sits_in_one_place_once(wb):
    wb.edit(q.InsertUnitConv("mix", "before"))
    for again in (q.InsertUnitConv("mix", "before"), q.InsertUnitConv("mix", "before", 0)):
        with pytest.raises(q.QWorkbenchError, match="already has a unit conv before it"):
            wb.edit(again)
    wb.edit(q.RemoveUnitConv("mix", "before", 0))
    assert wb.config.unit_convs == ()


def test_a_unit_conv_is_refused_where_the_activation_is_no_image(make_workbench):
    wb = make_workbench(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3)), torch.randn(1, 3, 2, 2))
    with pytest.raises(q.QWorkbenchError, match=r"rank 2.*rank 4"):
        wb.edit(q.InsertUnitConv("1", "after"))


def test_wishes_for_a_unit_conv_go_with_it(wb):
    wb.edit(q.InsertUnitConv("mix"))
    wb.edit(q.SetPlacement("_unitconv_0", "cpu"), q.SetDtype("_unitconv_0", "int16"))
    wb.edit(q.RemoveUnitConv("mix"))
    assert wb.config == wb.history.initial


def test_a_unit_conv_that_others_stand_on_is_not_pulled_out(wb):
    wb.edit(q.InsertUnitConv("mix"))
    wb.edit(q.InsertUnitConv("_unitconv_0"))
    before = state(wb)
    with pytest.raises(q.QWorkbenchError, match="_unitconv_0"):
        wb.edit(q.RemoveUnitConv("mix"))
    assert state(wb) == before


def test_the_same_scale_can_be_fixed_again_in_one_group(wb):
    wb.edit(q.FixScale("right", 0.1), q.FixScale("pool", 0.1))
    wb.edit(q.FixScale("right", 0.1))
    assert wb.placement.group("pool").fixed_scale == pytest.approx(0.1)


def test_unit_conv_scale_dtype_and_placement_take_effect(wb):
    wb.edit(q.InsertUnitConv("_generated_cat_1"))
    assert wb.placement["_generated_cat_1"].on == "BPU"
    wb.edit(q.SetPlacement("softmax", "bpu"), q.FixScale("x", 1 / 64), q.SetDtype("mix", "int16"))
    assert wb.placement["softmax"].on == "BPU"
    run = wb.run()
    assert run.layers.loc["stem", "on"] == "BPU"
    assert run.layers.loc["mix", "dtype"] == "int16"
    assert wb.edited_nodes() >= {"softmax", "x", "mix", "_unitconv_0", "_generated_cat_1"}


# -- forms of an edit ----
EVERY = [
    q.SetPreprocess("x", "rgb", mean="1 2 3"),
    q.SetAssumption("dual_int16", "on"),
    q.SetBatch(4),
    q.SetInputOrder("compiled", "x"),
    q.SetInputDtype("_generated_cat_0", 1, "int16"),
    q.SetPlacement("mix", "cpu"),
    q.InsertUnitConv("mix", "before"),
    q.InsertUnitConv("_generated_cat_0", "before", 1),
    q.RemoveUnitConv("mix", "before"),
    q.FixScale("mix", 1 / 128),
    q.ClearScale("mix"),
    q.SetDtype("mix", input="int16", weight="auto"),
    q.SetMarch("bayes"),
    q.SetCalibration("max-percentile", 0.999, True),
    q.SetCalibration("kl", max_num_bin=8192),
    q.SetNodeCalibration("mix", "max-percentile", 0.999),
    q.SetArithmetic(rounding="half_up", scale_denominator=128),
    q.SetSharing("module"),
    q.SplitModule("mix"),
]


@pytest.mark.parametrize("edit", EVERY, ids=lambda e: e.describe())
def test_an_edit_survives_plain_data_and_code(edit):
    import json

    assert edit_from_dict(json.loads(json.dumps(edit.as_dict()))) == edit
    assert eval(edit.as_code(), {"q": q}) == edit
    assert "\n" not in edit.describe()
    assert edit.describe()


def test_every_kind_of_edit_is_in_the_list_above():
    assert {type(edit) for edit in EVERY} == set(KINDS.values())


@pytest.mark.parametrize("scale", [np.float32(0.25), np.float64(0.25), np.array(0.25), torch.tensor(0.25)])
def test_numbers_of_other_libraries_become_plain(scale):
    edit = q.FixScale("mix", scale)
    assert edit == q.FixScale("mix", 0.25)
    assert edit.as_code() == "q.FixScale('mix', 0.25)"
    assert type(edit.as_dict()["scale"]) is float


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"kind": "SetPlacment", "node": "mix"}, "did you mean 'SetPlacement'"),
        ({"node": "mix"}, "no edit 'None'"),
        ({"kind": "SetPlacement", "node": "mix"}, "lacks on"),
        ({"kind": "SetPlacement", "node": "mix", "onn": "bpu"}, "did you mean 'on'"),
        ({"kind": "FixScale", "node": "mix", "scale": {"a": 1}}, "must be a number"),
        ({"kind": "SetMarch", "march": 3}, "must be text"),
        ({"kind": ["SetMarch"]}, "no edit"),
        ("SetMarch", "mapping"),
        (None, "mapping"),
    ],
)
def test_plain_data_that_is_no_edit_is_refused(data, expected):
    with pytest.raises(q.QWorkbenchError, match=expected):
        edit_from_dict(data)
