"""The report: one page without network or script, every part from plain data, everything escaped."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pandas as pd

from qworkbench.view.model import build_view
from qworkbench.view.plots import distance_plot
from qworkbench.view.report import NodeReason, ReportData, report_html
from tests.view.fakes import small_cnn

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Outline(HTMLParser):
    """Checks nesting, collects what a test asks about."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.anchors: list[str] = []
        self.headings: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        self.ids += [given["id"]] if given.get("id") else []  # type: ignore[list-item]
        self.anchors += [given["href"]] if given.get("href") else []  # type: ignore[list-item]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def full(name: str = "softmax") -> ReportData:
    wb = small_cnn()
    outputs = pd.DataFrame(
        {"cosine": [0.9931], "l1": [0.02], "cosine_before": [0.98], "delta_cosine": [0.0131], "mse": [0.1]},
        index=pd.Index(["output"], name="output"),
    )
    view = build_view(wb)
    return ReportData(
        title=view["title"],
        sentence=view["sentence"],
        view=view,
        outputs=outputs,
        journal=[f"{name}: run_on_bpu", "unit conv after mix._generated_cat_0"],
        code="import qworkbench as q\nwb.edit(q.SetPlacement('softmax', 'bpu'))",
        costs=pd.DataFrame(
            {"kind": ["quantize", "cpu_op"], "source": [name, "a"], "target": ["b", "a"], "bytes": [3840, 99]}
        ),
        layers=wb.last_run.layers.assign(reason="long text"),
        reasons=[
            NodeReason(name, "Softmax", "CPU", "manual op", ("Softmax is manual",), ("set run_on_bpu",)),
            NodeReason("stem.conv", "Conv", "BPU", "active op"),
        ],
        assumptions=[("rounding", "half_even", "equals ONNX", "how accumulators are rounded")],
        environment={"qworkbench": "0.1", "python": "3.11"},
    )


def test_every_part_is_there_and_linked() -> None:
    html = report_html(full())
    page = Outline(html)
    assert page.headings == [
        "Outputs, before and after",
        "Journal",
        "The same as code",
        "Graph",
        "What the boundaries cost",
        "Why each node runs where it runs",
        "Layer by layer",
        "Assumptions",
        "Environment",
    ]
    assert page.anchors
    assert all(anchor.startswith("#") and anchor[1:] in page.ids for anchor in page.anchors)
    assert len(set(page.ids)) == len(page.ids)
    for text in ("set run_on_bpu", "half_even", "softmax: run_on_bpu", "0.993100", "+0.013100"):
        assert text in html


def test_before_stands_before_after() -> None:
    html = report_html(full())
    heads = re.findall(r"<th scope=\"col\"[^>]*>([^<]*)</th>", html.split('id="outputs"')[1])[:5]
    assert heads == ["output", "cosine before", "cosine", "Δ cosine", "L1"]


def test_page_needs_no_network_and_no_script() -> None:
    html = report_html(full())
    page = Outline(html)
    assert not {"script", "link", "img", "iframe", "image", "object"} & set(page.tags)
    assert "default-src 'none'" in html
    assert set(re.findall(r"https?://[^\"'\s<]+", html)) == {"http://www.w3.org/2000/svg"}
    assert "url(" not in html
    assert "@import" not in html


def test_light_dark_and_print_are_served() -> None:
    html = report_html(full())
    assert "prefers-color-scheme:dark" in html
    assert "@media print" in html
    assert html.count("<svg") == 3, "the graph in both themes, and a plot that follows the page"


def test_plots_draw_a_bar_per_figure_and_say_it_in_words() -> None:
    frame = pd.DataFrame({"on": ["BPU", "CPU", "BPU"], "cosine": [0.9999, 0.99, float("nan")]}, index=["a", "b", "c"])
    plot = distance_plot(frame)
    assert plot.count("<rect") == 2
    assert "1 - cosine of 2 nodes in execution order; the worst is b with 0.01" in plot
    assert distance_plot(frame.assign(cosine=float("nan"))) == ""
    assert "3.84 kB" in report_html(full())


def test_names_are_escaped() -> None:
    html = report_html(full(name="<script>alert(1)</script>\x00"))
    assert "<script" not in html
    assert "\x00" not in html
    Outline(html)


def test_empty_parts_are_left_out() -> None:
    page = Outline(report_html(ReportData("Model", "Model: 0 nodes")))
    assert page.headings == []
    assert page.anchors == []
