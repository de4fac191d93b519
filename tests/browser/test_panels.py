"""The tabs of the panel in a real JupyterLab, one path each as a user goes it: measure, look, apply, take back."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.models import SMALL
from tests.browser.test_controls import AXE

COLOURED = (
    SMALL.replace("nn.Conv2d(1, 8", "nn.Conv2d(3, 8")
    .replace("rand(1, 1,", "rand(1, 3,")
    .replace("rand(8, 1,", "rand(8, 3,")
)


@pytest.fixture
def opened(lab, open_notebook, page):
    """Return a function that opens a workbench in a fresh notebook."""

    def open_(name: str):
        page.set_viewport_size({"width": 1440, "height": 1000})
        notebook = open_notebook(lab.notebook(name, [COLOURED, "wb"]))
        notebook.run_all()
        notebook.show("wb")
        widget = page.locator(".qwb-app").last
        expect(widget).to_be_visible(timeout=60_000)
        return notebook, widget

    return open_


def tab(widget, name):
    widget.get_by_role("tab", name=name, exact=True).click()


def pane(widget):
    return widget.locator("[role='tabpanel']:visible")


def press(widget, name, exact=True):
    pane(widget).get_by_role("button", name=name, exact=exact).first.click()


def test_a_search_shows_its_candidates_and_another_one_is_applied_and_undone(opened, shot):
    notebook, widget = opened("search.ipynb")
    tab(widget, "Calibrate")
    press(widget, "Default search")
    rows = pane(widget).locator(".qwb-candidates tbody tr")
    expect(rows.locator(".qwb-winner")).to_have_count(1, timeout=120_000)
    expect(rows.locator("text=in force")).to_have_count(1)
    shot("panel_calibrate")
    first = notebook.run("print(wb.config.calibration.describe())").strip()
    rows.get_by_role("button", name="Apply").first.click()
    applied = rows.filter(has_text="in force")
    expect(applied).not_to_have_attribute("data-row", first, timeout=60_000)
    assert notebook.run("print(wb.config.calibration.describe(), len(wb.journal))").split() == [
        *applied.get_attribute("data-row").split(),
        "2",
    ]
    widget.get_by_title("Undo the last edit (Ctrl+Z)").click()
    expect(rows.filter(has_text="in force")).to_have_attribute("data-row", first, timeout=60_000)


def test_an_image_input_is_declared_as_nv12_and_a_wrong_mean_is_refused_in_the_form(opened, shot):
    notebook, widget = opened("declare.ipynb")
    tab(widget, "Calibrate")
    press(widget, "Declare")
    form = pane(widget)
    form.get_by_label("at runtime").select_option("nv12")
    form.get_by_label("mean").fill("123.7 116.3")
    expect(form.locator(".qwb-refusal")).to_contain_text("1 number or 3")
    form.get_by_label("mean").fill("123.7 116.3 103.5")
    expect(form.locator(".qwb-refusal")).to_be_hidden()
    press(widget, "Declare")
    expect(form).to_contain_text("Declared: nv12 at runtime, trained on rgb.", timeout=60_000)
    shot("panel_input")
    declared = notebook.run("d = wb.config.inputs['x']; print(d.rt, d.train, d.mean, len(wb.journal))")
    assert declared.strip() == "nv12 rgb (123.7, 116.3, 103.5) 1"
    form.get_by_label("layout").select_option("NHWC")
    press(widget, "Declare")
    expect(form.locator(".qwb-refusal")).to_contain_text("check the type and the layout", timeout=60_000)


def test_sensitivity_goes_to_its_node_and_is_old_after_an_edit(opened, page, shot):
    notebook, widget = opened("sensitivity.ipynb")
    widget.get_by_role("button", name="Sensitivity", exact=True).click()
    rows = pane(widget).locator("tr[data-row]")
    expect(rows.first).to_be_visible(timeout=120_000)
    widget.get_by_label("Colour by").select_option("sensitivity")
    rows.filter(has_text="head.0").first.get_by_role("button").click()
    expect(widget.locator("[data-node='head.0']")).to_have_attribute("aria-current", "true")
    score = widget.locator("[data-node='conv'] .qwb-score")
    expect(score).not_to_contain_text("(")
    tab(widget, "Node")
    pane(widget).locator("label[data-value='cpu']").click()
    expect(score).to_contain_text("(", timeout=60_000)
    expect(widget.locator(".qwb-legend")).to_contain_text("from before the newest edits")
    tab(widget, "Sensitivity")
    note = pane(widget).get_by_text("Measured before the newest edits.")
    expect(note).to_be_visible()
    shot("panel_sensitivity_stale")
    press(widget, "Measure again")
    expect(note).to_be_hidden(timeout=120_000)
    expect(score).not_to_contain_text("(")
    assert notebook.run("print(wb.holds('sensitivity'), len(wb.journal))").split() == ["True", "1"]


def test_mixed_precision_is_applied_in_one_step_and_undone(opened, shot):
    notebook, widget = opened("mixed.ipynb")
    # a goal between what int8 and what all the int16 there is reach
    goal = notebook.run(
        "tried = q.Workbench(model, x, calibration=images).mixed_precision(budget=10.0).trials['COSINE']\n"
        "again = q.Workbench(model, x, calibration=images).run().table['cosine'].min()\n"
        "print(float(again + 0.5 * (tried.max() - again)))"
    ).strip()
    tab(widget, "Mixed")
    pane(widget).get_by_label("target").first.fill(goal)
    press(widget, "Search")
    apply = pane(widget).locator("button", has_text="as one step").first
    expect(apply).to_be_visible(timeout=120_000)
    expect(pane(widget).locator(".qwb-chart-svg circle").first).to_be_attached()
    shot("panel_mixed")
    apply.click()
    expect(pane(widget)).to_contain_text("Applied: the model is as this result proposes.", timeout=60_000)
    assert int(notebook.run("print(len(wb.journal))")) == 1
    assert "int16" in notebook.run("print(wb.journal[0])")
    widget.get_by_title("Undo the last edit (Ctrl+Z)").click()
    expect(apply).to_be_visible(timeout=60_000)
    assert notebook.run("print(dict(wb.config.dtypes))").strip() == "{}"


def test_layers_region_and_cases_are_reached_by_keys_and_lead_to_nodes(opened, page, shot):
    _, widget = opened("layers.ipynb")
    widget.get_by_role("tab", name="Node", exact=True).focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    expect(widget.get_by_role("tab", name="Layers", exact=True)).to_be_focused()
    press(widget, "Compare layers")
    chart = pane(widget).locator(".qwb-chart-svg")
    expect(chart.locator("circle").first).to_be_attached(timeout=120_000)
    chart.focus()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(widget.locator("[data-node='softmax']")).to_have_attribute("aria-current", "true")
    shot("panel_layers")
    tab(widget, "Region")
    press(widget, "Find region")
    expect(pane(widget).get_by_text("of the loss")).to_be_visible(timeout=120_000)
    expect(widget.locator(".qwb-region").first).to_be_attached()
    tab(widget, "Cases")
    pane(widget).get_by_label("samples").fill("imags")
    press(widget, "Find bad cases")
    expect(widget.locator(".qwb-error")).to_contain_text("did you mean 'images'", timeout=30_000)
    pane(widget).get_by_label("samples").fill("images")
    press(widget, "Find bad cases")
    expect(pane(widget)).to_contain_text("8 samples compared", timeout=120_000)
    press(widget, "Layers on it")
    expect(widget.get_by_role("tab", name="Layers", exact=True)).to_have_attribute("aria-selected", "true")


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_axe_finds_nothing_serious_in_any_tab(opened, page, shot, theme):
    if not AXE.exists():
        pytest.skip("axe-core is not installed: jlpm install in labextension/")
    notebook, widget = opened("axe_tabs.ipynb")
    page.evaluate("name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})", theme)
    expect(widget).to_have_attribute("data-theme", theme.split()[1].lower(), timeout=30_000)
    notebook.run(
        "wb.calibrate(method='default'); wb.compare_layers(images); wb.mixed_precision(budget=10.0, inputs=images)\n"
        "wb.bad_cases(images); wb.bisect(images); wb.range_proposals(); found = wb.edit(q.SetPlacement('conv', 'cpu'))",
        seconds=180,
    )
    page.evaluate(AXE.read_text(encoding="utf-8"))
    for name in ("Calibrate", "Sensitivity", "Mixed", "Layers", "Region", "Cases"):
        tab(widget, name)
        expect(pane(widget).locator(".qwb-verdict, tr[data-row]").first).to_be_visible()
        found = page.evaluate("() => axe.run('.qwb-app', {resultTypes: ['violations']}).then(r => r.violations)")
        serious = [
            (rule["id"], [each["html"][:160] for each in rule["nodes"][:3]])
            for rule in found
            if rule["impact"] in ("serious", "critical")
        ]
        assert serious == [], (theme, name)


def test_five_thousand_rows_scroll_with_some_dozens_in_the_page(opened, page, shot):
    notebook, widget = opened("rows.ipynb")
    notebook.run(
        "from qworkbench.widgets import widget_of\n"
        "w = widget_of(wb)\n"
        "w.table = [{**w.table[0], 'id': f'node{i}', 'cosine': i / 5000} for i in range(5000)]"
    )
    widget.locator("label:has(input[value='table'])").click()
    expect(widget.locator("tr[data-row='node0']")).to_be_visible(timeout=60_000)
    report = page.evaluate("""async () => {
        const app = [...document.querySelectorAll('.qwb-app')].at(-1);
        const scroller = app.querySelector('.qwb-stage .qwb-table-scroll');
        const box = scroller.getBoundingClientRect();
        let most = 0, blank = 0;
        for (let step = 0; step <= 60; step++) {
            scroller.scrollTop = (scroller.scrollHeight - scroller.clientHeight) * step / 60;
            await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
            most = Math.max(most, scroller.querySelectorAll('tr[data-row]').length);
            const middle = document.elementFromPoint(box.left + 40, box.top + box.height / 2);
            blank += middle?.closest('tr[data-row]') ? 0 : 1;
        }
        return { most, blank, tall: scroller.scrollHeight };
    }""")
    assert report["most"] < 80, "only the rows in sight are in the page"
    assert report["blank"] == 0, "wherever it is scrolled to there is a row"
    assert report["tall"] > 5000 * 25
    expect(widget.locator("tr[data-row='node4999']")).to_be_visible()
    widget.locator("tr[data-row='node4999'] button").focus()
    for key in ("PageUp", "ArrowUp"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    expect(widget.locator("tr[data-row='node4986']")).to_have_attribute("aria-current", "true")
    shot("table_5000")
