"""Products with a number per channel, and the means that such gates come from, on surfaces: the reference says."""

from __future__ import annotations

import numpy as np
import pytest

from qworkbench.emulator import kernels
from qworkbench.emulator.kernels.calls import listening, noted
from qworkbench.emulator.kernels.surface import is_surface, new_surface, surface_of
from qworkbench.numerics import Requantize, reference
from qworkbench.numerics.arithmetic import Multiplier, Rounding

rng = np.random.default_rng(5)
BITS = {"int8": 8, "int16": 16}


def _surface(shape: tuple[int, ...], dtype: str, margin: int) -> np.ndarray:
    made = new_surface(shape, dtype, margin)
    top = 1 << (BITS[dtype] - 1)
    made[...] = rng.integers(-top, top, shape)
    made.reshape(-1)[:2] = -top, top - 1
    return made


def _requantize(dtype: str, rounding: Rounding = "half_even", kind: Multiplier | None = None) -> Requantize:
    multiplier = 0.011 if dtype == "int8" else 0.00004
    kind = kind or ("float32" if dtype == "int8" else "float64")
    return Requantize(np.array([multiplier]), dtype, -100, 120, rounding, kind)


@pytest.mark.parametrize("kind", [None, "float64", "fixed", "pow2"])
@pytest.mark.parametrize("rounding", ["half_even", "half_up", "half_away"])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("channels", [7, 32, 70])
@pytest.mark.parametrize("other", [(2, 1, 1), (1, 1, 1), (2, 5, 6), (2, 1, 6)])
def test_a_product_of_surfaces_is_prepared_and_the_references(
    channels: int, other: tuple[int, int, int], dtype: str, rounding: Rounding, kind: Multiplier | None
) -> None:
    a = _surface((2, channels, 5, 6), dtype, 1)
    b = _surface((other[0], channels, *other[1:]), dtype, 0)
    rq = _requantize(dtype, rounding, kind)
    for operands in ((a, b), (b, a)):
        with listening() as notes:
            got = kernels.mul(*operands, rq)
        assert np.array_equal(got, reference.mul(*map(np.array, operands), rq))
        if other[1:] in ((1, 1), (5, 6)):
            assert is_surface(got)
            assert noted(notes, operands, (got,)) is not None


def test_surfaces_of_other_channels_go_another_way() -> None:
    a, b = _surface((1, 16, 4, 4), "int8", 1), _surface((1, 1, 4, 4), "int8", 1)
    rq = _requantize("int8")
    assert np.array_equal(kernels.mul(a, b, rq), reference.mul(np.array(a), np.array(b), rq))


@pytest.mark.parametrize("keepdims", [True, False])
@pytest.mark.parametrize("axes", [(2, 3), (3, 2), (-1, -2)])
@pytest.mark.parametrize("channels", [6, 32])
def test_the_mean_of_images_lies_on_a_surface_again(channels: int, axes: tuple[int, int], keepdims: bool) -> None:
    x, rq = _surface((2, channels, 5, 7), "int8", 1), Requantize(np.array([1.7]), "int8", -90, 101)
    with listening() as notes:
        got = kernels.reduce_mean(x, axes, keepdims, rq)
    expected = reference.reduce_mean(np.array(x), axes, keepdims, rq)
    assert got.shape == expected.shape
    assert np.array_equal(got, expected)
    assert noted(notes, (x,), (got,)) is not None
    assert (surface_of(got) is not None) == keepdims
