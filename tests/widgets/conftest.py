from __future__ import annotations

import comm
import pytest

from qworkbench.widgets.workbench_widget import WorkbenchWidget
from tests.widgets.fake import FakeWorkbench, RecordingComm


@pytest.fixture
def workbench():
    return FakeWorkbench()


@pytest.fixture
def page(monkeypatch, workbench):
    """A widget whose comm is recorded."""
    monkeypatch.setattr(comm, "create_comm", RecordingComm)
    widget = WorkbenchWidget(workbench)
    widget.comm.log.clear()
    yield widget
    widget.close()
