"""A real IPython shell with the extension loaded, as a user has it."""

from __future__ import annotations

import pytest
import torch
from IPython.testing.globalipapp import start_ipython
from torch import nn

from qworkbench.nn import FloatFunctional


class Net(nn.Module):
    """Two convolutions joined by a concat at the end, and a softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.relu = nn.ReLU()
        self.left = nn.Conv2d(4, 4, 1)
        self.right = nn.Conv2d(4, 4, 3, padding=1)
        self.softmax = nn.Softmax(dim=1)
        self.concat = FloatFunctional()

    def forward(self, image):
        x = self.relu(self.stem(image))
        a, b = self.left(x), self.right(x)
        return self.concat.cat([a, b], dim=1), self.softmax(a)


@pytest.fixture(scope="session")
def _shell():
    from IPython.core.getipython import get_ipython

    return start_ipython() or get_ipython()


@pytest.fixture
def shell(_shell):
    _shell.reset(new_session=False)
    _shell.run_line_magic("load_ext", "qworkbench")
    torch.manual_seed(0)
    _shell.user_ns.update(model=Net().eval(), x=torch.rand(2, 1, 6, 6), images=torch.rand(16, 1, 6, 6))
    yield _shell
    _shell.run_line_magic("unload_ext", "qworkbench")


@pytest.fixture
def qwb(shell):
    """Run one ``%qwb`` line as a cell and return its value; an error is raised, not printed."""

    def run(line: str):
        result = shell.run_cell(f"%qwb {line}")
        if result.error_before_exec or result.error_in_exec:
            raise result.error_before_exec or result.error_in_exec
        return result.result

    return run


@pytest.fixture
def loaded(qwb):
    qwb("load model --example x --calibration images --march bayes-e")
    return qwb
