"""AMX where the processor has none: the trap of ``amx_trap.c``, built for and loaded into a process of its own."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qworkbench.emulator.kernels import isa

VARIABLE = "AMX_TRAP"  # path of the built trap, for a process that is to load it
HERE = Path(__file__).parent


def environment(folder: Path) -> dict[str, str]:
    """Build the trap in `folder`; return what a process needs to compile for AMX and to survive it."""
    import llvmlite.binding as llvm

    compiler = shutil.which("gcc")
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip("the trap knows Linux on x86-64")
    if compiler is None:
        pytest.skip("the trap is built by gcc, which is not here")
    missing = isa.PATHS[isa.BASES["amx"]] - isa.features()
    if missing:
        pytest.skip(f"the trap executes tiles only; this processor lacks {', '.join(sorted(missing))}")
    built = folder / "amx_trap.so"
    subprocess.run([compiler, "-O3", "-mavx2", "-shared", "-fPIC", "-o", built, HERE / "amx_trap.c"], check=True)
    features = sorted(isa.features() | isa.PATHS["amx"])
    return {
        **os.environ,
        VARIABLE: str(built),
        "NUMBA_CPU_NAME": llvm.get_host_cpu_name(),
        "NUMBA_CPU_FEATURES": ",".join(f"+{name}" for name in features),
        isa.VARIABLE: "amx",
    }


def trap() -> ctypes.CDLL | None:
    """Load the trap where the environment asks for it, and answer for the operating system that tiles may be used."""
    built = os.environ.get(VARIABLE)
    if built is None:
        return None
    library = ctypes.CDLL(built)
    library.amx_executed.restype = ctypes.c_uint64
    assert library.amx_trap() == 0
    isa.tiles_granted = lambda: True  # type: ignore[assignment]
    return library
