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
