"""A table in a cell looks the same beside whatever else styles the page."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from qworkbench.view.tables import SCOPE, TABLE_CSS, html_table

WIDGET_STYLE = Path(__file__).parents[2] / "labextension" / "src" / "widget" / "style"


def test_no_class_of_a_table_is_styled_by_the_widget_too() -> None:
    frame = pd.DataFrame({"on": ["BPU", "CPU"], "delta_l1": [0.5, -0.5]}, index=pd.Index(["a", "b"], name="node"))
    used = {name for names in re.findall(r'class="?([^">]+)', html_table(frame, caption="t")) for name in names.split()}
    sheets = "".join(sheet.read_text(encoding="utf-8") for sheet in WIDGET_STYLE.glob("*.css"))
    styled = set(re.findall(r"\.([a-z][\w-]*)", sheets))
    assert "qwb-app" in styled
    assert used & styled <= {"qwb-better", "qwb-worse"}  # colours with one meaning in both


def test_notebook_rules_for_tables_do_not_win() -> None:
    # a notebook's ":not(.x).y td" counts two classes and one element
    assert SCOPE.count(".") >= 3
    assert f"{SCOPE} th,{SCOPE} td{{padding:" in TABLE_CSS
