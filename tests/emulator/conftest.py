"""Every instruction path of this machine, or of the one that a trap makes of it."""

from __future__ import annotations

import pytest

from qworkbench.emulator.kernels import isa
from tests.emulator import amx

TRAP = amx.trap()


@pytest.fixture(params=list(isa.PATHS))
def path(request, monkeypatch):
    if request.param not in isa.available():
        pytest.skip(f"this processor has no {request.param}")
    monkeypatch.setenv(isa.VARIABLE, request.param)
    return request.param
