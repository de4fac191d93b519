"""The line of progress says what it counts."""

from __future__ import annotations

import pytest

from qworkbench.magics import progress


@pytest.fixture
def talkative(monkeypatch):
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(progress, "BETWEEN_SECONDS", 0.0)


def test_the_unit_stands_behind_the_count(talkative, capsys):
    with progress.reporter("running", "nodes") as report:
        report("conv1", 3, 16)
    assert "running: 3/16 nodes conv1" in capsys.readouterr().err


def test_nothing_is_counted_before_there_is_a_count(talkative, capsys):
    with progress.reporter("running", "nodes") as report:
        report("", 0, 0)
    shown = capsys.readouterr().err
    assert "running ..." in shown
    assert "nodes" not in shown


def test_a_run_from_the_magic_counts_nodes(talkative, loaded, shell, capsys):
    capsys.readouterr()
    run = loaded("run")
    shown = capsys.readouterr().err
    assert f"{run.compared}/{run.compared} nodes" in shown
    loaded("calibrate images")
    assert "1/1 steps" in capsys.readouterr().err
