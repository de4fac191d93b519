"""Compile, or load from disk, the kernels that almost every network needs, beside whatever else goes on.

What a first emulation would wait for is done while a model is captured and its graph drawn. Nothing depends on it: a
kernel that is not warm yet compiles when it is called.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from threading import Thread

import numpy as np

from qworkbench.errors import EmulationError
from qworkbench.numerics.arithmetic import ConvGeometry, Requantize, Residual


def warm_up() -> None:
    """Call each common kernel once on a few codes, with the dtypes and layouts of a plan."""
    import qworkbench.emulator.kernels as ops
    from qworkbench.emulator.kernels.distance_sums import Reference, distance_sums
    from qworkbench.emulator.kernels.vector.playing import play, play_script

    rq = Requantize(np.full(1, 0.01), "int8", -128, 127)
    square = ConvGeometry((3, 3), pads=(1, 1, 1, 1))
    image = ops.quantize(np.zeros((1, 3, 8, 8), np.float32), np.float32(1), "int8", "half_even", margin=1)
    x, _ = ops.conv2d(image, np.ones((16, 3, 3, 3), np.int8), None, square, rq)
    alone = ConvGeometry((3, 3), pads=(1, 1, 1, 1), group=16)
    ops.conv2d(x, np.ones((16, 1, 3, 3), np.int8), None, alone, rq)
    point = np.ones((16, 16, 1, 1), np.int8)
    x, _ = ops.conv2d(x, point, None, ConvGeometry((1, 1)), rq, Residual(x, np.ones(1)))
    deep, _ = ops.conv2d(x, np.ones((64, 16, 1, 1), np.int8), None, ConvGeometry((1, 1)), rq)
    ops.conv2d(
        deep, np.ones((64, 64, 3, 3), np.int8), None, square, rq
    )  # enough channels for Winograd's transforms, or tiles
    x = ops.max_pool2d(x, square)
    ops.dequantize(x, np.float32(1))
    ops.requantize(x, rq)
    ops.add(x, x, 1.0, 1.0, rq)
    mean = ops.global_average_pool(x, rq).reshape(1, -1)
    ops.dequantize(ops.gemm(mean, np.ones((16, 16), np.int8), None, rq)[0], np.float32(1))
    ops.lut(x, np.zeros(256, np.int8))
    play_script.address, play  # noqa: B018  that compiles them
    distance_sums([(Reference(np.zeros(1, np.float32)), np.zeros(1, np.int8), 1.0)])


def _warm_quietly() -> None:
    with suppress(EmulationError):  # a wrong QWORKBENCH_ISA is told by the first run, where someone asks
        warm_up()


@cache
def warm_in_background() -> Thread:
    """Start :func:`warm_up` on a thread of its own, once in a process; the thread is returned for those who wait."""
    thread = Thread(target=_warm_quietly, name="qworkbench-warm-up")
    thread.start()
    return thread
