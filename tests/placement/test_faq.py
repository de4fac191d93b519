"""Answers of the PTQ FAQ and of the article on active, passive and manual quantization, each under its question."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.nn import IdentityUnitConv

MARCHES = ("bernoulli2", "bayes", "bayes-e", "nash-e", "nash-m")
each = pytest.mark.parametrize("march", MARCHES)


def workbench(captured_model: nn.Module, march: str) -> q.Workbench:
    x = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return q.Workbench(captured_model.eval(), x, calibration=[x], march=march)


class Ends(nn.Module):
    def __init__(self, end: nn.Module) -> None:
        super().__init__()
        self.first, self.conv, self.bn, self.end = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), end

    def forward(self, x):
        return self.end(self.bn(self.conv(self.first(x))))


class Joined(nn.Module):
    """Two convolutions and a concat at the end, with a unit conv behind it where asked."""

    def __init__(self, unit: bool) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)
        self.unit = IdentityUnitConv(8) if unit else nn.Identity()

    def forward(self, x):
        return self.unit(torch.cat([self.a(x), self.b(x)], 1))


@each
@pytest.mark.parametrize("end", [nn.ReLU(), nn.ReLU6(), nn.Softmax(1), nn.MaxPool2d(2), nn.Flatten()])
def test_why_do_some_ops_supported_by_bpu_run_on_cpu_at_the_tail(march, end):
    wb = workbench(Ends(end), march)
    assert wb.placement["end"].on == "CPU"
    assert (wb.placement["conv"].on, wb.placement["conv"].dtype) == ("BPU", "int32")
    assert wb.placement["first"].dtype == "int8"


@each
@pytest.mark.parametrize("end", [nn.ReLU(), nn.ReLU6()])
def test_tail_ops_run_on_the_bpu_by_node_info_with_some_loss_of_accuracy(march, end):
    wb = workbench(Ends(end), march)
    before = wb.run().table["l1"].max()
    wb.node_info({"end": {"ON": "BPU"}})
    assert (wb.placement["end"].on, wb.placement["end"].dtype) == ("BPU", "int8")
    assert wb.run().table["l1"].max() > before


@each
def test_why_does_an_op_that_fits_the_constraints_stay_on_the_cpu(march):
    wb = workbench(Joined(unit=False), march)
    concat = wb.placement["_generated_cat_0"]
    assert (concat.on, concat.quant_class) == ("CPU", "passive")
    assert "no active op on the BPU follows it" in concat.reason.sentence


@each
def test_how_to_configure_a_passive_node_to_run_on_the_bpu_by_a_unit_conv_in_the_model(march):
    wb = workbench(Joined(unit=True), march)
    assert wb.placement["_generated_cat_0"].on == "BPU"
    assert wb.placement.subgraphs == 1


@each
@pytest.mark.parametrize("where", ["before", "after"])
def test_how_to_configure_a_passive_node_to_run_on_the_bpu_by_an_inserted_unit_conv(march, where):
    wb = workbench(Joined(unit=False), march)
    expected = wb.run().outputs
    slot = 0 if where == "before" else None
    wb.edit(q.InsertUnitConv("_generated_cat_0", where, slot))
    assert (wb.placement["_generated_cat_0"].on == "BPU") is (where == "after")
    assert wb.run().outputs.keys() == expected.keys()
    assert wb.run().table["cosine"].min() > 0.99


@each
def test_how_to_configure_a_manual_node_to_run_on_the_bpu_by_run_on_bpu(march):
    wb = workbench(Ends(nn.Softmax(1)), march)
    wb.edit(q.SetPlacement("end", "bpu"))
    softmax = wb.placement["end"]
    assert (softmax.on, softmax.reason.code) == ("BPU", "requested"), softmax.reason.sentence


@each
def test_a_refused_run_on_bpu_of_a_passive_node_is_a_reason(march):
    wb = workbench(Joined(unit=False), march)
    wb.edit(q.SetPlacement("_generated_cat_0", "bpu"))
    concat = wb.placement["_generated_cat_0"]
    assert concat.on == "CPU"
    assert concat.reason.sentence.startswith("run_on_bpu is refused")
    assert any(edit["kind"] == "InsertUnitConv" for way in concat.reason.ways for edit in way.edits)


def test_bpu_acceleration_gemm_is_replaced_by_conv_and_reshape_depends_on_its_context(captured):
    graph = captured(
        lambda m, x: m.fc2(torch.relu(m.fc1(m.conv(x).flatten(1)))),
        (1, 3, 4, 4),
        conv=nn.Conv2d(3, 4, 1),
        fc1=nn.Linear(64, 16),
        fc2=nn.Linear(16, 4),
    )
    from qworkbench.march import get_march
    from qworkbench.placement.place import place

    placement = place(graph, get_march("bayes-e"))
    assert [placement[name].on for name in ("fc1", "fc2", "_generated_flatten_0")] == ["BPU"] * 3
    assert "'fc1'" in placement["_generated_flatten_0"].reason.sentence


def test_optimize_level_searches_wider_and_is_never_worse(wb):
    found = [wb.estimate(level).microseconds for level in ("O0", "O1", "O2")]
    assert found == sorted(found, reverse=True)


def test_unit_conv_trains_along_and_check_equal_tells_when_it_changed():
    model = Joined(unit=True)
    model.unit.check_equal()
    assert model.unit.identity_conv.groups == model.unit.channels == 8
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(2, 3, 8, 8)).square().mean().backward()
    optimizer.step()
    with pytest.raises(q.QWorkbenchError, match="changes its input"):
        model.unit.check_equal()
