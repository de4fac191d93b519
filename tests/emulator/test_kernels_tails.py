"""What is left of the channels behind full tiles, however many they are, leaves them as the reference says."""

from __future__ import annotations

import numpy as np
import pytest

from qworkbench.emulator import kernels
from qworkbench.numerics import ConvGeometry, Requantize, Residual, reference
from tests.emulator.codes import assert_equal, random_codes

WIDE = 64  # channels of the widest tile


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("fill", ["any", "ends"])
def test_every_number_of_channels_behind_full_tiles(path, dtype, kernel, fill):
    geometry = ConvGeometry((kernel, kernel), pads=(kernel // 2,) * 4)
    for outputs in (*range(1, WIDE + 2), *range(WIDE + 2, 3 * WIDE, 7)):
        rng = np.random.default_rng(outputs)
        x = random_codes(rng, (1 + outputs % 2, 20, 5, 7), dtype, fill)
        w = random_codes(rng, (outputs, 20, kernel, kernel), "int8", fill)
        bias = rng.integers(-(2**16), 2**16, outputs).astype(np.int32)
        info = np.iinfo(dtype)
        spread = info.max * 127.0 * np.sqrt(w[0].size) / 3
        kind = "float32" if dtype == "int8" else "float64"
        multiplier = rng.uniform(0.3, 2.0, outputs) * info.max / spread
        rq = Requantize(multiplier, dtype, info.min, info.max, "half_even", kind)
        entering = random_codes(rng, (len(x), outputs, 5, 7), dtype)
        for residual in (None, Residual(entering, rng.uniform(0.1, 1.0, outputs) * spread / info.max)):
            operands = (x, w, bias, geometry, rq, residual)
            assert_equal(kernels.conv2d(*operands), reference.conv2d(*operands))
        assert_equal(kernels.conv2d(x, w, bias, geometry, None), reference.conv2d(x, w, bias, geometry, None))


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_every_number_of_columns_of_a_product(path, dtype):
    for outputs in range(1, WIDE + 2):
        rng = np.random.default_rng(outputs)
        a, b = random_codes(rng, (2, 70, 80), dtype), random_codes(rng, (2, 80, outputs), dtype)
        info = np.iinfo(dtype)
        rq = Requantize(np.array([1 / info.max / 10]), dtype, info.min, info.max)
        assert_equal(kernels.matmul(a, b, rq), reference.matmul(a, b, rq))
