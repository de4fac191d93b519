"""Products in AMX tiles equal the reference: by the processor, or in a process whose tiles a trap computes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from qworkbench.emulator.kernels import isa
from tests.emulator import amx

SELECTION = ["test_amx_trap", "test_kernels_isa", "test_kernels_products", "test_kernels_groups"]


@pytest.mark.skipif("amx" in isa.available(), reason="every test of the path runs in this process")
def test_amx_machine_code_gives_the_references_codes_in_software(tmp_path):
    plugins = ["-p", "no:cacheprovider", "-p", "no:faulthandler"]  # the latter would take the signal from the trap
    files = [f"tests/emulator/{name}.py" for name in SELECTION]
    command = [sys.executable, "-m", "pytest", "-q", "-x", *plugins, "-k", "amx", *files]
    done = subprocess.run(command, env=amx.environment(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
