"""Every instruction path of this machine."""

from __future__ import annotations

import pytest

from qworkbench.emulator.kernels import isa


@pytest.fixture(params=list(isa.PATHS))
def path(request, monkeypatch):
    if request.param not in isa.available():
        pytest.skip(f"this processor has no {request.param}")
    monkeypatch.setenv(isa.VARIABLE, request.param)
    return request.param
