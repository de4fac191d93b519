"""Quantization switched off in a region, and the smallest region that explains the loss."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import qworkbench as q


class Deep(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(*(m for _ in range(6) for m in (nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())))
        self.head = nn.Conv2d(8, 4, 1)

    def forward(self, x):
        return self.head(self.body(x))


@pytest.fixture
def deep(make_workbench):
    torch.manual_seed(0)
    model, x = Deep().eval(), torch.randn(4, 8, 6, 6)
    return make_workbench(model, x), x


def test_a_region_off_is_as_good_as_float_and_only_the_region_as_bad_as_all(deep):
    wb, x = deep
    wb.edit(q.FixScale("body.5", 1e-4))
    table = wb.partial("body.4", inputs=x, metric="L1").iloc[0]
    assert table.region_off < 0.1 * table.all_on
    assert table.only_region > 0.5 * table.all_on
    nothing = wb.partial("body.8", inputs=x, metric="L1").iloc[0]
    assert nothing.region_off == pytest.approx(nothing.all_on, rel=0.2)
    assert wb.partial("*", inputs=x, metric="L1").region_off.iloc[0] == 0
    assert wb.partial("body.*", "head", inputs=x, metric="L1").region_off.iloc[0] < table.all_on


def test_all_quantizers_on_agree_with_the_integer_plan(deep):
    wb, x = deep
    simulated = wb.partial("*", inputs=x).all_on.iloc[0]
    assert simulated == pytest.approx(wb.run(x).table.cosine.iloc[0], abs=2e-4)


@pytest.mark.parametrize("place", [1, 5, 11])
def test_bisection_names_the_one_truncated_tensor(deep, place):
    wb, x = deep
    wb.edit(q.FixScale(f"body.{place}", 1e-4))
    steps = []
    found = wb.bisect(x, progress=lambda text, done, total: steps.append(done))
    assert found.members == ((f"body.{place - 1}", "activation"),)
    assert found.explained > 0.9
    assert len(found.trials) < 14
    assert steps == list(range(1, len(found.trials) + 1))


def test_two_faults_far_apart_are_both_in_the_region_and_what_lies_between_is_not(deep):
    wb, x = deep
    scales = wb.compare_layers(x).frame.set_index("mod_name").qscale
    wb.edit(q.FixScale("body.1", float(scales["body.1"]) / 6), q.FixScale("body.9", float(scales["body.9"]) / 3))
    found = wb.bisect(x, metric="L1", share=0.9)
    assert {"body.0", "body.8"} <= set(found.ops)
    assert len(found.members) <= 4


@pytest.mark.parametrize("how", ["int16", "cpu"])
def test_a_region_is_repaired_in_one_step(deep, how):
    wb, x = deep
    with torch.no_grad():
        wb.model.body[4].weight[2] *= 1000
        wb.model.body[4].bias[2] *= 1000
        wb.model.body[6].weight[:, 2] /= 1000
    wb.calibrate(x)
    found = wb.bisect(x, metric="L1", share=0.5)
    before = wb.run(x).table.l1.iloc[0]
    wb.edit(*wb.repair(found.ops, how))
    assert wb.run(x).table.l1.iloc[0] < before
    assert len(wb.journal) == 1


def test_wrong_questions_end_in_one_sentence(deep):
    wb, x = deep
    with pytest.raises(q.QWorkbenchError, match=r"did you mean 'head'"):
        wb.partial("heat")
    with pytest.raises(q.QWorkbenchError, match="name the region"):
        wb.partial()
    with pytest.raises(q.QWorkbenchError, match="share must be"):
        wb.bisect(x, share=0)
    with pytest.raises(q.QWorkbenchError, match="did you mean 'int16'"):
        wb.repair(["head"], "int61")
    with pytest.raises(q.QWorkbenchError, match="cancelled"):
        wb.bisect(x, cancelled=lambda: True)
    assert wb.in_background("bisect", x).wait(30).members
