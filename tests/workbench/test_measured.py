"""What a run takes over from the run before on the same inputs: fingerprints, distances, feeds; and what it forgets."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

import qworkbench as q
from qworkbench.emulator.execute import fingerprints
from qworkbench.errors import QWorkbenchError
from tests.emulator.test_incremental import random_edit
from tests.models.zoo import ZOO


@pytest.fixture
def wb():
    torch.manual_seed(0)
    model, example = ZOO["resnet18"]()
    return q.Workbench(model, example, calibration=[example, example + 0.3 * torch.randn_like(example)])


def newest(wb):
    return next(reversed(wb._measured.answered.values()))


def test_fingerprints_after_edits_are_those_from_nothing(wb):
    rng = random.Random(1)
    for _ in range(20):
        try:
            wb.undo() if rng.random() < 0.2 else wb.edit(random_edit(rng, wb))
        except QWorkbenchError:
            continue
        wb.run()
        plan, held = wb._stages.plan(wb.config), newest(wb)
        feeds = {name: np.asarray(wb.example) for name in wb.graph.inputs}
        wanted = fingerprints(plan, feeds)
        assert {key: held.prints[key] for key in wanted} == wanted


def test_steps_of_one_fingerprint_have_the_same_numbers(wb):
    seen = {}
    convs = [unit.anchor for unit in wb.placement.units if unit.op == "Conv"]
    edits = [q.FixScale(convs[3], 1 / 32), q.FixScale(convs[4], 1 / 64), q.SetDtype(convs[5], "int16")]
    edits += [q.SetArithmetic(rounding="half_up"), q.SetArithmetic(multiplier_int8="fixed"), q.SetMarch("bayes")]
    for edit in edits:
        wb.edit(edit)
        for step in wb._stages.plan(wb.config).steps:
            params = {name: value for name, value in step.params.items() if name in ("bias", "residual", "requantize")}
            known = seen.setdefault(step.digest, params)
            for name in ("bias", "residual"):
                np.testing.assert_array_equal(params.get(name), known.get(name))
            mine, theirs = params.get("requantize"), known.get("requantize")
            assert (mine is None) == (theirs is None)
            if mine is not None:
                np.testing.assert_array_equal(mine.multiplier, theirs.multiplier)
                assert (mine.dtype, mine.low, mine.high, mine.rounding, mine.kind) == (
                    theirs.dtype,
                    theirs.low,
                    theirs.high,
                    theirs.rounding,
                    theirs.kind,
                )
    assert len(seen) > 3 * len(convs)  # rounding and multiplier model count


def test_fingerprints_of_former_plans_do_not_pile_up(wb):
    name = next(unit.anchor for unit in wb.placement.units if unit.op == "Conv")
    wb.run()
    most = len(newest(wb).prints)
    for index in range(60):
        wb.edit(q.FixScale(name, 1 / (20 + index)))
        wb.run()
    assert len(newest(wb).prints) <= 3 * most


def test_a_sample_that_is_written_in_place_is_read_again(wb):
    sample = torch.rand_like(wb.example)
    first = wb.run(sample)
    sample.mul_(0.5)
    second = wb.run(sample)
    assert second.inputs != first.inputs
    np.testing.assert_array_equal(
        next(iter(second.outputs.values())), next(iter(wb.run(sample.clone()).outputs.values()))
    )
    sample.data = torch.rand_like(wb.example)
    assert wb.run(sample).inputs not in (first.inputs, second.inputs)


def test_the_result_in_the_form_of_the_model_is_the_callers_own(wb):
    run = wb.run()
    assert isinstance(run.result, torch.Tensor)
    kept = next(iter(run.outputs.values())).copy()
    run.result.zero_()
    np.testing.assert_array_equal(next(iter(run.outputs.values())), kept)
    np.testing.assert_array_equal(next(iter(wb.run().outputs.values())), kept)


def test_progress_counts_the_nodes_that_are_measured(wb):
    told = []
    run = wb.run(progress=lambda *step: told.append(step))
    assert [done for _, done, _ in told] == list(range(1, len(told) + 1))
    assert {total for _, _, total in told} == {len(run.metrics)}
    again = wb.run(progress=lambda *step: told.append(step))
    assert len(told) == len(run.metrics)
    # a run says how many nodes that were, beside the steps that it computed
    assert run.compared == len(told)
    assert f"{run.steps} of {run.steps} steps computed, {run.compared} nodes compared>" in repr(run)
    assert repr(again).endswith(f"0 of {run.steps} steps computed, 0 nodes compared>")
