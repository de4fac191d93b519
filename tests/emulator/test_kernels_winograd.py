"""3 x 3 convolutions by Winograd's transforms give the reference's codes, on every path and for all codes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qworkbench.emulator import kernels
from qworkbench.emulator.kernels import isa, threads
from qworkbench.emulator.kernels.vector import winograd_layers
from qworkbench.numerics import ConvGeometry, Requantize, Residual, reference
from tests.emulator.codes import assert_equal, fills, quick, random_codes, seeds

PATHS = ("avx512vnni", "avx2")


@pytest.fixture(params=PATHS)
def path(request, monkeypatch):
    if request.param not in isa.available():
        pytest.skip(f"this processor has no {request.param}")
    monkeypatch.setenv(isa.VARIABLE, request.param)
    for limit in ("WORTH", "MOST_WEIGHTS"):  # always, so that small ones are tested
        monkeypatch.setattr(winograd_layers, limit, np.inf)
    return request.param


def case(rng, inputs, outputs, size, pads=(1, 1, 1, 1), batch=1, fill="any", residual=False, dtype="int8"):
    geometry = ConvGeometry((3, 3), pads=pads)
    x = random_codes(rng, (batch, inputs, *size), dtype, fill)
    w = random_codes(rng, (outputs, inputs, 3, 3), "int8", fill)
    bias = rng.integers(-(2**16), 2**16, outputs).astype(np.int32)
    spread = 128 * 128 * np.sqrt(9 * inputs)
    low = 0 if rng.random() < 0.5 else -128
    rq = Requantize(rng.uniform(0.3, 2.0, outputs) * 127 / spread, "int8", low, 127)
    shape = (batch, outputs, *geometry.output_size(*size))
    entering = Residual(random_codes(rng, shape, "int8"), rng.uniform(0.1, 1.0, outputs) * spread / 128)
    return x, w, bias, geometry, rq, entering if residual else None


def transformed(forms):
    return any(key[0][0].startswith("winograd") and found[0] is not None for key, found in forms["conv"].items())


@quick(25)
@given(seed=seeds, fill=fills, residual=st.booleans(), inputs=st.integers(5, 100), outputs=st.integers(1, 140))
def check(seed, fill, residual, inputs, outputs):
    rng = np.random.default_rng(seed)
    size, pads = (tuple(int(n) for n in rng.integers(*ends, count)) for ends, count in (((3, 14), 2), ((0, 3), 4)))
    operands = case(rng, inputs, outputs, size, pads, int(rng.integers(1, 4)), fill, residual)
    forms: dict = {}
    assert_equal(kernels.conv2d(*operands, forms=forms), reference.conv2d(*operands))
    # larger sums could lose bits
    assert transformed(forms) == (128 * np.abs(operands[1].astype(int)).sum(axis=(1, 2, 3)).max() < 2**25)


def test_random_convolutions_equal_the_reference(path):
    check()


@quick(25)
@given(seed=seeds, fill=fills, residual=st.booleans(), small=st.booleans(), channels=st.integers(5, 70))
def check_wide(seed, fill, residual, small, channels):
    rng = np.random.default_rng(seed)
    size, pads = (tuple(int(n) for n in rng.integers(*ends, count)) for ends, count in (((3, 14), 2), ((0, 3), 4)))
    x, w, bias, geometry, rq, entering = case(
        rng, channels, int(rng.integers(1, 140)), size, pads, int(rng.integers(1, 4)), fill, residual, "int16"
    )
    if small:  # else most sums may leave int32, and are counted where they do
        w //= 8
    wide = Requantize(rq.multiplier, "int16", -32768, 32767, "half_even", "float64")
    for other in (wide, rq, None):
        forms: dict = {}
        operands = (x, w, bias, geometry, other, entering)
        assert_equal(kernels.conv2d(*operands, forms=forms), reference.conv2d(*operands))
        assert residual or transformed(forms)


def test_random_convolutions_of_int16_equal_the_reference(path):
    check_wide()


def test_one_weight_serves_codes_of_either_size(path):
    x, w, bias, geometry, rq, _ = case(np.random.default_rng(7), 40, 90, (9, 9))
    forms: dict = {}
    for codes in (x, x.astype(np.int16) * 3, x):
        operands = (codes, w, bias, geometry, rq)
        assert_equal(kernels.conv2d(*operands, forms=forms), reference.conv2d(*operands))
    assert transformed(forms)


def test_int16_sums_that_leave_int32_are_counted_where_results_are(path):
    x = np.full((1, 80, 6, 7), -32768, np.int16)  # windows reach beyond these 6 x 7 pixels
    w = np.full((70, 80, 3, 3), -128, np.int8)
    w[::2] = 127
    operands = (x, w, None, ConvGeometry((3, 3), pads=(1, 1, 1, 1)), None)
    found = kernels.conv2d(*operands)
    assert_equal(found, reference.conv2d(*operands))
    assert found[1] > 0


@pytest.mark.parametrize("sign", [1, -1])
def test_sums_just_below_the_bound_are_exact(path, sign):
    inputs = 2**25 // (128 * 127 * 9)  # 128 * 127 * 9 * inputs < 2**25
    x = np.full((1, inputs, 6, 6), -128, np.int8)
    w = np.full((3, inputs, 3, 3), 127 * sign, np.int8)
    w[1] = random_codes(np.random.default_rng(0), w[1].shape, "int8")
    rq = Requantize(np.full(3, 127 / 2**25), "int8", -128, 127)
    operands, forms = (x, w, None, ConvGeometry((3, 3), pads=(1, 1, 1, 1)), rq), {}
    assert_equal(kernels.conv2d(*operands, forms=forms), reference.conv2d(*operands))
    assert transformed(forms)


def test_a_ratio_without_two_integers_and_an_int16_residual_go_the_direct_way(path):
    x, w, bias, geometry, rq, _ = case(np.random.default_rng(1), 40, 24, (9, 9))
    codes = random_codes(np.random.default_rng(2), (1, 24, 9, 9), "int8")
    for residual in (Residual(codes, np.full(24, 70000.0)), Residual(codes.astype(np.int16), np.full(24, 3.1))):
        forms: dict = {}
        operands = (x, w, bias, geometry, rq, residual)
        assert_equal(kernels.conv2d(*operands, forms=forms), reference.conv2d(*operands))
        assert not transformed(forms)


def test_other_outputs_than_int8_go_the_direct_way(path):
    x, w, bias, geometry, rq, _ = case(np.random.default_rng(3), 40, 24, (9, 9))
    wide = Requantize(rq.multiplier * 200, "int16", -32768, 32767, "half_even", "float64")
    for other in (None, wide):
        assert_equal(kernels.conv2d(x, w, bias, geometry, other), reference.conv2d(x, w, bias, geometry, other))


def test_several_threads_share_blocks_and_panels(path, monkeypatch):
    monkeypatch.setenv(threads.VARIABLE, "3")
    for size in ((40, 44), (12, 12)):  # many blocks, one block
        operands = case(np.random.default_rng(4), 96, 320, size, residual=True)
        assert_equal(kernels.conv2d(*operands), reference.conv2d(*operands))


def test_a_chain_reads_surfaces_and_leaves_margins_zero(path):
    rng = np.random.default_rng(5)
    x, first, bias, geometry, rq, _ = case(rng, 3, 40, (18, 22))
    second = random_codes(rng, (40, 40, 3, 3), "int8")

    def chain(ops):
        y, _ = ops.conv2d(x, first, bias, geometry, rq)
        for _ in range(3):
            y, _ = ops.conv2d(y, second, bias, geometry, rq, Residual(y, np.full(40, 50.3)))
        return y

    assert_equal(chain(kernels), chain(reference))


def test_large_weights_and_small_images_go_the_direct_way():
    geometry = ConvGeometry((3, 3), pads=(1, 1, 1, 1))
    few, many = (np.zeros((n, n, 3, 3), np.int8) for n in (64, 512))
    image, spot = np.zeros((1, 64, 56, 56), np.int8), np.zeros((1, 512, 7, 7), np.int8)
    if isa.chosen() in PATHS:
        assert winograd_layers.winograd_for(image, few, geometry, lambda: 0) is not None
    assert winograd_layers.winograd_for(spot, many, geometry, lambda: 0) is None
