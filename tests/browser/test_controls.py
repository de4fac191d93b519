"""Every control of the widget in a real JupyterLab: what it does in the kernel, and that undo takes it back."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.models import LONG, SMALL

AXE = Path(__file__).parents[2] / "labextension" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture
def opened(lab, open_notebook, page):
    """Open a notebook of the small model; return (notebook, its widget)."""

    def open_(name, cell=SMALL, shown="wb"):
        notebook = open_notebook(lab.notebook(name, [cell, shown]))
        notebook.run_all()
        notebook.show(shown)
        widget = page.locator(".qwb-app").last
        expect(widget).to_be_visible(timeout=60_000)
        return notebook, widget

    return open_


def node(widget, name):
    return widget.locator(f".qwb-graph-pane [data-node='{name}']")


def done(widget):
    """Wait until the widget says that a run has ended."""
    expect(widget.locator(".qwb-status[data-state='done']")).to_be_visible(timeout=90_000)


def config(notebook):
    return notebook.run("print(sorted(wb.config.as_dict().items()))")


def press(where, name):
    where.get_by_role("button", name=name, exact=True).click()


EDITS = {
    "placement": ("conv", lambda w: w.locator(".qwb-inspector label[data-value='cpu']").click()),
    "unit conv before": ("relu", lambda w: press(w, "Before")),
    "unit conv after": ("relu", lambda w: press(w, "After")),
    "fixed scale": ("conv", lambda w: (w.get_by_label("Fixed scale of the output").fill("0.03"), press(w, "Fix"))),
    "dtype": ("conv", lambda w: w.get_by_label("dtype of the output").select_option("int16")),
    "calibration of a node": ("conv", lambda w: w.get_by_label("Calibration method of this node").select_option("mse")),
    "march": ("", lambda w: w.get_by_label("March").select_option("bayes")),
    "calibration": ("", lambda w: w.get_by_label("Calibration", exact=True).select_option("max-percentile")),
    "per channel": ("", lambda w: w.get_by_label("per channel", exact=True).click()),
    "arithmetic": (
        "",
        lambda w: (
            w.get_by_text("Assumptions of the arithmetic").click(),
            w.get_by_label("scale = threshold /").select_option("128"),
        ),
    ),
}


def test_each_control_is_one_edit_and_undo_takes_it_back(opened, page):
    notebook, widget = opened("controls.ipynb")
    loaded = config(notebook)
    for name, (target, change) in EDITS.items():
        if target:
            node(widget, target).click()
            expect(widget.get_by_role("complementary", name="Selected node").locator("h3")).to_have_text(target)
        else:
            node(widget, "conv").focus()
            page.keyboard.press("Escape")
            expect(widget.get_by_text("Click a node")).to_be_visible()
        change(widget)
        expect(widget.get_by_title("Undo the last edit (Ctrl+Z)")).to_be_enabled(timeout=60_000)
        done(widget)
        assert config(notebook) != loaded, name
        assert notebook.run("print(len(wb.journal))").strip() == "1", name
        widget.get_by_title("Undo the last edit (Ctrl+Z)").click()
        expect(widget.get_by_title("Undo the last edit (Ctrl+Z)")).to_be_disabled(timeout=60_000)
        done(widget)
        assert config(notebook) == loaded, name


def test_two_nodes_change_together_and_compare_shows_both_states(opened, page, shot):
    notebook, widget = opened("several.ipynb")
    node(widget, "conv").click()
    node(widget, "head.0").click(modifiers=["Shift"])
    panel = widget.get_by_role("complementary", name="Selected node")
    expect(panel.locator("h3")).to_have_text("2 nodes", timeout=30_000)
    panel.get_by_label("dtype of the output").select_option("int16")
    done(widget)
    assert notebook.run("print(len(wb.journal), sorted(wb.config.dtypes))").strip() == "1 ['conv', 'head.0']"
    widget.get_by_label("Compare with").select_option("0")
    former = widget.get_by_role("region", name="Former state")
    expect(former.locator("[data-node='conv'].qwb-differs")).to_be_visible(timeout=30_000)
    expect(widget.locator(".qwb-graph-pane [data-node='conv'].qwb-differs")).to_be_visible()
    shot("compare")
    widget.get_by_role("button", name="as loaded", exact=True).click()
    expect(widget.get_by_title("Undo the last edit (Ctrl+Z)")).to_be_disabled(timeout=60_000)
    assert notebook.run("print(len(wb.journal))").strip() == "0"


def test_colours_sensitivity_and_the_table_follow(opened, page, shot):
    _, widget = opened("colours.ipynb")
    widget.get_by_role("button", name="Sensitivity", exact=True).click()
    done(widget)
    for value in ("class", "dtype", "subgraph", "cosine", "l1", "sensitivity", "cost", "placement"):
        widget.get_by_label("Colour by").select_option(value)
        expect(widget.get_by_label("Colour by")).to_have_value(value)
        legend = widget.get_by_role("note", name="Legend")
        if value == "placement":
            expect(legend.locator(".qwb-heat")).to_have_count(0)
        else:
            expect(legend.locator(".qwb-heat")).to_be_visible()
    widget.locator("label:has(input[value='table'])").click()
    widget.locator(".qwb-stage th[data-column='sensitivity'] button").click()
    widget.locator(".qwb-stage tr[data-row='conv'] button").click()
    widget.get_by_role("tab", name="Node", exact=True).click()
    expect(widget.get_by_role("complementary", name="Selected node").locator("h3")).to_have_text("conv")
    expect(widget.locator("th[data-column='sensitivity']")).to_have_attribute("aria-sort", "ascending")
    shot("table")


def test_keyboard_alone_edits_and_undoes(opened, page):
    notebook, widget = opened("keyboard.ipynb")
    widget.locator("[data-node][tabindex='0']").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(widget.get_by_role("complementary", name="Selected node").locator("h3")).to_have_text("conv")
    expect(widget.locator(".qwb-inspector input[value='auto']")).to_be_visible(timeout=30_000)
    widget.locator(".qwb-inspector input[value='auto']").focus()
    page.keyboard.press("ArrowLeft")
    expect(node(widget, "conv")).to_have_attribute("data-on", "CPU", timeout=60_000)
    done(widget)
    node(widget, "conv").focus()
    page.keyboard.press("Control+z")
    expect(node(widget, "conv")).to_have_attribute("data-on", "BPU", timeout=60_000)
    assert notebook.run("print(len(wb.journal))").strip() == "0"
    for name in ("Run", "Sensitivity"):
        widget.get_by_role("button", name=name, exact=True).focus()
        page.keyboard.press("d")
        page.keyboard.press("d")
    assert page.locator(".jp-Cell").count() == 2, "no key may reach the commands of the notebook"


def test_a_run_streams_its_nodes_and_stops_in_the_middle(opened, page):
    notebook, widget = opened("cancel.ipynb", LONG)
    widget.get_by_role("button", name="Run", exact=True).click()
    expect(widget.locator(".qwb-running")).to_be_visible(timeout=60_000)
    widget.get_by_role("button", name="Cancel", exact=True).click()
    expect(widget.locator(".qwb-status[data-state='cancelled']")).to_be_visible(timeout=60_000)
    assert notebook.run("print(wb.last_run)").strip() == "None"
    widget.get_by_role("button", name="Run", exact=True).click()
    done(widget)
    assert notebook.run("print(wb.stale)").strip() == "False"


def test_two_views_of_one_workbench_show_the_same(lab, open_notebook, page):
    notebook = open_notebook(lab.notebook("views.ipynb", [SMALL, "wb", "wb  # again"]))
    notebook.run_all()
    first, second = page.locator(".qwb-app").nth(0), page.locator(".qwb-app").nth(1)
    notebook.show("wb")
    node(first, "conv").click()
    first.locator(".qwb-inspector label[data-value='cpu']").click()
    expect(node(first, "conv")).to_have_attribute("data-on", "CPU", timeout=60_000)
    notebook.show("wb  # again")
    expect(node(second, "conv")).to_have_attribute("data-on", "CPU", timeout=30_000)
    expect(second.locator(".qwb-inspector h3")).to_have_text("conv")
    second.get_by_title("Undo the last edit (Ctrl+Z)").click()
    expect(node(second, "conv")).to_have_attribute("data-on", "BPU", timeout=60_000)
    listeners = notebook.run("print(len(wb._listeners))")
    notebook.run_all()
    expect(page.locator(".qwb-app").nth(1)).to_be_visible(timeout=60_000)
    assert listeners.strip() == "1"


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_axe_finds_nothing_serious(opened, page, shot, theme):
    if not AXE.exists():
        pytest.skip("axe-core is not installed: jlpm install in labextension/")
    _, widget = opened("axe.ipynb")
    page.evaluate("name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})", theme)
    expect(widget).to_have_attribute("data-theme", theme.split()[1].lower(), timeout=30_000)
    node(widget, "conv").click()
    widget.get_by_role("button", name="Run", exact=True).click()
    done(widget)
    page.evaluate(AXE.read_text(encoding="utf-8"))
    for pane in ("graph", "table"):
        widget.locator(f"label:has(input[value='{pane}'])").last.click()
        found = page.evaluate("() => axe.run('.qwb-app', {resultTypes: ['violations']}).then(r => r.violations)")
        serious = [
            (rule["id"], rule["impact"], [each["html"][:160] for each in rule["nodes"][:3]])
            for rule in found
            if rule["impact"] in ("serious", "critical")
        ]
        assert serious == [], (theme, pane)
    shot(f"axe_{theme.split()[1].lower()}")


DEEP = """
import torch
from torch import nn
import qworkbench as q
%load_ext qworkbench

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.act, self.again, self.more = nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.Sigmoid()

    def forward(self, x):
        return self.more(self.again(self.act(self.conv(x))))

torch.manual_seed(0)
model = nn.Sequential(*(Block() for _ in range(40))).eval()
wb = q.Workbench(model, torch.rand(1, 4, 4, 4), calibration=torch.rand(4, 4, 4, 4))
get_ipython().user_ns["wb"] = wb
run = %qwb use wb
"""


def test_who_searches_in_a_deep_network_sees_what_is_found_and_a_comparison_stays_there(opened, page, shot):
    _, widget = opened("deep.ipynb", DEEP)
    canvas = widget.locator(".qwb-graph-pane .qwb-svg")
    widget.get_by_title("Show all (0)").click()
    expect(canvas).to_have_attribute("data-detail", "shapes")
    search = widget.get_by_label("Search nodes by name, op, place or dtype")
    search.fill("30.again")
    search.press("Enter")
    expect(canvas).to_have_attribute("data-detail", "full")
    expect(node(widget, "30.again")).to_be_in_viewport()
    shot("deep_found")
    widget.get_by_role("complementary", name="Selected node").locator("label[data-value='cpu']").click()
    done(widget)
    widget.get_by_label("Compare with").select_option("0")
    former = widget.get_by_role("region", name="Former state")
    expect(former.locator("[data-node='30.again']")).to_be_in_viewport()
    expect(node(widget, "30.again")).to_be_in_viewport()
    shot("deep_compared")


def test_a_double_click_opens_a_module_and_folds_its_frame(opened, page):
    _, widget = opened("fold.ipynb", DEEP, shown="wb.display = {'collapsed': ['0', '1']}\nwb")
    panel = widget.get_by_role("complementary", name="Selected node")
    node(widget, "0").dblclick()
    expect(node(widget, "0.conv")).to_be_visible()
    expect(panel).to_contain_text("Click a node")
    inside = node(widget, "0.again").locator("path").first.bounding_box()
    frame = widget.locator(".qwb-graph-pane [data-module='0'] path").bounding_box()
    page.mouse.dblclick(frame["x"] + 5, inside["y"] + inside["height"] / 2)
    expect(node(widget, "0.conv")).to_have_count(0)
    expect(node(widget, "0")).to_be_visible()


def test_all_modules_fold_and_open_with_one_press(opened, page, shot):
    _, widget = opened("overview.ipynb", DEEP)
    widget.get_by_role("button", name="Fold the modules (m)").click()
    expect(node(widget, "0")).to_be_visible()
    expect(node(widget, "0.conv")).to_have_count(0)
    shot("overview")
    widget.get_by_role("button", name="Open all modules (m)").click()
    expect(node(widget, "0.conv")).to_be_visible()
    expect(node(widget, "0")).to_have_count(0)
    node(widget, "0.conv").click()
    page.keyboard.press("m")
    expect(node(widget, "0")).to_be_visible()


def test_the_selected_node_stays_in_sight_when_the_notebook_gets_narrow(opened, page, lab):
    _, widget = opened("narrow.ipynb", DEEP)
    search = widget.get_by_label("Search nodes by name, op, place or dtype")
    search.fill("30.again")
    search.press("Enter")
    expect(node(widget, "30.again")).to_be_in_viewport()
    page.set_viewport_size({"width": 900, "height": 800})
    box, pane = node(widget, "30.again"), widget.locator(".qwb-graph-pane .qwb-svg")
    page.wait_for_timeout(500)
    inner, outer = box.bounding_box(), pane.bounding_box()
    for corner, size in (("x", "width"), ("y", "height")):
        assert outer[corner] <= inner[corner]
        assert inner[corner] + inner[size] <= outer[corner] + outer[size]
