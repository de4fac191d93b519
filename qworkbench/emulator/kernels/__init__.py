"""The integer operators of the emulator as numba functions: arrays in, arrays out, no graph, no state.

Same functions, same signatures, same codes, bit for bit, as :mod:`qworkbench.numerics.reference`. Kernels are module
level and cached on disk; each compiles once per combination of dtypes, when it is first used, and releases the GIL.
Convolutions and products use the dot instructions that :mod:`.isa` finds (``QWORKBENCH_ISA`` forces a path,
``portable`` among them) on ``QWORKBENCH_NUM_THREADS`` threads; everything else runs on one.
"""

from __future__ import annotations

from qworkbench.emulator.kernels.convolution import conv2d, conv_transpose2d
from qworkbench.emulator.kernels.elementwise import add, maximum, minimum, mul, sub
from qworkbench.emulator.kernels.linear import gemm, matmul
from qworkbench.emulator.kernels.lookup import lut, lut16
from qworkbench.emulator.kernels.moving import resize_nearest
from qworkbench.emulator.kernels.pool import average_pool2d, global_average_pool, global_max_pool, max_pool2d
from qworkbench.emulator.kernels.reduce import reduce_mean, reduce_sum
from qworkbench.emulator.kernels.rescale import dequantize, quantize, requantize
from qworkbench.emulator.kernels.resize import resize_bilinear
from qworkbench.numerics.reference.reduce import argmax, argmin, reduce_max, reduce_min

PACKS = True  # convolutions and linear layers take ``forms``, a dict in which packed weights are kept

__all__ = [
    "add",
    "argmax",
    "argmin",
    "average_pool2d",
    "conv2d",
    "conv_transpose2d",
    "dequantize",
    "gemm",
    "global_average_pool",
    "global_max_pool",
    "lut",
    "lut16",
    "matmul",
    "max_pool2d",
    "maximum",
    "minimum",
    "mul",
    "quantize",
    "reduce_max",
    "reduce_mean",
    "reduce_min",
    "reduce_sum",
    "requantize",
    "resize_bilinear",
    "resize_nearest",
    "sub",
]
