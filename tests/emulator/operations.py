"""Operations that leave prepared calls behind: what makes operands for each, and how it is run."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from qworkbench.emulator import kernels
from qworkbench.emulator.kernels.moving import concat
from qworkbench.emulator.kernels.surface import inside_of, surfaced
from qworkbench.numerics import ConvGeometry, Requantize, Residual, SegmentTable
from tests.emulator.codes import random_codes

SQUARE = ConvGeometry((3, 3), pads=(1, 1, 1, 1))
RQ = Requantize(np.random.default_rng(3).uniform(1e-4, 1e-3, 24), "int8", -128, 127)
WIDE = replace(RQ, dtype="int16", low=-32768, high=32767, kind="float64")
ONE = Requantize(np.full(1, 0.01), "int8", -128, 127)
ONE_TO_ONE = replace(ONE, multiplier=np.ones(1))
WIDE_ONE = replace(ONE_TO_ONE, dtype="int16", low=-30000, high=32767, kind="float64")
RATIO = np.linspace(1, 9, 24)


def on_surface(codes):
    return inside_of(surfaced(codes, codes.dtype, 1))


def maps(rng, count=1, dtype="int8", shape=(2, 24, 9, 7)):
    return tuple(on_surface(random_codes(rng, shape, dtype)) for _ in range(count))


def rows(rng):
    return (random_codes(rng, (5, 24), "int8"),)


W = random_codes(np.random.default_rng(1), (24, 24, 3, 3), "int8")
ALONE = random_codes(np.random.default_rng(2), (24, 1, 3, 3), "int8")
LINEAR = random_codes(np.random.default_rng(4), (24, 24), "int8")
DEEP = random_codes(np.random.default_rng(15), (24, 700, 1, 1), "int8")  # 700 * 127 * 32767 leaves int32
DEEP_RQ = replace(WIDE, multiplier=np.full(24, 1e-4))
TABLE = random_codes(np.random.default_rng(5), (256,), "int8")
WIDE_TABLE = SegmentTable(
    np.zeros((2, 4), np.int16), np.zeros((0, 64), np.int16), random_codes(np.random.default_rng(6), (65536,), "int16")
)
OPERATIONS = {
    "conv": (maps, lambda ops, x: ops.conv2d(x, W, None, SQUARE, RQ)[0]),
    "conv stride 2": (maps, lambda ops, x: ops.conv2d(x, W, None, replace(SQUARE, strides=(2, 2)), RQ)[0]),
    "conv int16": (
        lambda rng: maps(rng, dtype="int16"),
        lambda ops, x: ops.conv2d(
            x, W, None, SQUARE, replace(RQ, dtype="int16", low=-32768, high=32767, kind="float64")
        )[0],
    ),
    "deep conv int16": (
        lambda rng: maps(rng, dtype="int16", shape=(1, 700, 4, 3)),
        lambda ops, x: ops.conv2d(x, DEEP, None, ConvGeometry((1, 1)), DEEP_RQ)[0],
    ),
    "deep conv int16, residual": (
        lambda rng: maps(rng, dtype="int16", shape=(1, 700, 4, 3)) + maps(rng, dtype="int16", shape=(1, 24, 4, 3)),
        lambda ops, x, y: ops.conv2d(x, DEEP, None, ConvGeometry((1, 1)), DEEP_RQ, Residual(y, RATIO))[0],
    ),
    "residual": (
        lambda rng: maps(rng, 2),
        lambda ops, x, y: ops.conv2d(x, W, None, SQUARE, RQ, Residual(y, RATIO))[0],
    ),
    "depthwise": (maps, lambda ops, x: ops.conv2d(x, ALONE, None, replace(SQUARE, group=24), RQ)[0]),
    "transposed": (
        maps,
        lambda ops, x: ops.conv_transpose2d(x, W, None, replace(SQUARE, strides=(2, 2)), RQ)[0],
    ),
    "gemm": (rows, lambda ops, x: ops.gemm(x, LINEAR, None, RQ)[0]),
    "gemm, residual": (
        lambda rng: rows(rng) + rows(rng),
        lambda ops, x, y: ops.gemm(x, LINEAR, None, RQ, Residual(y, RATIO))[0],
    ),
    "deep gemm int16": (
        lambda rng: (random_codes(rng, (5, 700), "int16"),),
        lambda ops, x: ops.gemm(x, DEEP[:, :, 0, 0], None, DEEP_RQ)[0],
    ),
    "table": (maps, lambda ops, x: ops.lut(x, TABLE)),
    "table of rows": (rows, lambda ops, x: ops.lut(x, TABLE)),
    "table from int8 to int16": (maps, lambda ops, x: ops.requantize(x, WIDE_ONE)),
    "table of int16": (lambda rng: maps(rng, dtype="int16"), lambda ops, x: ops.lut16(x, WIDE_TABLE)),
    "requantize int16": (lambda rng: maps(rng, dtype="int16"), lambda ops, x: ops.requantize(x, WIDE_ONE)),
    "requantize int16 by channel": (lambda rng: maps(rng, dtype="int16"), lambda ops, x: ops.requantize(x, RQ)),
    "max pool of int16": (lambda rng: maps(rng, dtype="int16"), lambda ops, x: ops.max_pool2d(x, SQUARE)),
    "means of int16": (lambda rng: maps(rng, dtype="int16"), lambda ops, x: ops.global_average_pool(x, WIDE_ONE)),
    "max pool": (maps, lambda ops, x: ops.max_pool2d(x, replace(SQUARE, strides=(2, 2)))),
    "concat": (
        lambda rng: maps(rng, 2),
        lambda ops, x, y: concat([x, y], 1) if ops is kernels else np.concatenate([x, y], 1),
    ),
    "sum": (lambda rng: maps(rng, 2), lambda ops, x, y: ops.add(x, y, 0.4, 0.7, ONE_TO_ONE)),
    "difference of rows": (
        lambda rng: rows(rng) + rows(rng),
        lambda ops, x, y: ops.sub(x, y, 0.4, 0.7, ONE_TO_ONE),
    ),
    "sum of int16": (lambda rng: maps(rng, 2, "int16"), lambda ops, x, y: ops.add(x, y, 0.4, 0.7, WIDE_ONE)),
    "nearest": (maps, lambda ops, x: ops.resize_nearest(x, (5, 9), np.arange(5), np.arange(9) % 7)),
    "dequantize": (rows, lambda ops, x: ops.dequantize(x, np.float32(0.3))),
    "dequantize to planes": (maps, lambda ops, x: ops.dequantize(x, np.float32(0.3))),
    "dequantize by channel": (
        lambda rng: maps(rng, shape=(3, 20, 4, 5)),
        lambda ops, x: ops.dequantize(x, np.linspace(0.1, 2, 20, dtype=np.float32)),
    ),
    "dequantize few channels": (
        lambda rng: maps(rng, shape=(2, 5, 4, 5)),
        lambda ops, x: ops.dequantize(x, np.linspace(0.1, 2, 5, dtype=np.float32)),
    ),
    "dequantize few pixels": (
        lambda rng: maps(rng, dtype="int16", shape=(2, 24, 3, 5)),
        lambda ops, x: ops.dequantize(x, np.float32(0.3)),
    ),
    "dequantize int16": (
        lambda rng: maps(rng, dtype="int16"),
        lambda ops, x: ops.dequantize(x, np.linspace(0.1, 2, 24, dtype=np.float32)),
    ),
    "means": (maps, lambda ops, x: ops.global_average_pool(x, ONE)),
}
OTHERWISE = {
    "conv": (maps, lambda rq, ops, x: ops.conv2d(x, W, None, SQUARE, rq)[0]),
    "depthwise": (maps, lambda rq, ops, x: ops.conv2d(x, ALONE, None, replace(SQUARE, group=24), rq)[0]),
    "transposed": (
        maps,
        lambda rq, ops, x: ops.conv_transpose2d(x, W, None, replace(SQUARE, strides=(2, 2)), rq)[0],
    ),
    "gemm": (rows, lambda rq, ops, x: ops.gemm(x, LINEAR, None, rq)[0]),
}
OPERATIONS |= {
    f"{name}, {kind} and {rounding}": (operands, partial(run, replace(RQ, kind=kind, rounding=rounding)))
    for name, (operands, run) in OTHERWISE.items()
    for kind, rounding in (("float32", "half_up"), ("fixed", "half_away"), ("pow2", "half_even"))
}
