"""What the kernels cost before they run: compiled for the first time, and loaded from disk in a later process.

    python benchmarks/startup.py [--short] [--json FILE]

CPU seconds of the process after ``import numba``, for every kernel that a common network needs
(:func:`qworkbench.emulator.kernels.warm.warm_up`). ``import qworkbench`` is timed beside it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from peers.report import arguments, report

WARM = """
import time, numba, numpy, llvmlite.binding
began = time.process_time()
from qworkbench.emulator.kernels.warm import warm_up
warm_up()
print(time.process_time() - began)
"""
IMPORT = "import time; began = time.process_time(); import qworkbench; print(time.process_time() - began)"


def seconds(script: str, cache: Path) -> float:
    """Return what `script` prints in a new process that keeps compiled kernels in `cache`, and bytecode beside it."""
    beside = str(cache.parent / "bytecode")
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPYCACHEPREFIX": beside}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    """Print one table, and JSON where asked for."""
    given = arguments(__doc__).parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "kernels"
        seconds(WARM, Path(folder) / "others")
        rows.append({"item": "kernels, compiled", "CPU s": round(seconds(WARM, cache), 2)})
        loaded = min(seconds(WARM, cache) for _ in range(2 if given.short else 5))
        rows.append({"item": "kernels, from disk", "CPU s": round(loaded, 2)})
        imported = min(seconds(IMPORT, cache) for _ in range(2 if given.short else 5))
        rows.append({"item": "import qworkbench", "CPU s": round(imported, 3)})
    report("start-up", rows, given.json)


if __name__ == "__main__":
    main()
