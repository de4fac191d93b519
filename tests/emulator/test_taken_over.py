"""What a plan, a placement or a run takes over from the one before equals what is made from nothing."""

from __future__ import annotations

import copy
import random
from collections import Counter

import numpy as np
import pytest
import torch

import qworkbench as q
from qworkbench.emulator import memo
from qworkbench.emulator.builder import PlanBuilder, build_plan
from qworkbench.emulator.copies import Copies, identical
from qworkbench.emulator.execute import feed_prints
from qworkbench.emulator.fingerprint import digest
from qworkbench.placement import anatomy, context, skeleton
from qworkbench.placement.place import place
from tests.emulator.test_incremental import assert_same, from_scratch, random_edit
from tests.models.zoo import ZOO


def workbench(name: str) -> q.Workbench:
    torch.manual_seed(0)
    model, example = ZOO[name]()
    samples = [example, example + 0.3 * torch.randn_like(example)] if example.is_floating_point() else [example]
    return q.Workbench(model, example, calibration=samples)


def assert_as_from_nothing(wb: q.Workbench) -> None:
    """Compare placement and plan in force with ones that remember nothing."""
    config = wb.config
    placed = place(wb.graph, config.machine, config.overrides)
    for name in placed:
        assert wb.placement[name] == placed[name]
    assert wb.placement == placed
    plan = wb._stages.plan(config)
    fresh = build_plan(wb.graph, placed, wb._stages.thresholds(config), config.arithmetic)
    for mine, theirs in zip(plan.steps, fresh.steps, strict=True):
        assert (mine.name, mine.unit, mine.kind, mine.inputs, mine.outputs) == (
            theirs.name,
            theirs.unit,
            theirs.kind,
            theirs.inputs,
            theirs.outputs,
        )
        assert mine.digest == theirs.digest, mine.name
    assert (plan.results, plan.outputs) == (fresh.results, fresh.outputs)
    for table, other in ((plan.quantities, fresh.quantities), (plan.weights, fresh.weights)):
        assert list(table) == list(other)
        assert [digest(quantity) for quantity in table.values()] == [digest(quantity) for quantity in other.values()]


@pytest.mark.parametrize("kept", ["much", "next to nothing"])
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "inception", "detector", "vit", "segmentation", "lstm"])
def test_after_random_edits_placement_and_plan_are_those_from_nothing(name, kept, monkeypatch):
    if kept == "next to nothing":
        monkeypatch.setattr(memo, "KEPT", 1)
        monkeypatch.setattr(memo, "GRAPHS", 1)
        monkeypatch.setattr(anatomy, "KEPT", 1)
        monkeypatch.setattr(anatomy, "REMEMBERED", 7)
    rng = random.Random(name + kept)
    wb = workbench(name)
    done = 0
    for _ in range(25):
        try:
            move = rng.random()
            if move < 0.2:
                wb.undo()
            elif move < 0.3:
                wb.redo()
            else:
                wb.edit(*[random_edit(rng, wb) for _ in range(rng.choice([1, 1, 2]))])
            wb._stages.plan(wb.config)
            done += 1
        except q.QWorkbenchError:
            if wb.can_undo:
                wb.undo()
            continue
        assert_as_from_nothing(wb)
    assert done > 5


def test_a_scale_on_the_tail_moves_what_other_scales_leave_in_place(make_workbench):
    wb = make_workbench()
    for node in ("head", "left", "side", "act", "head"):
        for scale in (1 / 32, 1 / 64):
            try:
                wb.edit(q.FixScale(node, scale))
            except q.QWorkbenchError:
                continue
            assert_as_from_nothing(wb)
    for node in list(wb.config.scales):
        wb.edit(q.ClearScale(node))
        assert_as_from_nothing(wb)


def test_a_unit_conv_of_the_same_name_elsewhere_stands_for_another_value(wb):
    for node, where in (("stem", "after"), ("head", "before"), ("left", "after")):
        wb.edit(q.InsertUnitConv(node, where))
        assert "_unitconv_0" in wb.graph.nodes
        assert_same(wb.run(), from_scratch(wb))
        assert_as_from_nothing(wb)
        wb.undo()
        assert_same(wb.run(), from_scratch(wb))


class Chain(torch.nn.Sequential):
    def __init__(self, pairs):
        pair = [(torch.nn.Conv2d(4, 4, 3, padding=1), torch.nn.ReLU()) for _ in range(pairs)]
        super().__init__(*(layer for both in pair for layer in both))


@pytest.mark.parametrize("kind", ["scale", "cpu", "int16", "unit conv"])
def test_an_edit_asks_again_for_what_it_touches_and_for_nothing_else(make_workbench, monkeypatch, kind):
    torch.manual_seed(0)
    x = torch.randn(1, 4, 6, 6)
    wb = make_workbench(Chain(40).eval(), x, calibration=[x])
    wb.run()
    asked = []
    for owner, name in ((PlanBuilder, "_around"), (context, "_alone"), (skeleton, "reason_for")):
        function = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *a, _f=function, _n=name, **k: (asked.append(_n), _f(*a, **k))[1])
    node = "40"
    edit = {
        "scale": q.FixScale(node, 0.02),
        "cpu": q.SetPlacement(node, "cpu"),
        "int16": q.SetDtype(node, "int16"),
        "unit conv": q.InsertUnitConv(node, "after"),
    }[kind]
    wb.edit(edit)
    run = wb.run()
    counts = Counter(asked)
    assert counts["_around"]
    assert max(counts.values()) < 10
    monkeypatch.undo()
    assert_as_from_nothing(wb)
    assert_same(run, from_scratch(wb))


def step(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)


def load(model):
    model.load_state_dict({name: value * 1.5 for name, value in model.state_dict().items()})


def past_torch(model):
    for parameter in model.parameters():
        parameter.data *= 1.5


def swap_module(model):
    model.mix = torch.nn.Conv2d(8, 6, 1).eval()


@pytest.mark.parametrize("write", [step, load, past_torch, swap_module])
def test_written_weights_are_refused_then_taken_by_calibration(make_workbench, mixed_model, samples, write):
    wb = make_workbench(copy.deepcopy(mixed_model), samples[:1])
    wb.edit(q.FixScale("act", 0.02))
    wb.run()
    write(wb.model)
    for move in (wb.run, lambda: wb.edit(q.SetDtype("mix", "int16")) and wb.run()):
        with pytest.raises(q.QWorkbenchError, match="weights changed"):
            move()
    wb.calibrate(samples)
    assert_same(wb.run(), from_scratch(wb))
    wb.undo()
    assert_same(wb.run(), from_scratch(wb))
    wb.redo()
    assert_as_from_nothing(wb)


def test_a_memo_without_a_guard_notices_written_weights(make_workbench, mixed_model, samples):
    wb = make_workbench(copy.deepcopy(mixed_model), samples[:1])
    config, held = wb.config, memo.PlanMemo()

    def built(known=None):
        return build_plan(wb.graph, wb.placement, wb._stages.thresholds(config), config.arithmetic, known)

    built(held)
    step(wb.model)
    assert [s.digest for s in built(held).steps] == [s.digest for s in built().steps]


@pytest.mark.parametrize("write", ["tensor", "numpy view", "array"])
def test_an_input_that_is_written_in_place_is_another_input(wb, samples, write):
    given = samples[:1].clone()
    if write == "array":
        given = given.numpy().copy()
    first = wb.run(given)
    if write == "numpy view":
        given.numpy()[0, 0, 0, 0] += 1.0
    else:
        given[0, 0, 0, 0] += 1.0
    again = wb.run(given)
    assert again.inputs != first.inputs
    assert_same(again, from_scratch(wb, given))
    table = wb.sensitivity(given)
    given[...] = 0.5
    fresh = q.Workbench._of_stages(wb._stages, wb.config, wb.model, wb.example)
    assert not wb.sensitivity(given).equals(table)
    assert wb.sensitivity(given).equals(fresh.sensitivity(given))


def test_copies_tell_bits_apart_and_keep_no_large_input():
    copies = Copies(max_bytes=64)
    for array in (np.zeros(3, np.float32), np.array([0.0, -0.0, np.nan], np.float32), np.zeros((2, 50), np.int64)):
        assert copies.prints({"x": array})[0] == feed_prints({"x": array}) == copies.prints({"x": array.copy()})[0]
    assert not identical(np.array([0.0]), np.array([-0.0]))
    assert identical(np.array([np.nan]), np.array([np.nan]))
    assert identical(np.arange(6).reshape(2, 3).T, np.ascontiguousarray(np.arange(6).reshape(2, 3).T))
    assert not identical(np.zeros(2, np.float32), np.zeros(2, np.int32))
    assert not identical(np.zeros(5, np.int8), np.array([0, 0, 0, 0, 1], np.int8))
