"""Kernels come from the disk cache in a second process, and import nothing heavy."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from qworkbench.emulator.kernels import isa, warm
from qworkbench.errors import EmulationError

SCRIPT = """
import numpy as np, sys
import qworkbench.emulator.kernels as k
assert not {"torch", "onnx", "IPython", "matplotlib", "pandas"} & set(sys.modules), "something heavy was imported"
from qworkbench.numerics import ConvGeometry, Requantize, Residual, build_table8
x = np.ones((1, 3, 6, 6), np.int8)
rq = Requantize(np.full(1, 0.1), "int8", -128, 127)
y, _ = k.conv2d(x, np.ones((3, 3, 3, 3), np.int8), None, ConvGeometry((3, 3)), rq)
k.conv2d(x, np.ones((3, 1, 3, 3), np.int8), None, ConvGeometry((3, 3), group=3), rq, Residual(y, np.ones(1)))
k.max_pool2d(k.add(x, x, 1.0, 1.0, rq), ConvGeometry((2, 2)))
k.lut(k.quantize(k.dequantize(x, 0.1), 0.1, "int8", "half_even"), build_table8(np.tanh, 0.1, 0.1, "int8", "half_even"))
k.global_average_pool(x, rq)
from numba.core.dispatcher import Dispatcher
from qworkbench.emulator.kernels.compiled import RowKernel
found = {id(v): v for name, m in list(sys.modules.items()) if name.startswith("qworkbench.emulator.kernels")
         for v in vars(m).values() if isinstance(v, Dispatcher) or (isinstance(v, RowKernel) and "_made" in vars(v))}
rows = [k.from_disk for k in found.values() if isinstance(k, RowKernel)]
assert rows
stats = [d.stats for d in found.values() if isinstance(d, Dispatcher)]
hits = sum(sum(s.cache_hits.values()) for s in stats) + sum(rows)
misses = sum(sum(s.cache_misses.values()) for s in stats) + len(rows) - sum(rows)
print(hits, misses)
"""


@pytest.fixture
def in_a_new_process(tmp_path):
    def run():
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return [int(word) for word in done.stdout.split()]

    return run


def test_a_second_process_compiles_nothing(in_a_new_process):
    assert in_a_new_process()[1] > 5
    hits, misses = in_a_new_process()
    assert hits > 5
    assert misses == 0


def test_kernels_warm_up_beside_the_capture_of_a_model(monkeypatch):
    called = []
    monkeypatch.setattr(warm, "warm_up", lambda: called.append(True))
    warm.warm_in_background.cache_clear()
    thread = warm.warm_in_background()
    thread.join(60)
    assert called == [True]
    assert warm.warm_in_background() is thread
    warm.warm_in_background.cache_clear()


def test_a_wrong_path_is_left_for_the_run_to_tell(monkeypatch, capsys):
    monkeypatch.setenv(isa.VARIABLE, "nonsense")
    warm.warm_in_background.cache_clear()
    warm.warm_in_background().join(60)
    warm.warm_in_background.cache_clear()
    assert not capsys.readouterr().err
    with pytest.raises(EmulationError, match="nonsense"):
        warm.warm_up()


STAMP = """
import sys
from pathlib import Path
from qworkbench.emulator.kernels import compiled
compiled.sources.cache_clear()
if sys.argv[1:]:
    compiled.sources = lambda: sys.argv[1]
import numpy as np
import qworkbench.emulator.kernels as k
from qworkbench.numerics import ConvGeometry, Requantize
rq = Requantize(np.full(1, 0.1), "int8", -128, 127)
k.conv2d(np.ones((1, 8, 6, 6), np.int8), np.ones((3, 8, 3, 3), np.int8), None, ConvGeometry((3, 3)), rq)
from qworkbench.emulator.kernels.vector.paths import path_for
sweep = path_for(np.int8, np.int8).sweep
assert "_made" in vars(sweep)
print(int(sweep.from_disk), int(not sweep.from_disk))
"""


@pytest.mark.skipif(isa.chosen() == isa.PORTABLE, reason="no generated kernels on this processor")
def test_an_edit_of_any_source_of_the_kernels_compiles_them_anew(tmp_path):
    def run(*arguments):
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", STAMP, *arguments], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return [int(word) for word in done.stdout.split()]

    assert run() == [0, 1]
    assert run() == [1, 0]
    assert run("edited") == [0, 1]
