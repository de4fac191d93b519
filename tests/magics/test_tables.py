"""What a cell shows: whole tables, a sentence for an empty one, long steps cut short; and the README's own lines."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from IPython.core.error import UsageError

from qworkbench.magics.commands import COMMANDS
from qworkbench.magics.results import Step
from qworkbench.magics.tables import table

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(p for p in (ROOT / "docs").glob("*.md") if p.name != "magics.md")]


def test_a_table_shows_every_column_and_stays_a_frame():
    frame = pd.DataFrame({f"column_{i}": [0.5] * 80 for i in range(30)})
    made = table(frame)
    assert all(name in repr(made) and name in made._repr_html_() for name in frame)
    assert "..." not in repr(made)
    assert made._repr_html_().count("<tr") == 81
    assert "more rows" not in made._repr_html_()
    assert repr(made[made.column_0 > 1]) == "no rows"
    pd.testing.assert_frame_equal(pd.DataFrame(made), frame)


def test_a_sentence_in_a_table_is_shown_whole():
    reason = "Concat 'detect.cat' is passive and no active op on the BPU follows it, so it finds no threshold."
    page = table(pd.DataFrame({"reason": [reason], "cosine": [0.99312345]}))._repr_html_()
    assert "so it finds no threshold." in page
    assert "0.993123" in page
    assert "5 more rows" in table(pd.DataFrame({"a": range(1005)}))._repr_html_()


def test_an_empty_table_says_so_and_names_are_escaped():
    empty = table(pd.DataFrame(columns=["a"]), "nothing <to> win")
    assert repr(empty) == "nothing <to> win"
    assert empty._repr_html_() == "<p>nothing &lt;to&gt; win</p>"
    assert "<script>" not in table(pd.DataFrame({"<script>": ["<script>"]}))._repr_html_()


def test_commands_hand_tables_back_whole(qwb):
    qwb("load model --example x --calibration images")
    qwb("run")
    assert "cosine" in repr(qwb("layers"))
    assert "share" in repr(qwb("cost"))
    assert "advice" in repr(qwb("shared"))
    assert "tell one by --range" in repr(qwb("fixed"))


def test_a_long_step_is_cut_short_but_not_lost():
    changes = [f"node{i}: BPU int16 -> BPU int8" for i in range(50)]
    text, page = repr(Step("undo", changes)), Step("undo", changes)._repr_html_()
    assert "node19" in text
    assert "node20" not in text
    assert "... and 30 more nodes" in text
    assert "<summary>30 more nodes</summary>" in page
    assert "node49" in page
    assert "more nodes" not in repr(Step("undo", changes[:20]))


@pytest.mark.parametrize("document", PAGES, ids=lambda path: path.name)
def test_every_magic_line_of_the_pages_can_be_read(document):
    for line in re.findall(r"^(?:\w+ = )?%qwb (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE):
        name, *words = shlex.split(re.sub(r"(^|\s)#.*$", "", line))
        if "..." not in words and "[" not in line:
            COMMANDS[name].parse(words)


def test_export_tells_the_form_by_the_suffix(qwb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    qwb("load model --example x --calibration images")
    qwb("export config.yaml")
    qwb("export quant.json")
    qwb("export yaml other.txt")
    qwb("export quant_config")
    assert (tmp_path / "config.yaml").read_text() == (tmp_path / "other.txt").read_text()
    assert {path.name for path in tmp_path.iterdir()} >= {"config.yaml", "quant.json", "other.txt"}
    assert len([path for path in tmp_path.iterdir() if path.suffix == ".json"]) == 2
    with pytest.raises(UsageError, match=r"'config\.txt' is none of yaml, quant_config, onnx"):
        qwb("export config.txt")
