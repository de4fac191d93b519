"""Every notebook runs from top to bottom in a fresh kernel, in its own folder, and was committed without outputs."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

TUTORIALS = Path(__file__).parents[2] / "tutorials"
NOTEBOOKS = sorted(TUTORIALS.glob("*.ipynb"))


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(TUTORIALS.parent))
    book = nbformat.read(path, as_version=4)
    NotebookClient(book, timeout=300, resources={"metadata": {"path": str(TUTORIALS)}}).execute()
    values = [o for cell in book.cells for o in cell.get("outputs", ()) if o.output_type == "execute_result"]
    assert any("application/vnd.qworkbench.view+json" in o.data for o in values)
    assert any("application/vnd.jupyter.widget-view+json" in o.data for o in values)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_committed_without_outputs(path):
    book = nbformat.read(path, as_version=4)
    assert not [cell for cell in book.cells if cell.get("outputs")]
    assert "widgets" not in book.metadata
