"""Each test starts with a march and leaves no switch behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from qworkbench.qat import march
from qworkbench.qat.qat_mode import QATMode, set_qat_mode
from qworkbench.qat.quantization import FakeCast
from qworkbench.qat.utils.quant_switch import GlobalFakeQuantSwitch


@pytest.fixture(autouse=True)
def _switches() -> Iterator[None]:
    torch.manual_seed(0)
    march.set_march("bayes")
    yield
    march._set.clear()
    set_qat_mode(QATMode.FuseBN)
    GlobalFakeQuantSwitch.enable()
    FakeCast.enable()
