"""``make demo``, as its user sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_demo_prints_figures_for_every_edit_and_writes_its_files(tmp_path):
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "tutorials" / "demo.py"), "--out", str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=env, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr
    for step in ("as placed", "softmax: run_on_bpu", "concat: unit conv after", "output int16", "quant: scale fixed"):
        assert step in done.stdout
    assert "float accuracy on 360 held-out images: 9" in done.stdout
    assert (tmp_path / "graph.svg").read_text().startswith("<svg")
    assert (tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")
    report = (tmp_path / "report.html").read_text()
    assert "concat: unit conv after" in report
    assert "://" not in report.replace("http://www.w3.org/2000/svg", "")  # nothing is fetched when it is opened
    assert json.loads((tmp_path / "state.qwb.json").read_text())["format"] == "qworkbench/state"
