from __future__ import annotations

import pytest
import torch
from torch import nn

import qworkbench as q

SECTIONS = (
    "Fusable modules are listed below:",
    "Each module called times:",
    "Each layer out qconfig:",
    "Weight qconfig:",
    "input/output dtype statistics:",
    "Please check if these OPs qconfigs are expected..",
)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.sigmoid = nn.Sigmoid()
        self.last = nn.Conv2d(3, 2, 1)

    def forward(self, x):
        return self.last(self.sigmoid(self.conv(self.conv(x))))


@pytest.fixture
def twice(make_workbench, samples):
    torch.manual_seed(0)
    return make_workbench(Twice().eval(), samples)


def test_the_file_has_the_sections_of_the_guide(twice, tmp_path):
    path = twice.check().save(tmp_path / "model_check_result.txt")
    lines = path.read_text().splitlines()
    assert [line for line in lines if line in SECTIONS] == list(SECTIONS)
    with pytest.raises(q.QWorkbenchError, match="cannot write"):
        twice.check().save(tmp_path / "missing" / "file.txt")


def test_a_shared_module_is_counted(twice):
    calls = twice.check().calls.set_index("name")["called times"]
    assert calls["conv"] == 2
    assert calls["last"] == 1


def test_dtypes_and_fixed_scales_that_take_effect_are_listed(twice):
    twice.edit(q.SetDtype("conv", "int16"), q.FixScale("x", 0.5))
    found = twice.check()
    outputs = found.outputs.set_index("Module Name")
    assert outputs["out dtype"]["conv"] == "int16"
    assert outputs["Input dtype"]["conv#1"] == "int16"
    assert "Fixed scale 0.5" in set(found.unusual.Msg)
    assert set(found.weights["weight dtype"]) == {"int8"}
    assert found.dtypes.set_index("dtype")["written by"].sum() == len(outputs)


def test_a_known_range_is_proposed_and_applied_as_one_step(twice):
    edits = twice.fixed_scales({"x": (-4.0, 4.0)})
    by_node = {edit.node: edit.scale for edit in edits}
    assert by_node["x"] == pytest.approx(4 / 127)
    assert by_node["sigmoid"] == pytest.approx(1 / 127)
    assert "consider fixed scale" in str(twice.check())
    twice.edit(*edits)
    assert twice.fixed_scales({"x": (-4.0, 4.0)}) == ()
    assert len(twice.journal) == 1
    twice.undo()
    assert twice.journal == ()


def test_declared_ranges_travel_through_the_graph(make_workbench):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 1)

        def forward(self, speed, image):
            x = torch.cat([speed * 0.5, image + 1.0], 1)
            return self.conv(torch.relu(x))

    from qworkbench.analysis.ranges import known_ranges

    example = (torch.rand(1, 1, 4, 4), torch.rand(1, 1, 4, 4))
    wb = make_workbench(Scaled().eval(), example)
    found = {n: r for n, (r, _) in known_ranges(wb.graph, {"speed": (0, 200), "image": (-1, 1)}).items()}
    nodes = {node.op: node.output for node in wb.graph.nodes}
    assert found[nodes["Mul"]] == (0, 100)
    assert found[nodes["Add"]] == (0, 2)
    assert found[nodes["Concat"]] == found[nodes["Relu"]] == (0, 100)
    assert nodes["Conv"] not in found
    for bad, expected in (({"sped": (0, 1)}, "did you mean 'speed'"), ({"speed": (1, 0)}, "low < high")):
        with pytest.raises(q.QWorkbenchError, match=expected):
            known_ranges(wb.graph, bad)


def test_an_uncalibrated_model_is_checked_too(mixed_model, samples):
    assert "Each layer out qconfig" in str(q.Workbench(mixed_model, samples[:1]).check())
