"""From ``%qwb workbench`` to the first paint, and the time of a frame while panning, beside netron on the same graph.

    python benchmarks/ui.py [--short]

The widget is the built bundle in headless Chromium, with the traits that the kernel would send; netron (where it is
installed) serves the same network as an ONNX file. Rounds are interleaved and medians are printed. First paint counts
from the navigation to the first drawn node; a frame is the distance of two animation frames while the pointer drags.
Software rendering makes all times larger than on a desktop; the ratio is what compares. Skips what is not installed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path

import torch
from torch import nn

import qworkbench as q
from qworkbench.view.plain import plain
from qworkbench.widgets.bundle import STATIC

try:
    import netron
except ImportError:
    netron = None
try:
    from playwright.sync_api import sync_playwright
except ImportError:
    sync_playwright = None

SIZES = (100, 1000, 5000)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # nobody reports anything from here
]
PAGE = """<!doctype html><link rel=stylesheet href="/widget.css"><body data-jp-theme-light="true"><div id=root></div>
<script type=module>
import widget from '/widget.js';
const traits = await (await fetch('/traits.json')).json();
const model = { get: key => traits[key], set() {}, save_changes() {}, send() {}, on() {}, off() {} };
widget.render({ model, el: document.getElementById('root') });
</script>"""
RECORDER = """(() => {
  let last = 0, frames = [], going = false;
  const step = now => { frames.push(now - last); last = now; if (going) requestAnimationFrame(step); };
  const start = () => { frames = []; going = true; last = performance.now(); requestAnimationFrame(step); };
  const stop = () => {
    going = false;
    const sorted = frames.slice(2).sort((a, b) => a - b);
    document.documentElement.dataset.frame = String(sorted[sorted.length >> 1] ?? 0);
  };
  addEventListener('pointerdown', start, true);
  addEventListener('pointerup', stop, true);
})()"""
"""Times frames from press to release; netron forbids eval, so the page measures itself."""


class Block(nn.Module):
    """A residual block of seven nodes."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 1)
        self.relu2 = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the sum of the input and two convolutions of it."""
        return self.relu2(self.conv2(self.relu1(self.conv1(x))) + x)


def network(nodes: int) -> nn.Module:
    """Return a chain of residual blocks with about `nodes` nodes."""
    return nn.Sequential(*(Block(2) for _ in range(nodes // 5))).eval()


def first_paint(page, address: str, drawn: str) -> float:
    """Return the milliseconds from the navigation until the first element of `drawn` is seen."""
    began = time.perf_counter()
    page.goto(address)
    page.locator(drawn).first.wait_for(state="visible", timeout=180_000)
    return 1000 * (time.perf_counter() - began)


def frame_time(page, place: str) -> float:
    """Return the median milliseconds of a frame while the pointer drags over `place`."""
    box = page.locator(place).first.bounding_box()
    x, y = box["x"] + box["width"] * 0.15, box["y"] + min(box["height"], 700) / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(40):
        page.mouse.move(x + 2 * (step % 7), y - 6 * step)
    page.mouse.up()
    return float(page.locator("html").get_attribute("data-frame"))


def traits_of(workbench: q.Workbench) -> tuple[str, float]:
    """Return the traits of a widget as JSON, all modules open, and the milliseconds that the kernel took."""
    began = time.perf_counter()
    view = workbench.view(collapsed=[])
    traits = {
        "view": view,
        "table": workbench.node_rows(),
        "history": workbench.journal_rows(),
        "outputs": workbench.output_rows(),
        "settings": workbench.settings_row(),
        "flags": {"can_undo": False, "can_redo": False, "stale": True, "march": workbench.march},
        "status": {"state": "idle", "text": "", "done": 0, "total": 0},
    }
    text = json.dumps(plain(traits))
    return text, 1000 * (time.perf_counter() - began)


def serve_widget(page, traits: str) -> str:
    """Answer the widget's requests inside the browser and return the address to open."""
    answers = {
        "": (PAGE, "text/html"),
        "traits.json": (traits, "application/json"),
        "widget.js": ((STATIC / "widget.js").read_text(encoding="utf-8"), "text/javascript"),
        "widget.css": ((STATIC / "widget.css").read_text(encoding="utf-8"), "text/css"),
    }

    def answer(route):
        body, kind = answers.get(route.request.url.rpartition("/")[2], ("", "text/plain"))
        route.fulfill(body=body, content_type=kind)

    page.route("http://widget.invalid/**", answer)
    return "http://widget.invalid/"


def free_port() -> int:
    """Return a port of the loopback that is free now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main() -> None:
    """Print one row per size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="fewer rounds")
    short = parser.parse_args().short
    browser_path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if sync_playwright is None or browser_path is None:
        print("playwright or Chromium is missing: nothing measured")
        return
    if netron is None:
        print("netron is not installed: no peer")
    rounds = 3 if short else 7
    names = ("nodes", "kernel", "paint", "frame", "peer paint", "peer frame", "paint ratio")
    print("  ".join(f"{name:>11}" for name in names), " (ms; the peer is netron)")
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as folder:
        browser = driver.chromium.launch(executable_path=browser_path, args=FLAGS)
        for size in SIZES:
            workbench = q.Workbench(network(size), torch.rand(1, 2, 4, 4))
            traits, kernel = traits_of(workbench)
            address = None
            if netron is not None:
                file = workbench.to_onnx(Path(folder) / f"net{size}.onnx")
                host, port = netron.start(str(file), ("127.0.0.1", free_port()), browse=False)
                address = f"http://{host}:{port}"
            ours, theirs = [], []
            for _ in range(rounds):
                ours.append(measure(browser, None, traits))
                if address is not None:
                    theirs.append(measure(browser, address, ""))
            row = [statistics.median(column) for column in zip(*ours, strict=True)]
            peer = [statistics.median(column) for column in zip(*theirs, strict=True)] if theirs else []
            cells = [float(len(workbench.graph.nodes)), kernel, *row, *peer, *([row[0] / peer[0]] if peer else [])]
            print("  ".join(f"{cell:11.2f}" if i == 6 else f"{cell:11.0f}" for i, cell in enumerate(cells)), flush=True)
            if peer:
                netron.stop((host, port))
        browser.close()


def measure(browser, address: str | None, traits: str) -> tuple[float, float]:
    """Return (first paint, frame time) of the widget, or of the viewer at `address`, in a page of its own."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    if address is not None:  # netron shows nothing before its question about cookies was answered
        context.add_cookies([{"name": "consent", "value": str(int(1000 * time.time())), "url": address}])
    page = context.new_page()
    page.add_init_script(RECORDER)
    try:
        if address is None:
            paint = first_paint(page, serve_widget(page, traits), ".qwb-graph-pane [data-node]")
            return paint, frame_time(page, ".qwb-graph-pane .qwb-svg")
        paint = first_paint(page, address, "#canvas .node, .node-item")
        return paint, frame_time(page, "#target")
    finally:
        context.close()


if __name__ == "__main__":
    main()
