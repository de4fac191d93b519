"""Convolutions in groups of few channels give the reference's codes on every path."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qworkbench.emulator import kernels
from qworkbench.emulator.kernels import isa, threads
from qworkbench.emulator.kernels.vector.groups import groups_path
from qworkbench.numerics import ConvGeometry, Requantize, Residual, reference
from tests.emulator.codes import DTYPES, assert_equal, fills, quick, random_codes, seeds


def case(seed, width, group, dtype, fill):
    rng = np.random.default_rng(seed)
    channels = width * group
    kernel = [(1, 1), (3, 3), (3, 3), (5, 2)][int(rng.integers(0, 4))]
    pads = tuple(int(p) for p in rng.integers(0, 3, 4))
    strides, dilations = (tuple(int(s) for s in rng.integers(1, 3, 2)) for _ in range(2))
    geometry = ConvGeometry(kernel, strides, pads, dilations if rng.random() < 0.3 else (1, 1), group)
    x = random_codes(rng, (int(rng.integers(1, 3)), channels, 9, 11), dtype, fill)
    w = random_codes(
        rng, (channels, width, *kernel), DTYPES[int(rng.random() < 0.2)] if dtype == "int8" else "int8", fill
    )
    bias = rng.integers(-(2**16), 2**16, channels).astype(np.int32)
    spread = float(np.iinfo(dtype).max) * np.iinfo(w.dtype).max * np.sqrt(w[0].size) / 3
    top = np.iinfo(dtype).max
    kind = "float32" if dtype == "int8" else "float64"
    multiplier = rng.uniform(0.3, 2.0, channels) * top / spread
    rq = Requantize(multiplier, dtype, 0 if rng.random() < 0.5 else -top - 1, top, "half_even", kind)
    residual = None
    if rng.random() < 0.5:
        shape = (len(x), channels, *geometry.output_size(9, 11))
        codes = random_codes(rng, shape, DTYPES[int(rng.integers(0, 2))])
        residual = Residual(codes, rng.uniform(0.1, 1.0, channels) * spread / 2**15)
    return x, w, bias, geometry, None if rng.random() < 0.15 else rq, residual


@quick(40)
@given(
    seed=seeds,
    width=st.sampled_from([1, 2, 4, 4, 8, 16, 3, 32]),
    group=st.integers(2, 40),
    dtype=st.sampled_from(DTYPES),
    fill=fills,
)
def check(seed, width, group, dtype, fill):
    operands = case(seed, width, min(group, 160 // width), dtype, fill)
    assert_equal(kernels.conv2d(*operands), reference.conv2d(*operands))


def test_random_groups_equal_the_reference(path):
    check()


def test_narrow_groups_have_tiles_of_their_own(path):
    def tiles(width, dtype, outputs=64):
        x, w = np.zeros((1, 64, 8, 8), dtype), np.zeros((outputs, width, 3, 3), np.int8)
        return groups_path(x, w, ConvGeometry((3, 3), group=64 // width))

    if path == isa.PORTABLE:
        assert tiles(4, np.int8) is None
        return
    for width in (2, 4, 8):
        assert tiles(width, np.int8) is not None
        assert tiles(width, np.int16) is not None
    assert tiles(32, np.int8) is None
    assert tiles(4, np.int8, 128) is None


def test_several_threads_share_pixels_and_panels(path, monkeypatch):
    monkeypatch.setenv(threads.VARIABLE, "3")
    rng = np.random.default_rng(6)
    for size in (40, 150):
        x, w = random_codes(rng, (1, 256, size, 20), "int8"), random_codes(rng, (256, 8, 3, 3), "int8")
        rq = Requantize(rng.uniform(1e-3, 1e-2, 256), "int8", -128, 127)
        operands = (x, w, None, ConvGeometry((3, 3), pads=(1, 1, 1, 1), group=32), rq)
        assert_equal(kernels.conv2d(*operands), reference.conv2d(*operands))
