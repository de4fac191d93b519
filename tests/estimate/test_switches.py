"""Boundary cost is proportional to the elements that cross, and every CPU op is named with its reason."""

from __future__ import annotations

import pytest

import qworkbench as q


def test_every_switch_is_a_row_and_bytes_follow_elements(wb):
    table = wb.cost()
    switches = [b for b in wb.placement.boundaries if b.kind != "requantize"]
    rows = table[table["kind"] != "cpu_op"]
    assert rows["elements"].tolist() == [b.elements for b in switches]
    entry = rows[rows["where"] == "input"].iloc[0]
    assert (entry["kind"], entry["elements"], entry["bytes"]) == ("quantize", 3 * 8 * 8, 3 * 8 * 8 * 5)
    assert table["share"].sum() == pytest.approx(1.0)


def test_how_does_model_segmentation_affect_the_performance(wb):
    before = wb.cost()
    wb.edit(q.SetPlacement("mix", "cpu"))
    after = wb.cost()
    assert after["bytes"].sum() > before["bytes"].sum()
    middle = after[after["where"] == "middle"]
    assert {"quantize", "dequantize"} <= set(middle["kind"])
    op = after[(after["kind"] == "cpu_op") & (after["source"] == "mix")].iloc[0]
    assert op["elements"] == 8 * 4 * 4 + 6 * 4 * 4
    assert "run_on_cpu" in op["note"] or "CPU" in op["note"]


def test_int16_codes_weigh_twice(wb):
    wb.edit(q.SetDtype("x" if "x" in wb.graph.nodes else "stem", input="int16"))
    rows = wb.cost()
    entry = rows[rows["where"] == "input"].iloc[0]
    assert entry["bytes"] == entry["elements"] * 6


@pytest.mark.parametrize("march", ["nash-p", "nash-h", "nash-b"])
def test_floats_that_leave_the_bpu_as_they_are_count_too(march):
    import torch
    from torch import nn

    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 1))
    x = torch.randn(2, 3, 8, 8)
    table = q.Workbench(model, x, calibration=x, march=march).cost()
    row = table[table["where"] == "output"].iloc[0]
    assert (row["kind"], row["elements"], row["bytes"]) == ("handover", 2 * 6 * 36, 4 * 2 * 6 * 36)
    assert "float32" in row["note"]
    on_e = q.Workbench(model, x, calibration=x, march="nash-e").cost()
    assert on_e[on_e["where"] == "output"].iloc[0]["kind"] == "dequantize"
    assert (table["kind"] == "handover").sum() == 1


def test_indices_are_handed_over():
    import torch
    from torch import nn

    class Picks(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x):
            return self.conv(x).argmax(1, keepdim=True)

    x = torch.randn(1, 3, 8, 8)
    wb = q.Workbench(Picks(), x, calibration=x, march="bayes-e")
    table = wb.cost()
    assert wb.placement["_generated_argmax_0"].on == "BPU"
    row = table[table["where"] == "output"].iloc[0]
    assert (row["kind"], row["bytes"]) == ("handover", 8 * 64)
