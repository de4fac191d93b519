"""Advice is measured: its figures are those of the edit itself, and nothing stays changed."""

from __future__ import annotations

import pytest

import qworkbench as q
from qworkbench.errors import CalibrationError, Cancelled
from qworkbench.estimate.switches import boundary_bytes


def test_every_advice_keeps_what_it_promises(wb):
    before, journal = wb.config, wb.journal
    advice = wb.advise()
    assert (wb.config, wb.journal) == (before, journal)
    assert len(advice)
    assert advice["bytes_removed"].is_monotonic_decreasing
    bytes_before, on_bpu = boundary_bytes(wb.graph, wb.placement), wb.placement.count("BPU")
    base = wb.run().table
    for row in advice.itertuples():
        known = set(wb.graph.nodes.names())
        exec(row.code, {"wb": wb, "q": q})
        assert bytes_before - boundary_bytes(wb.graph, wb.placement) == row.bytes_removed
        moved = sum(wb.placement[name].on == "BPU" for name in known) - on_bpu
        assert moved == row.ops_moved
        run = wb.run()
        assert run.table["cosine"].min() == pytest.approx(row.cosine, abs=1e-9)
        assert row.delta_cosine == pytest.approx(row.cosine - base["cosine"].min(), abs=1e-9)
        assert row.delta_l1 == pytest.approx(run.table["l1"].max() - base["l1"].max(), abs=1e-9)
        assert row.bytes_removed > 0 or row.ops_moved > 0
        wb.undo()


def test_the_limit_is_kept_and_progress_is_told(wb):
    seen = []
    assert len(wb.advise(limit=1, progress=lambda text, done, total: seen.append((done, total)))) == 1
    assert seen == [(0, 1)]


def test_advice_can_be_cancelled_and_needs_calibration(wb, mixed_model, samples):
    with pytest.raises(Cancelled):
        wb.advise(cancelled=lambda: True)
    with pytest.raises(CalibrationError, match="not calibrated"):
        q.Workbench(mixed_model, samples[:1]).advise()
