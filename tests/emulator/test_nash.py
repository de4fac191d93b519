"""The nash marches run: float16 is float32 rounded once per op, wide sums are exact, float tails equal int32 tails."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import qworkbench as q

NASH = ("nash-e", "nash-m", "nash-p", "nash-h", "nash-b")


@pytest.mark.parametrize("march", NASH)
def test_every_nash_march_emulates(make_workbench, samples, march):
    wb = make_workbench(march=march)
    run = wb.run(samples)
    assert run.table["cosine"].min() > 0.99
    assert not run.overflow


def test_a_float_tail_carries_the_numbers_of_the_int32_tail(make_workbench, samples):
    first, second = (make_workbench(march=march).run(samples).outputs for march in ("nash-m", "nash-b"))
    for name in first:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-6, atol=1e-6)


def test_what_a_float16_op_leaves_is_a_float16_number(make_workbench, samples):
    outputs = make_workbench(march="nash-p").run(samples).outputs
    for array in outputs.values():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, array.astype(np.float16).astype(np.float32))


def test_float16_on_request_changes_the_op_and_only_what_follows(make_workbench, samples):
    wb = make_workbench(march="nash-m")
    before = wb.run(samples)
    wb.edit(q.SetDtype("act", "float16"))
    after = wb.run(samples)
    assert wb.placement["act"].dtype == "float16"
    assert after.layers.loc["act", "l1"] < before.layers.loc["act", "l1"]
    assert after.layers.loc["mix", "l1"] == before.layers.loc["mix", "l1"]


class Wide(nn.Module):
    """Every multiply-accumulate form once, with biases far above what int32 holds on an int16 by int16 scale."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 6, 3, 2, 1)
        self.up = nn.ConvTranspose2d(6, 4, 2, 2)
        self.line = nn.Linear(16, 5)
        with torch.no_grad():
            self.conv.bias.fill_(40.0)

    def forward(self, x):
        x = torch.relu(self.conv(x))
        x = self.up(x)
        return self.line(x.flatten(2)) @ torch.ones(5, 2)


def test_int16_on_both_sides_accumulates_without_overflow(make_workbench):
    torch.manual_seed(1)
    model, x = Wide().eval(), torch.randn(3, 4, 4, 4)
    wb = make_workbench(model, x, march="nash-p")
    worst = {}
    for weight in ("int8", "int16"):
        wb.edit(*(q.SetDtype(n, input="int16", output="int16", weight=weight) for n in ("conv", "up", "line")))
        run = wb.run()
        worst[weight] = run.table["l1"].max()
        assert not run.overflow
    assert wb.placement["conv"].weight_dtype == "int16"
    assert worst["int16"] < worst["int8"] / 20


def test_the_switch_of_dual_int16_reaches_the_numbers(make_workbench, samples):
    wb = make_workbench(march="nash-m")
    wb.edit(q.SetDtype("block", input="int16", weight="int16"))
    assert wb.placement["block"].weight_dtype == "int8"
    wb.edit(q.SetAssumption("dual_int16", "on"))
    assert wb.placement["block"].weight_dtype == "int16"
    assert wb.run(samples).table["cosine"].min() > 0.99


class Grouped(nn.Module):
    def __init__(self, groups, *, affine):
        super().__init__()
        self.first, self.norm, self.last = (
            nn.Conv2d(3, 8, 3),
            nn.GroupNorm(groups, 8, affine=affine),
            nn.Conv2d(8, 4, 1),
        )
        if affine:
            nn.init.uniform_(self.norm.weight, 0.5, 2)
            nn.init.normal_(self.norm.bias)

    def forward(self, x):
        return self.last(torch.relu(self.norm(self.first(x))))


@pytest.mark.parametrize("affine", [True, False], ids=["affine", "bare"])
@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_group_norm_runs_in_integers_as_its_pieces(groups, affine, dtype):
    torch.manual_seed(groups)
    x = torch.randn(12, 3, 10, 10) * torch.tensor([0.3, 1, 4])[:, None, None]
    wb = q.Workbench(Grouped(groups, affine=affine).eval(), x[:3], calibration=x, march="nash-e")
    wb.edit(q.SetDtype("norm", dtype))
    placed = wb.placement["norm"]
    assert (placed.on, placed.dtype) == ("BPU", dtype)
    kinds = [step.kind for step in wb._stages.plan(wb.config).steps if step.unit == "norm"]
    assert {"reduce_mean", "sub", "mul", "lut"} <= set(kinds)
    assert "dequantize" not in kinds
    assert wb.run().layers.loc["norm", "cosine"] > 0.9995


@pytest.mark.parametrize("march", ["nash-m", "nash-p", "nash-h", "nash-b"])
def test_group_norm_is_on_the_bpu_of_every_nash_and_says_where_that_is_assumed(march):
    x = torch.randn(4, 3, 10, 10)
    wb = q.Workbench(Grouped(2, affine=True).eval(), x[:1], calibration=x, march=march)
    assert wb.placement["norm"].on == "BPU"
    assert ("as on nash-e" in wb.placement["norm"].reason.sentence) is (march != "nash-m")
    assert wb.run().table["cosine"].min() > 0.999
    bayes = q.Workbench(Grouped(2, affine=True).eval(), x[:1], calibration=x, march="bayes-e")
    assert bayes.placement["norm"].on == "CPU"
