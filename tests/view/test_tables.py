"""Tables: figures by what they measure, alignment, escaping."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from qworkbench.view.figures import Figures
from qworkbench.view.tables import format_cell, header, html_table, text_table


def outputs() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "cosine": [0.99312345, 0.5],
            "l1": [0.00123456, 123456.0],
            "cosine_before": [0.98, np.nan],
            "delta_cosine": [0.01312345, np.nan],
            "delta_l1": [0.25, -0.5],
            "on": ["BPU", "CPU"],
        },
        index=pd.Index(["logits", "<b>&"], name="output"),
    )


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("cosine", 0.99312345, "0.993123"),
        ("cosine_before", 1.0, "1.000000"),
        ("delta_cosine", 0.0001, "+0.000100"),
        ("delta_cosine", -0.0001, "-0.000100"),
        ("l1", 0.00123456, "0.001235"),
        ("l1", 123456.0, "1.235e+05"),
        ("delta_l1", 0.5, "+0.5"),
        ("scale", 0.0078125, "0.007812"),
        ("elements", 1234567, "1234567"),
        ("l1", float("nan"), "–"),
        ("flops_share", 0.315185, "31.52%"),
        ("share", 0.00001, "<0.01%"),
        ("subgraph", pd.NA, "–"),
        ("reason", None, "–"),
        ("stale", True, "yes"),
        ("op", "Conv", "Conv"),
    ],
)
def test_figures_are_formatted_by_what_they_measure(column: str, value: object, text: str) -> None:
    assert format_cell(column, value) == text


def test_headers_say_before_and_difference() -> None:
    assert [header(c) for c in ("l1", "cosine_before", "delta_l1", "quant_class")] == [
        "L1",
        "cosine before",
        "Δ L1",
        "quant class",
    ]


def test_html_escapes_everything_and_heads_rows_and_columns() -> None:
    html = html_table(outputs().rename(columns={"l1": "<i>"}), caption="a < b")
    assert "<b>" not in html
    assert "<i>" not in html
    assert '<th scope="row">&lt;b&gt;&amp;</th>' in html
    assert "<caption>a &lt; b</caption>" in html
    assert '<th scope="col">output</th>' in html


def test_html_marks_what_got_better_and_worse() -> None:
    html = html_table(outputs(), caption="")
    assert '<td class="qwb-n qwb-better">+0.013123</td>' in html
    assert '<td class="qwb-n qwb-worse">+0.25</td>' in html
    assert '<td class="qwb-n qwb-better">-0.5</td>' in html
    assert '<span class="qwb-on qwb-cpu">CPU</span>' in html


def test_html_without_rows_says_so() -> None:
    assert "nothing to show" in html_table(outputs().iloc[:0], caption="")


def test_text_is_aligned_with_figures_to_the_right() -> None:
    lines = text_table(outputs()[["cosine", "l1", "on"]]).splitlines()
    assert lines == [
        "output    cosine         L1  on",
        "------  --------  ---------  ---",
        "logits  0.993123   0.001235  BPU",
        "<b>&    0.500000  1.235e+05  CPU",
    ]


def test_text_counts_wide_characters_and_drops_line_breaks() -> None:
    frame = pd.DataFrame({"op": ["卷积", "Conv\nx"], "n": [1, 22]})
    assert text_table(frame).splitlines() == ["op       n", "------  --", "卷积     1", "Conv x  22"]


def test_plain_counting_index_is_not_shown() -> None:
    assert 'scope="row"' not in html_table(pd.DataFrame({"op": ["Conv"]}), caption="")


def test_layer_table_with_missing_integers_is_shown() -> None:
    frame = pd.DataFrame({"subgraph": pd.array([0, None], dtype="Int64")}, index=["a", "b"])
    assert text_table(frame).splitlines()[2:] == ["a         0", "b         –"]


def test_figures_are_shown_as_the_frame_they_become() -> None:
    columns = {"on": ["BPU", "CPU"], "cosine": [0.5, math.nan], "delta_l1": [-0.25, 0.125]}
    figures = Figures("node", ("a<b", "c"), columns)
    assert html_table(figures, caption="x") == html_table(figures.frame(), caption="x")
    assert text_table(figures) == text_table(figures.frame())
    assert figures.frame().index.name == "node"
    none = Figures("node", (), {"op": [], "cosine": []})
    assert "nothing to show" in html_table(none, caption="x")
    assert len(none) == len(none.frame()) == 0


def test_a_first_run_has_no_columns_about_the_run_before() -> None:
    frame = outputs()[["cosine", "cosine_before", "delta_l1"]].assign(cosine_before=np.nan, delta_l1=np.nan)
    for shown in (html_table(frame, caption="outputs"), text_table(frame)):
        assert "before" not in shown
        assert "Δ" not in shown


def test_a_difference_that_rounds_to_nothing_is_neither_better_nor_worse() -> None:
    page = html_table(pd.DataFrame({"delta_cosine": [9e-12]}), caption="")
    assert "+0.000000" in page
    assert 'class="qwb-n"' in page.split("<tbody>")[1]
