from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from qworkbench.errors import QWorkbenchError
from qworkbench.nn import DeQuantStub, IdentityUnitConv, QuantStub


def test_stubs_are_the_identity_in_float():
    x = torch.randn(2, 3)
    assert DeQuantStub()(QuantStub(scale=1 / 128)(x)) is x


def test_fixed_scale_must_be_positive():
    with pytest.raises(QWorkbenchError, match=r"must be > 0, got -0\.1"):
        QuantStub(scale=-0.1)


def test_unit_convolution_returns_its_input_until_its_weight_changes():
    unit = IdentityUnitConv(5)
    x = torch.randn(2, 5, 3, 3)
    assert torch.equal(unit(x), x)
    unit.check_equal()
    with torch.no_grad():
        unit.identity_conv.weight[2] = 1.5
    with pytest.raises(QWorkbenchError, match="changes its input"):
        unit.check_equal()


def test_importing_the_graph_package_imports_no_torch():
    code = (
        "import sys, qworkbench.graph, qworkbench.graph.ir, qworkbench.graph.wrap, qworkbench.graph.fusion;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_capture_never_imports_torch_ao():
    code = (
        "import sys, torch; before = set(sys.modules);"
        "from qworkbench.graph.torch_frontend import capture;"
        "capture(torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1)), torch.ones(1, 1, 2, 2));"
        "new = set(sys.modules) - before;"
        "assert not [m for m in new if m.startswith(('torch.ao', 'torch.quantization'))], new"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
