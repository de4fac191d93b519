"""Segments: what each holds, the tensors on its border, and the CPU op that splits it off."""

from __future__ import annotations

import qworkbench as q


def test_how_does_model_segmentation_affect_the_performance_names_what_splits(wb):
    whole = wb.segments()
    assert len(whole) == 1
    assert whole.loc[0, "split_by"] == ""
    wb.edit(q.SetPlacement("mix", "cpu"))
    parts = wb.segments()
    assert len(parts) == 2
    # without an active op behind them, the passive ones go to the CPU as well
    assert parts.loc[0, "split_by"] == "pool, _generated_cat_0, mix"
    assert parts.loc[1, "split_by"] == "mix"
    assert "run_on_cpu" in parts.loc[1, "why"]
    assert parts.loc[0, "leaves"] == "right, left"
    assert parts.loc[1, "enters"] == "mix"


def test_border_bytes_are_those_of_the_cost_table(wb):
    wb.edit(q.SetPlacement("mix", "cpu"))
    cost, parts = wb.cost(), wb.segments()
    assert parts["bytes_in"].sum() == cost.loc[cost["kind"] == "quantize", "bytes"].sum()
    assert parts["bytes_out"].sum() == cost.loc[cost["kind"] == "dequantize", "bytes"].sum()


def test_units_of_all_segments_are_the_units_on_the_bpu(wb):
    wb.edit(q.SetPlacement("mix", "cpu"))
    on_bpu = [unit for unit in wb.placement.units if wb.placement[unit.anchor].on == "BPU"]
    assert wb.segments()["units"].sum() == len(on_bpu)
