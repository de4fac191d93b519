"""What is shipped: a small bundle, one version, a lock file without addresses, archives that need no Node."""

from __future__ import annotations

import json
import re
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

import qworkbench

ROOT = Path(__file__).parents[2]
FRONT_END = ROOT / "labextension"
BUDGET = 150_000
"""Bytes. The script travels to the page with every widget model, so its size is paid again and again."""


@pytest.fixture(scope="module")
def built():
    static = ROOT / "qworkbench" / "static"
    assert (static / "widget.js").exists(), "front end not built: pip install -e ."
    return static


@pytest.fixture(scope="module")
def archives(built, tmp_path_factory):
    """Wheel and sdist of what is in the tree now."""
    out = tmp_path_factory.mktemp("dist")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QWORKBENCH_SKIP_FRONTEND", "1")
        wheel = next(WheelBuilder(str(ROOT)).build(directory=str(out), versions=["standard"]))
        sdist = next(SdistBuilder(str(ROOT)).build(directory=str(out), versions=["standard"]))
    with zipfile.ZipFile(wheel) as file:
        wheel_names = file.namelist()
    with tarfile.open(sdist) as file:
        sdist_names = [name.partition("/")[2] for name in file.getnames()]
    return wheel_names, sdist_names


def test_the_bundle_is_within_its_budget(built):
    size = (built / "widget.js").stat().st_size + (built / "widget.css").stat().st_size
    assert size < BUDGET, f"script and style take {size} bytes, more than {BUDGET}"


def test_the_bundle_is_one_file_and_asks_nobody(built):
    script = (built / "widget.js").read_text(encoding="utf-8")
    assert "export{" in script or "export default" in script
    assert not re.search(r"\bimport\s*[({*\"']", script), (
        "anywidget loads one module from a Blob: nothing to import from"
    )
    assert "fetch(" not in script
    assert "innerHTML" not in script
    addresses = set(re.findall(r"https?://[^\"'`\s]+", script))
    assert addresses <= {"http://www.w3.org/2000/svg"}


def test_classes_of_the_style_sheet_are_ours(built):
    """The style sheet goes into the head of the page: it must not touch anything else there."""
    style = (built / "widget.css").read_text(encoding="utf-8")
    style = re.sub(r"@keyframes[^{]+\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}", "", style)
    selectors = re.findall(r"(?:^|[{}])([^{}@]+)(?=\{)", style)
    assert len(selectors) > 50
    foreign = [part for selector in selectors for part in selector.split(",") if part.strip() and "qwb" not in selector]
    assert foreign == []


def test_all_versions_are_equal():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    package = json.loads((FRONT_END / "package.json").read_text(encoding="utf-8"))["version"]
    assert project == package == qworkbench.__version__


def test_the_lock_file_holds_no_address():
    lock = (FRONT_END / "yarn.lock").read_text(encoding="utf-8")
    assert re.search(r"https?://|__archiveUrl", lock) is None
    assert "npmRegistryServer" not in (FRONT_END / ".yarnrc.yml").read_text(encoding="utf-8")


def test_the_wheel_holds_both_bundles_and_no_sources(archives):
    names, _ = archives
    assert "qworkbench/static/widget.js" in names
    assert "qworkbench/static/widget.css" in names
    lab = [name for name in names if "share/jupyter/labextensions/qworkbench/" in name]
    assert any(name.endswith("install.json") for name in lab)
    assert any("/static/remoteEntry." in name for name in lab)
    assert any(name.endswith("schemas/qworkbench/plugin.json") for name in lab)
    assert not [name for name in names if name.endswith((".ts", ".map")) or "node_modules" in name]
    assert not [name for name in names if name.startswith(("tests/", "labextension/", "qworkbench/labextension/"))]


def test_the_sdist_can_be_installed_without_node(archives):
    _, names = archives
    assert {"hatch_build.py", "labextension/yarn.lock", "labextension/src/widget/index.ts"} <= set(names)
    assert "qworkbench/static/widget.js" in names
    assert "qworkbench/labextension/package.json" in names
    assert not [name for name in names if "node_modules" in name or name.startswith("labextension/lib/")]
