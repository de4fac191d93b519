"""JupyterLab and Notebook 7 on loopback, driven by Chromium through the Python playwright package."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

TUTORIALS = Path(__file__).parents[2] / "tutorials"


@pytest.fixture(scope="session", autouse=True)
def _patience() -> None:
    """Let every expectation wait as long as a busy machine with two processors may need."""
    pytest.importorskip("playwright.sync_api").expect.set_options(timeout=30_000)


@dataclass
class Server:
    """A running JupyterLab or Notebook."""

    url: str
    token: str
    root: Path
    log: Path
    page: str

    def notebook(self, name: str, cells: list[str]) -> str:
        """Write a notebook of code `cells` and return its address."""
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(book, self.root / name)
        return self.address(name)

    def address(self, name: str) -> str:
        """Return the address of a file in the server's root."""
        return f"{self.url}/{self.page}/{name}?token={self.token}&reset"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def _serving(base: Path, module: str, application: str, page: str) -> Iterator[Server]:
    root = base / "root"
    shutil.copytree(TUTORIALS, root, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    port, token = _free_port(), secrets.token_hex(8)
    env = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(base / "config"),
        "JUPYTER_DATA_DIR": str(base / "data"),
        "JUPYTER_RUNTIME_DIR": str(base / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(base / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(base / "workspaces"),
        "IPYTHONDIR": str(base / "ipython"),
    }
    config = base / "config" / "labconfig"
    config.mkdir(parents=True)
    silent = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    (config / "page_config.json").write_text(json.dumps(silent))
    log = base / "server.log"
    command = [
        *(sys.executable, "-m", module, "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root"),
        *("--ServerApp.port_retries=0", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={root}"),
        *("--LabApp.extension_manager=readonly", f"--{application}.expose_app_in_browser=True"),
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    with log.open("w") as sink:
        server = subprocess.Popen(command, env=env, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(server, f"{url}/api/status?token={token}", log)
        yield Server(url, token, root, log, page)
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    with _serving(tmp_path_factory.mktemp("lab"), "jupyterlab", "LabApp", "lab/tree") as server:
        yield server


@pytest.fixture(scope="session")
def classic(tmp_path_factory):
    """Notebook 7."""
    pytest.importorskip("notebook", reason="Notebook 7 is not installed")
    base = tmp_path_factory.mktemp("notebook")
    with _serving(base, "notebook", "JupyterNotebookApp", "notebooks") as server:
        yield server


def _wait_for(server, address: str, log: Path) -> None:
    for _ in range(480):
        if server.poll() is not None:
            raise RuntimeError(log.read_text())
        try:
            urllib.request.urlopen(address, timeout=2).close()
        except OSError:
            time.sleep(0.25)
        else:
            return
    raise RuntimeError("Jupyter did not start:\n" + log.read_text())


@dataclass
class Notebook:
    """A notebook open in the page."""

    page: object

    def run_all(self, *, seconds: float = 180) -> None:
        """Run every cell and wait until the kernel is idle again."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
        self.idle(seconds=seconds)

    def idle(self, *, seconds: float = 60) -> None:
        """Wait until the kernel has nothing to do."""
        done = """() => {
            const panel = window.jupyterapp.shell.currentWidget;
            const cells = panel?.content?.widgets ?? [];
            const waiting = cells.some(c => c.model.type === 'code' && c.promptNode?.textContent?.includes('*'));
            return !waiting && panel?.sessionContext?.session?.kernel?.status === 'idle';
        }"""
        self.page.wait_for_function(done, timeout=seconds * 1000)

    def command(self, name: str, **arguments: object) -> None:
        """Execute a command of the application."""
        self.page.evaluate("([name, args]) => window.jupyterapp.commands.execute(name, args)", [name, arguments])

    def save(self) -> None:
        """Save the notebook and wait until it is on disk."""
        self.command("docmanager:save")
        self.page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")

    def restart(self) -> None:
        """Restart the kernel without a question."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
        self.idle()

    def show(self, source: str) -> None:
        """Scroll to the cell that holds exactly `source`; cells out of sight may not be in the page at all."""
        script = """async source => {
            const content = window.jupyterapp.shell.currentWidget.content;
            const index = content.widgets.findIndex(c => c.model.sharedModel.getSource() === source);
            content.activeCellIndex = index;
            await content.scrollToItem(index, 'start');
            return index;
        }"""
        assert self.page.evaluate(script, source) >= 0, f"no cell {source!r}"

    def run(self, code: str, *, seconds: float = 60) -> str:
        """Run `code` in the notebook's kernel, beside its cells, and return what it printed."""
        script = """async code => {
            const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
            let text = '';
            const future = kernel.requestExecute({ code, store_history: false });
            future.onIOPub = m => {
                if (m.header.msg_type === 'stream') text += m.content.text;
                if (m.header.msg_type === 'error') text += m.content.ename + ': ' + m.content.evalue;
            };
            await future.done;
            return text;
        }"""
        self.page.set_default_timeout(seconds * 1000)
        return self.page.evaluate(script, code)


@pytest.fixture
def open_notebook(page):
    """Return a function that opens an address and waits for its kernel, or only for its cells."""

    def open_(address: str, *, kernel: bool = True) -> Notebook:
        page.goto(address)
        page.wait_for_function("() => !!window.jupyterapp", timeout=60_000)
        page.locator(".jp-Notebook").first.wait_for(timeout=60_000)
        page.wait_for_function("() => (window.jupyterapp.shell.currentWidget?.content?.widgets?.length ?? 0) > 0")
        if not kernel:
            return Notebook(page)
        page.wait_for_function(
            "() => window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'",
            timeout=60_000,
        )
        return Notebook(page)

    return open_


@pytest.fixture
def shot(page):
    """Return a function that saves a screenshot under shots/ (git-ignored), to be looked at."""

    def take(name: str) -> Path:
        folder = Path(os.environ.get("QWORKBENCH_SHOTS", "shots"))
        folder.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=folder / f"{name}.png")
        return folder / f"{name}.png"

    return take
