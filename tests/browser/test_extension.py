"""What JupyterLab and Notebook 7 add: outputs that survive, the side bar, commands, settings, saved files."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from tests.browser.models import SMALL


def open_workbench(server, open_notebook, page, name):
    notebook = open_notebook(server.notebook(name, [SMALL, "wb"]))
    notebook.run_all()
    notebook.show("wb")
    widget = page.locator(".jp-Notebook .qwb-app").last
    expect(widget).to_be_visible(timeout=60_000)
    return notebook, widget


def test_after_a_kernel_restart_the_page_says_so_and_the_cell_brings_it_back(lab, open_notebook, page, shot):
    notebook, widget = open_workbench(lab, open_notebook, page, "restart.ipynb")
    notebook.restart()
    expect(widget.locator(".qwb-lost")).to_be_visible(timeout=60_000)
    shot("restart")
    notebook.run_all()
    notebook.show("wb")
    live = page.locator(".jp-Notebook .qwb-app").last
    expect(live.locator(".qwb-lost")).to_be_hidden(timeout=60_000)
    live.locator("[data-node='conv']").click()
    expect(live.locator(".qwb-inspector h3")).to_have_text("conv", timeout=30_000)


@pytest.mark.parametrize("trusted", [True, False])
def test_a_reopened_notebook_shows_the_stored_graph(lab, open_notebook, page, trusted, shot):
    name = f"reopened_{trusted}.ipynb"
    notebook, _ = open_workbench(lab, open_notebook, page, name)
    notebook.save()
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    if not trusted:
        path = lab.root / name
        book = json.loads(path.read_text())
        book["cells"][0]["source"] += "\n# changed outside of Jupyter"
        path.write_text(json.dumps(book))
    page.goto("about:blank")
    reopened = open_notebook(lab.address(name), kernel=False)
    reopened.show("wb")
    stored = page.locator(".qwb-stored").last
    expect(stored.locator("[data-node='conv']")).to_be_visible(timeout=60_000)
    assert "model not found" not in page.locator(".jp-Notebook").inner_text()
    stored.locator("[data-node='conv']").click()
    expect(stored.get_by_role("status")).to_contain_text("conv, Conv")
    shot(f"reopened_{'trusted' if trusted else 'untrusted'}")


def test_the_side_bar_is_a_second_view_of_the_notebooks_workbench(lab, open_notebook, page, shot):
    notebook, widget = open_workbench(lab, open_notebook, page, "sidebar.ipynb")
    page.locator(".jp-Toolbar [data-command='qworkbench:show-sidebar']").first.click()
    side = page.locator("#qworkbench-sidebar .qwb-app")
    expect(side).to_be_visible(timeout=60_000)
    widget.locator("[data-node='conv']").click()
    expect(side.locator(".qwb-inspector h3")).to_have_text("conv", timeout=30_000)
    notebook.command("qworkbench:run")
    expect(side.locator(".qwb-status[data-state='done']")).to_be_visible(timeout=90_000)
    shot("sidebar")


def test_without_a_workbench_the_side_bar_says_what_to_type_and_inserts_it(lab, open_notebook, page):
    notebook = open_notebook(lab.notebook("empty.ipynb", ["1 + 1"]))
    notebook.command("qworkbench:show-sidebar")
    hint = page.locator(".qwb-sidebar-hint")
    expect(hint).to_contain_text("%qwb workbench", timeout=30_000)
    hint.get_by_role("button", name="Insert a workbench cell").click()
    sources = page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.content.widgets.map(c => c.model.sharedModel.getSource())"
    )
    assert "%qwb load model --example x --calibration images --march bayes-e" in sources[1]


def test_palette_menu_launcher_and_settings_are_there(lab, open_notebook, page):
    notebook, _ = open_workbench(lab, open_notebook, page, "commands.ipynb")
    page.get_by_role("menuitem", name="qworkbench").first.click()
    menu = page.locator(".lm-Menu-content")
    for label in ("Run the integer model", "Cancel the run", "Undo the last edit", "qworkbench Tutorial"):
        expect(menu.get_by_text(label)).to_be_visible()
    page.keyboard.press("Escape")
    shared = json.loads(page.evaluate("() => document.body.dataset.qwbSettings"))
    assert shared == {"colouring": "placement", "autoRun": True}
    notebook.command("qworkbench:open-tutorial")
    page.wait_for_function("() => /quickstart/.test(window.jupyterapp.shell.currentWidget?.title.label ?? '')")
    notebook.command("launcher:create")
    expect(page.locator(".jp-LauncherCard", has_text="qworkbench Tutorial")).to_be_visible(timeout=30_000)


def test_a_saved_workbench_opens_as_a_document(lab, open_notebook, page, shot):
    notebook, _ = open_workbench(lab, open_notebook, page, "document.ipynb")
    notebook.run("wb.edit(q.SetPlacement('conv', 'cpu')); wb.save('state.qwb.json')")
    notebook.command("docmanager:open", path="state.qwb.json")
    document = page.locator(".qwb-file-panel")
    expect(document.locator("[data-node='conv']")).to_be_visible(timeout=60_000)
    expect(document).to_contain_text("SetPlacement")
    shot("document")


def test_notebook_7_shows_the_live_workbench(classic, open_notebook, page, shot):
    notebook, widget = open_workbench(classic, open_notebook, page, "classic.ipynb")
    widget.locator("[data-node='conv']").click()
    widget.locator(".qwb-inspector label[data-value='cpu']").click()
    expect(widget.locator("[data-node='conv']")).to_have_attribute("data-on", "CPU", timeout=60_000)
    assert notebook.run("print(wb.placement['conv'].on)").strip() == "CPU"
    notebook.command("qworkbench:show-sidebar")
    expect(page.locator("#qworkbench-sidebar .qwb-app")).to_be_visible(timeout=60_000)
    shot("notebook7")
    notebook.save()
    page.goto("about:blank")
    open_notebook(classic.address("classic.ipynb"))
    expect(page.locator(".jp-Notebook .qwb-app, .jp-Notebook .qwb-stored").last).to_be_visible(timeout=60_000)
