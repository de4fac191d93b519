"""Kernels are fast enough for a loop in a notebook, come from the disk cache, and import nothing heavy."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from qworkbench.emulator import kernels
from qworkbench.numerics import ConvGeometry, Requantize

RESNET18 = [
    (3, 64, 7, 2, 224, 1),
    (64, 64, 3, 1, 56, 4),
    (64, 128, 3, 2, 56, 1),
    (64, 128, 1, 2, 56, 1),
    (128, 128, 3, 1, 28, 3),
    (128, 256, 3, 2, 28, 1),
    (128, 256, 1, 2, 28, 1),
    (256, 256, 3, 1, 14, 3),
    (256, 512, 3, 2, 14, 1),
    (256, 512, 1, 2, 14, 1),
    (512, 512, 3, 1, 7, 3),
]


def convolve(inputs, outputs, kernel, stride, size):
    rng = np.random.default_rng(0)
    x = rng.integers(-128, 128, (1, inputs, size, size)).astype(np.int8)
    w = rng.integers(-128, 128, (outputs, inputs, kernel, kernel)).astype(np.int8)
    geometry = ConvGeometry((kernel, kernel), (stride, stride), (kernel // 2,) * 4)
    rq = Requantize(np.full(outputs, 1e-4), "int8", 0, 127)
    start = time.thread_time()
    kernels.conv2d(x, w, None, geometry, rq)
    return time.thread_time() - start


def test_all_convolutions_of_resnet18_take_well_under_two_seconds_on_one_thread():
    convolve(8, 8, 3, 1, 8)
    assert sum(convolve(*row[:5]) * row[5] for row in RESNET18) < 1.0


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
found = {id(v): v for name, m in list(sys.modules.items()) if name.startswith("qworkbench.emulator.kernels")
         for v in vars(m).values() if isinstance(v, Dispatcher)}
hits = sum(sum(d.stats.cache_hits.values()) for d in found.values())
misses = sum(sum(d.stats.cache_misses.values()) for d in found.values())
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
