"""Reference pools, resizes and reductions against torch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qworkbench.errors import EmulationError
from qworkbench.numerics import ConvGeometry, Requantize, linear_index, nearest_index, reference
from tests.emulator.codes import geometries, random_codes, seeds

quick = settings(max_examples=60, deadline=None, derandomize=True)
functional = torch.nn.functional


def symmetric(geometry: ConvGeometry) -> ConvGeometry:
    """torch pools pad both sides alike, at most half a kernel."""
    pads = tuple(min(p, k // 2) for p, k in zip(geometry.pads[:2], geometry.kernel, strict=True))
    return replace(geometry, pads=(*pads, *pads))


@quick
@given(seed=seeds, geometry=geometries(), ceil_mode=st.booleans())
def test_max_pool_equals_torch(seed, geometry, ceil_mode):
    rng = np.random.default_rng(seed)
    g = symmetric(geometry)
    x = random_codes(rng, (2, 3, *(int(n) for n in rng.integers(2, 10, 2))), "int8")
    assume(min(g.output_size(*x.shape[2:], ceil_mode=ceil_mode)) >= 1)
    expected = functional.max_pool2d(
        torch.from_numpy(x.astype(np.float32)), g.kernel, g.strides, g.pads[:2], g.dilations, ceil_mode
    )
    np.testing.assert_array_equal(reference.max_pool2d(x, g, ceil_mode), np.clip(expected.numpy(), -128, 127))


@quick
@given(seed=seeds, geometry=geometries(), ceil_mode=st.booleans(), include=st.booleans())
def test_average_pool_is_the_rounded_torch_average(seed, geometry, ceil_mode, include):
    rng = np.random.default_rng(seed)
    g = replace(symmetric(geometry), dilations=(1, 1))
    x = random_codes(rng, (2, 3, *(int(n) for n in rng.integers(2, 10, 2))), "int8")
    assume(min(g.output_size(*x.shape[2:], ceil_mode=ceil_mode)) >= 1)
    real = functional.avg_pool2d(
        torch.from_numpy(x.astype(np.float64)), g.kernel, g.strides, g.pads[:2], ceil_mode, include
    ).numpy()
    rq = Requantize(np.array([100.0]), "int16", -32768, 32767, "half_even", "float64")
    y = reference.average_pool2d(x, g, ceil_mode, include, rq)
    assert y.shape == real.shape
    assert np.abs(y - real * 100).max() <= 0.5 + 1e-9


def test_average_pool_rounds_once():
    x = np.array([[[[1, 2], [2, 2]]]], np.int8)  # mean 1.75; at half the scale 3.5, a tie
    rq = Requantize(np.array([2.0]), "int8", -128, 127, "half_even", "float32")
    assert reference.average_pool2d(x, ConvGeometry((2, 2)), False, True, rq).item() == 4
    assert reference.global_average_pool(x, rq).item() == 4
    assert reference.global_average_pool(x, replace(rq, multiplier=np.array([1.0]))).item() == 2
    assert reference.reduce_mean(x, (2, 3), True, rq).item() == 4
    assert reference.reduce_sum(x, (2, 3), False, rq).item() == 14


def test_argmax_gives_the_first_of_equals():
    x = np.array([[3, 7, 7, -1, -1]], np.int8)
    assert reference.argmax(x, 1, False).tolist() == [1]
    assert reference.argmin(x, 1, True).tolist() == [[3]]
    assert reference.argmax(x, 1, False).dtype == np.int64


def picture(length: int) -> torch.Tensor:
    return torch.arange(length, dtype=torch.float32).reshape(1, 1, length)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 13, 40])
@pytest.mark.parametrize("target", [1, 2, 5, 14, 26, 80, 97])
def test_nearest_index_picks_the_pixels_of_torch(length, target):
    for mode, ours in (("nearest", "asymmetric"), ("nearest-exact", "half_pixel")):
        expected = functional.interpolate(picture(length), size=target, mode=mode).reshape(-1).numpy()
        np.testing.assert_array_equal(nearest_index(length, target, ours), expected.astype(np.int64))


@pytest.mark.parametrize("factor", [2.0, 1.5, 0.5, 3.3, 0.7, 1.25])
@pytest.mark.parametrize("length", [3, 10, 33])
def test_indices_with_a_given_scale_factor_follow_torch(length, factor):
    target = int(length * factor)
    expected = functional.interpolate(picture(length), scale_factor=factor, mode="nearest").reshape(-1).numpy()
    np.testing.assert_array_equal(nearest_index(length, target, "asymmetric", factor), expected.astype(np.int64))
    first, second, weight = linear_index(length, target, "half_pixel", factor, bits=15)
    expected = functional.interpolate(picture(length), scale_factor=factor, mode="linear").reshape(-1).numpy()
    np.testing.assert_allclose(first + (second - first) * weight / 2**15, expected, atol=2.0**-15)


@pytest.mark.parametrize("align", [True, False])
@pytest.mark.parametrize("size", [(7, 5), (14, 10), (3, 9), (1, 1), (20, 1)])
def test_bilinear_is_torch_within_the_weights_resolution(align, size):
    rng = np.random.default_rng(0)
    x = random_codes(rng, (2, 3, 7, 5), "int8")
    real = functional.interpolate(
        torch.from_numpy(x.astype(np.float64)), size=size, mode="bilinear", align_corners=align
    )
    mode = "align_corners" if align else "half_pixel"
    for bits in (8, 12):
        y = reference.resize_bilinear(
            x, *linear_index(7, size[0], mode, bits=bits), *linear_index(5, size[1], mode, bits=bits), bits
        )
        assert np.abs(y - real.numpy()).max() <= 0.5 + 2 * 255 * 2.0 ** -(bits + 1) + 1e-3


def test_bilinear_of_a_constant_is_the_constant():
    x = np.full((1, 2, 3, 3), -128, np.int8)
    y = reference.resize_bilinear(x, *linear_index(3, 8), *linear_index(3, 5))
    assert (y == -128).all()


def test_pytorch_half_pixel_looks_at_zero_for_a_single_output():
    assert linear_index(9, 1, "pytorch_half_pixel")[0].tolist() == [0]
    assert linear_index(9, 1, "half_pixel")[0].tolist() == [4]


def test_an_unknown_coordinate_mode_is_refused():
    with pytest.raises(EmulationError, match="coordinate mode must be one of"):
        nearest_index(3, 4, "tf_crop_and_resize")
