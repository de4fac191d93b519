"""The page about the training side: its samples run, and every name of its table is there."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import qworkbench.qat as horizon

PAGE = Path(__file__).parents[2] / "docs" / "training.md"


def blocks():
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_samples_run_one_after_the_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    samples = [block for block in blocks() if "with horizon" not in block]
    assert len(samples) == 4
    for block in samples:
        exec(compile(block, str(PAGE), "exec"), names)
    assert (tmp_path / "model_check_result.txt").exists()
    assert (tmp_path / "analysis" / "badcase.txt").exists()
    difference = float(capsys.readouterr().out.split()[-1])
    assert difference < 0.1
    assert names["mixed"] is not None


def names_of_the_table():
    table = PAGE.read_text(encoding="utf-8").split("## Names")[1].split("\n## ")[0]
    for row in table.splitlines():
        cells = row.strip("|").split("|")
        if row.startswith("| `") and len(cells) == 2:
            source = cells[0] if "`" not in cells[1] or "default_..." in cells[1] else cells[1]
            prefix = ""
            for name in re.findall(r"`([\w.]+)`", source):
                if not name.startswith("."):
                    prefix = name.rpartition(".")[0]
                yield name if not name.startswith(".") else f"{prefix}{name}"


@pytest.mark.parametrize("name", sorted(set(names_of_the_table())))
def test_every_name_of_the_table_is_there(name):
    path = name.removeprefix("qworkbench.qat").strip(".").removeprefix("horizon.")
    if path == "check_qat_model":
        path = "profiler.check_qat_model"
    found = horizon
    for part in path.split(".") if path else ():
        if not hasattr(found, part):
            importlib.import_module(f"{found.__name__}.{part}")
        found = getattr(found, part)
    assert found is not None


def test_the_table_names_the_api():
    assert len(set(names_of_the_table())) > 50
