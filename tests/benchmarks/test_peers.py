"""The speed benchmarks' own arithmetic: ratios inside rounds, the fastest peer, the page from the files."""

from __future__ import annotations

import json

import pytest

from benchmarks.peers import __main__ as page
from benchmarks.peers.report import report
from benchmarks.peers.timing import interleaved, ratio


def test_ratio_is_the_median_over_rounds_against_the_fastest_peer():
    times = {"ours": [1.0, 2.0, 9.0], "slow": [8.0, 8.0, 8.0], "fast": [2.0, 4.0, 6.0]}
    assert ratio(times, "ours", ["slow", "fast", "absent"]) == 0.5
    assert ratio(times, "ours", ["absent"]) is None


def test_every_candidate_runs_in_every_round_forth_and_back():
    calls = []
    times = interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3, least=0.0)
    assert [len(found) for found in times.values()] == [3, 3]
    assert "".join(calls[4:]) == "abbaab"  # after two warm calls of each


def test_the_page_holds_what_was_measured_and_names_what_was_skipped(tmp_path, monkeypatch, capsys):
    report("one", [{"shape": "3x3", "us": 12.5, "/peer": None}], tmp_path / "one.json")
    assert "3x3" in capsys.readouterr().out
    held = json.loads((tmp_path / "one.json").read_text())
    assert "amx" in held["skipped"]
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr("sys.argv", ["peers", str(tmp_path)])
    page.main()
    text = (tmp_path / "page.md").read_text()
    assert "| 3x3 | 12.5 | - |" in text
    assert f"`{held['path']}`" in text


@pytest.mark.parametrize("path", ["avx2", "avx512vnni", "i8mm", "dotprod"])
def test_a_path_with_dot_instructions_has_a_peak(path, monkeypatch):
    from benchmarks.peers.peak import peak
    from qworkbench.emulator.kernels import isa

    if path not in isa.available():
        pytest.skip(f"this processor has no {path}")
    monkeypatch.setenv(isa.VARIABLE, path)
    assert peak() > 10
    monkeypatch.setenv(isa.VARIABLE, isa.PORTABLE)
    assert peak() is None
