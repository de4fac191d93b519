"""The guide's pipelines: stages in order, the cheapest configuration that is good enough, one step to apply."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import qworkbench as q


@pytest.fixture
def hard(make_workbench, samples):
    """One channel is a thousand times the others, so int8 is not enough."""
    torch.manual_seed(0)
    first, last = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 1)
    model = nn.Sequential(first, nn.Tanh(), nn.Conv2d(8, 8, 1), nn.ReLU(), last).eval()
    with torch.no_grad():
        model[2].weight[3] *= 1000
        model[2].bias[3] *= 1000
        model[4].weight[:, 3] = 0
    return make_workbench(model, samples)


@pytest.mark.parametrize("name", ["j6e", "j6m"])
def test_int8_that_is_good_enough_ends_the_pipeline(wb, samples, name):
    found = wb.recipe(name, 0.9, samples)
    assert list(found.trials.stage) == ["all int16", "all int8"]
    assert found.reached
    assert found.march == {"j6e": "nash-e", "j6m": "nash-m"}[name]
    assert any("dual int16 is not available" in note for note in found.notes)
    wb.edit(*found.edits)
    assert wb.march == found.march
    assert wb.run(samples).table.cosine.min() >= 0.9
    wb.undo()
    assert wb.journal == ()


def test_a_hard_model_gets_the_smallest_share_of_int16(hard, samples):
    found = hard.recipe("j6m", 0.9999, samples)
    stages = list(dict.fromkeys(found.trials.stage))
    assert stages[:3] == ["all int16", "all int8", "int8 / int16"]
    assert found.reached
    int16 = found.trials[found.trials.stage == "all int16"].iloc[0]
    hard.edit(*found.edits)
    assert len(hard.journal) == 1
    assert hard.run(samples).table.cosine.min() >= 0.9999
    from qworkbench.workbench.trials import cost_of

    assert cost_of(hard._stages, hard.config) < int16.cost


def test_a_target_that_int16_misses_tries_float16_and_says_what_to_do(hard, samples):
    found = hard.recipe("j6m", 1.0, samples)
    assert not found.reached
    assert "int16 / float16" in set(found.trials.stage)
    assert any("the target was not reached" in note for note in found.notes)
    best = found.trials.COSINE.max()
    hard.edit(*found.edits)
    assert hard.run(samples).table.cosine.min() == pytest.approx(best, abs=1e-6)


def test_j6p_keeps_float16_and_lowers_the_matrix_ops(hard, samples):
    easy = hard.recipe("j6p", 0.5, samples)
    assert list(easy.trials.stage) == ["gemm int16 + other float16", "gemm int8 + other float16"]
    first, second = easy.trials.COSINE
    assert first > second
    target = (first + second) / 2
    found = hard.recipe("j6p", target, samples)
    assert found.reached
    assert found.trials.stage.iloc[-1] == "gemm int8 / int16 + other float16"
    hard.edit(*found.edits)
    assert hard.run(samples).table.cosine.min() >= target
    widths = {hard.placement[name].weight_dtype for name in ("0", "2", "4")}
    assert widths == {"int8", "int16"}
    assert not hard.recipe("j6p", 1.0, samples).reached


def test_a_users_accuracy_and_the_wrong_name(wb, samples):
    def accuracy(run):
        return float(run(samples)[0].argmax(1).shape[0])

    found = wb.recipe("j6m", 12.0, samples, evaluate=accuracy)
    assert found.metric == "accuracy"
    assert found.reached
    assert len(found.figure().axes[0].lines) == 2
    with pytest.raises(q.QWorkbenchError, match="j6m"):
        wb.recipe("j6x", 0.9, samples)
    with pytest.raises(q.QWorkbenchError, match="cancelled"):
        wb.recipe("j6m", 0.9, samples, cancelled=lambda: True)


@pytest.mark.parametrize(("metric", "target"), [("COSINE", 1.01), ("cosine", float("nan")), ("L1", -0.1), ("KL", -1)])
def test_a_target_that_no_outputs_can_have_is_refused_before_anything_runs(wb, samples, metric, target):
    with pytest.raises(q.QWorkbenchError, match=f"no {metric.upper()} is"):
        wb.recipe("j6m", target, samples, metric=metric)
    with pytest.raises(q.QWorkbenchError, match=f"no {metric.upper()} is"):
        wb.mixed_precision(target, samples, metric=metric)
