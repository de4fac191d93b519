"""The quickstart as a user has it: run the lesson, click a node, change it, see picture and kernel change."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.models import SMALL


@pytest.fixture
def quickstart(lab, open_notebook):
    notebook = open_notebook(lab.address("00_quickstart.ipynb"))
    notebook.run_all(seconds=300)
    return notebook


def test_quickstart_runs_and_the_widget_edits_the_same_workbench(quickstart, page, shot):
    quickstart.show("%qwb workbench")
    widget = page.locator(".qwb-app").last
    expect(widget).to_be_visible(timeout=60_000)

    search = widget.get_by_label("Search nodes by name, op, place or dtype")
    search.fill("softmax")
    search.press("Enter")
    node = widget.locator("[data-node='softmax']")
    expect(node).to_have_attribute("data-on", "BPU")
    node.click()
    inspector = widget.get_by_role("complementary", name="Selected node")
    expect(inspector).to_contain_text("softmax")
    shot("quickstart_selected")

    journal = quickstart.run("print(len(get_ipython().run_line_magic('qwb', 'use').journal))")
    inspector.locator("label[data-value='cpu']").first.click()
    expect(node).to_have_attribute("data-on", "CPU", timeout=60_000)
    expect(widget.get_by_label("Model outputs")).to_contain_text("probability")
    state = quickstart.run(
        "wb = get_ipython().run_line_magic('qwb', 'use')\n"
        "print(len(wb.journal), wb.placement['softmax'].on, wb.config.on.get('softmax'), wb.stale)"
    )
    assert state.split() == [str(int(journal) + 1), "CPU", "cpu", "False"]
    shot("quickstart_toggled")

    quickstart.run("get_ipython().run_line_magic('qwb', 'undo')")
    expect(node).to_have_attribute("data-on", "BPU", timeout=60_000)


def test_keyboard_alone_reaches_a_node_and_follows_the_edges(lab, open_notebook, page, shot):
    notebook = open_notebook(lab.notebook("keys.ipynb", [SMALL, "wb"]))
    notebook.run_all()
    widget = page.locator(".qwb-app").last
    expect(widget).to_be_visible(timeout=60_000)
    widget.locator("[data-node][tabindex='0']").focus()  # where Tab lands in the graph
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(widget.get_by_role("complementary", name="Selected node")).to_contain_text("relu")
    page.keyboard.press("/")
    page.keyboard.type("softmax")
    page.keyboard.press("Enter")
    expect(widget.get_by_role("complementary", name="Selected node")).to_contain_text("softmax")
    assert notebook.run("print(len(get_ipython().user_ns['wb'].journal))").strip() == "0"


def test_a_wrong_scale_is_told_in_one_line_and_loses_nothing(lab, open_notebook, page):
    notebook = open_notebook(lab.notebook("errors.ipynb", [SMALL, "wb"]))
    notebook.run_all()
    widget = page.locator(".qwb-app").last
    expect(widget).to_be_visible(timeout=60_000)
    widget.locator("[data-node='softmax']").click()
    field = widget.get_by_label("Fixed scale of the output")
    expect(field).to_be_visible(timeout=30_000)
    field.fill("-1")
    field.press("Enter")
    assert "greater than 0" in field.evaluate("e => e.validationMessage")
    field.fill("0.5")
    field.press("Enter")
    expect(widget).to_contain_text("has nothing to act on", timeout=30_000)
    assert notebook.run("print(len(wb.journal), dict(wb.config.scales))").strip() == "0 {}"


def test_a_saved_notebook_shows_its_picture_without_a_kernel(lab, open_notebook, page, shot):
    notebook = open_notebook(lab.notebook("saved.ipynb", [SMALL, "%qwb graph"]))
    notebook.run_all()
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    page.goto("about:blank")
    open_notebook(lab.address("saved.ipynb"))
    output = page.locator(".jp-OutputArea-output").last
    expect(output.locator("[data-node='softmax'], svg, img").first).to_be_visible(timeout=30_000)
    shot("saved_notebook")


def test_progress_is_a_bar_that_leaves_nothing_behind(lab, open_notebook, page, shot):
    slow = (
        "from qworkbench.magics.progress import reporter\nimport time\n"
        "print('before')\n"
        "with reporter('working') as report:\n"
        "    time.sleep(3)\n"
        "    for done in range(1, 41):\n"
        "        time.sleep(0.15)\n"
        "        report('a <node>', done, 40)\n"
    )
    notebook = open_notebook(lab.notebook("bar.ipynb", [slow]))
    page.evaluate("() => void window.jupyterapp.commands.execute('notebook:run-all-cells')")
    outputs = page.locator(".jp-Cell-outputArea").last
    expect(outputs.locator("progress")).to_be_visible()
    expect(outputs).to_contain_text("working ...")  # nothing was reported yet
    expect(outputs).to_contain_text("of 40 a <node>")
    shot("progress")
    notebook.idle()
    expect(outputs.locator("progress")).to_have_count(0)
    expect(outputs).to_have_text("before")
    assert page.locator("[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
    parts = outputs.locator(".jp-OutputArea-child").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect().height)"
    )
    assert parts[-1] == 0
