"""The built widget in a real browser, with a model that has no kernel: sizes, pointer, keys, both themes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "qworkbench" / "static"
VIEW = json.loads((ROOT / "tests" / "fixtures" / "view.json").read_text(encoding="utf-8"))
PAGE = """<!doctype html><link rel=stylesheet href="/widget.css">
<body data-jp-theme-light="%(light)s"><div id=root style="width: %(width)dpx"></div>
<script type=module>
import widget from '/widget.js';
const traits = %(traits)s;
const listeners = {};
window.sent = [];
window.model = {
  get: key => traits[key],
  set(key, value) { traits[key] = value; (listeners['change:' + key] || []).forEach(f => f()); },
  save_changes() {},
  send: message => window.sent.push(message),
  on: (name, f) => (listeners[name] ??= []).push(f),
  off: (name, f) => (listeners[name] = (listeners[name] || []).filter(g => g !== f)),
};
widget.render({ model: window.model, el: document.getElementById('root') });
window.ready = true;
</script>"""


def serve(body, kind):
    return lambda route: route.fulfill(body=body, content_type=kind)


@pytest.fixture
def show(browser):
    """Open the widget; fails on any error in the page."""
    pages, errors = [], []

    def open_page(light=True, width=1100, **traits):
        state = {
            "view": VIEW,
            "selected": "",
            "panel": {},
            "outputs": [],
            "history": [],
            "table": [],
            "status": {"state": "idle", "text": "", "done": 0, "total": 0},
            "flags": {"can_undo": False, "can_redo": False, "stale": False, "march": "bayes-e"},
            "error": "",
            **traits,
        }
        html = PAGE % {"light": str(light).lower(), "width": width, "traits": json.dumps(state)}
        page = browser.new_page(viewport={"width": width + 40, "height": 900})
        pages.append(page)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.set_default_timeout(15_000)
        page.route("http://test/", serve(html, "text/html"))
        for name, kind in (("widget.js", "text/javascript"), ("widget.css", "text/css")):
            page.route(f"http://test/{name}", serve((STATIC / name).read_text(encoding="utf-8"), kind))
        page.route("http://test/favicon.ico", lambda route: route.fulfill(status=204))
        page.goto("http://test/")
        page.wait_for_function("() => window.ready && document.querySelector('[data-sized]')")
        page.wait_for_timeout(100)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert errors == []


def scale_of(page):
    transform = page.locator(".qwb-svg:visible .qwb-layer").get_attribute("transform")
    return float(transform.rsplit("scale(", 1)[1].rstrip(")"))


@pytest.mark.browser
def test_it_opens_at_the_input_at_natural_size(show):
    page = show()
    pane = page.locator(".qwb-svg:visible").bounding_box()
    first = page.locator("[data-node='input:image']").bounding_box()
    assert pane["y"] <= first["y"] < pane["y"] + 80
    assert scale_of(page) == 1
    assert page.locator(".qwb-minimap:visible").count() == 1


@pytest.mark.browser
def test_the_text_of_every_box_stays_inside_its_box(show):
    page = show()
    page.keyboard.press("Tab")
    overflow = page.evaluate(
        """() => [...document.querySelectorAll('.qwb-nodes [data-node]')].filter(group => {
          const box = group.querySelector('.qwb-box').getBBox();
          return [...group.querySelectorAll('.qwb-label, .qwb-detail')].some(text => {
            const area = text.getBBox();
            return area.x < box.x || area.x + area.width > box.x + box.width;
          });
        }).map(group => group.dataset.node)"""
    )
    assert overflow == []


@pytest.mark.browser
def test_click_drag_wheel_and_keys(show):
    page = show()
    page.locator("[data-node='stem.conv']").click()
    assert page.evaluate("window.model.get('selected')") == "stem.conv"

    before = page.locator("[data-node='pool']").bounding_box()
    page.mouse.move(120, 300)
    page.mouse.down()
    page.mouse.move(160, 260, steps=4)
    page.mouse.up()
    page.wait_for_timeout(100)
    after = page.locator("[data-node='pool']").bounding_box()
    assert after["x"] - before["x"] == pytest.approx(40, abs=5)
    assert page.evaluate("window.model.get('selected')") == "stem.conv", "the end of a drag selects nothing"

    page.mouse.wheel(0, -240)
    page.wait_for_timeout(100)
    assert scale_of(page) > 1, "the graph has the focus, so the wheel zooms"

    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.evaluate("window.model.get('selected')") == "stem.relu"
    page.keyboard.press("0")
    page.wait_for_timeout(100)
    assert scale_of(page) < 1
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.type") == "search"
    page.keyboard.type("softmax")
    page.keyboard.press("Enter")
    assert page.evaluate("window.model.get('selected')") == "softmax"


@pytest.mark.browser
def test_without_the_focus_the_wheel_scrolls_the_page(show):
    page = show()
    page.evaluate("document.body.style.height = '3000px'")
    page.mouse.move(300, 300)
    page.mouse.wheel(0, 200)
    page.wait_for_function("() => window.scrollY > 0")
    assert scale_of(page) == 1


@pytest.mark.browser
@pytest.mark.parametrize("light", [True, False])
def test_text_is_readable_in_both_themes(show, light):
    page = show(light=light)
    contrast = page.evaluate(
        """() => {
          const parse = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
          const shine = colour => {
            const [r, g, b] = parse(colour).map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          return [...document.querySelectorAll('.qwb-nodes [data-node]')].map(group => {
            const ink = shine(getComputedStyle(group.querySelector('.qwb-label')).fill);
            const paper = shine(getComputedStyle(group.querySelector('.qwb-box')).fill);
            return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
          });
        }"""
    )
    assert len(contrast) > 5
    assert min(contrast) >= 4.5


@pytest.mark.browser
def test_a_narrow_cell_puts_the_panel_below_the_graph(show):
    page = show(width=600)
    graph, panel = page.locator(".qwb-stage").bounding_box(), page.locator(".qwb-side").bounding_box()
    assert panel["y"] >= graph["y"] + graph["height"] - 1
    wide = page.evaluate("document.querySelector('.qwb-app').scrollWidth")
    assert wide <= 600


@pytest.mark.browser
def test_of_two_thousand_nodes_only_those_in_sight_are_drawn(show):
    base = next(node for node in VIEW["nodes"] if node["id"] == "pool")
    nodes = [{**base, "id": f"n{i}", "label": f"n{i}", "x": 200, "y": 40 + 70 * i} for i in range(2000)]
    edges = [
        {
            "source": f"n{i}",
            "target": f"n{i + 1}",
            "value": f"n{i}",
            "points": [[200, 63 + 70 * i], [200, 87 + 70 * i]],
            "boundary": None,
            "elements": 1,
        }
        for i in range(1999)
    ]
    view = {**VIEW, "nodes": nodes, "edges": edges, "frames": [], "width": 400, "height": 140080}
    page = show(view=view)
    drawn = page.locator(".qwb-svg:visible [data-node]")
    assert 0 < drawn.count() < 100
    for _ in range(5):
        page.mouse.move(60, 450)
        page.mouse.down()
        page.mouse.move(60, 100, steps=4)
        page.mouse.up()
    page.locator("[data-node='n27']").wait_for()
    page.locator("[data-node='n3']").wait_for(state="detached")
    assert 0 < drawn.count() < 100
