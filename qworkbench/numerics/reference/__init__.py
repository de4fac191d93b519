"""Slow, obviously right twins of the emulator's kernels: int64 and numpy, straight from the formulas.

Same functions, same signatures, same codes, bit for bit, as :mod:`qworkbench.emulator.kernels`; the tests hold one
against the other. Use it to check a kernel, never to run a model.
"""

from __future__ import annotations

from qworkbench.numerics.reference.accumulate import conv2d, conv_transpose2d, gemm, matmul
from qworkbench.numerics.reference.lookup import lut, lut16, maximum, minimum
from qworkbench.numerics.reference.pool import average_pool2d, global_average_pool, global_max_pool, max_pool2d
from qworkbench.numerics.reference.reduce import argmax, argmin, reduce_max, reduce_mean, reduce_min, reduce_sum
from qworkbench.numerics.reference.rescale import add, dequantize, mul, quantize, requantize, sub
from qworkbench.numerics.reference.resize import resize_bilinear, resize_nearest

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
