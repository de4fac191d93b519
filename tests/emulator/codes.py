"""Random codes, geometries and requantizes for the tests of kernels and reference."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from qworkbench.emulator import kernels
from qworkbench.numerics import ConvGeometry, Requantize, reference

KINDS = ("float32", "float64", "fixed", "pow2")
ROUNDINGS = ("half_even", "half_away", "half_up")
DTYPES = ("int8", "int16")


def quick(examples: int = 30) -> settings:
    return settings(max_examples=examples, deadline=None, derandomize=True)


def random_codes(rng: np.random.Generator, shape: tuple[int, ...], dtype: str, fill: str = "any") -> np.ndarray:
    """Codes over the whole range; `fill` "low" / "ends" gives the most negative code / both ends only."""
    info = np.iinfo(dtype)
    if fill == "low":
        return np.full(shape, info.min, dtype=dtype)
    if fill == "ends":
        return rng.choice(np.array([info.min, info.max], dtype=dtype), size=shape)
    return rng.integers(info.min, info.max + 1, shape).astype(dtype)


def random_requantize(
    rng: np.random.Generator, channels: int, dtype: str, kind: str, rounding: str, size: float
) -> Requantize:
    """Multipliers around 1 / `size`; half of the time with exact powers of two, so that ties occur."""
    multiplier = rng.uniform(0.2, 2.0, channels) * (np.iinfo(dtype).max / max(size, 1.0))
    if rng.random() < 0.5:
        multiplier = 2.0 ** np.round(np.log2(multiplier))
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    if rng.random() < 0.3:
        low = 0
    if rng.random() < 0.3:
        high = int(rng.integers(max(low, 1), high + 1))
    return Requantize(multiplier, dtype, int(low), int(high), rounding, kind)


fills = st.sampled_from(("any", "any", "ends", "low"))
seeds = st.integers(0, 2**32 - 1)
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def geometries(draw: st.DrawFn, group: int = 1) -> ConvGeometry:
    pads = draw(st.tuples(*(st.integers(0, 2) for _ in range(4))))
    return ConvGeometry(draw(pairs), draw(pairs), pads, draw(st.tuples(st.integers(1, 2), st.integers(1, 2))), group)


def assert_equal(found: Any, expected: Any) -> None:
    if isinstance(expected, tuple):
        for one, other in zip(found, expected, strict=True):
            assert_equal(one, other)
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    else:
        assert found == expected


def assert_same(function: str, *args: Any) -> None:
    """Kernel == reference: dtype, shape and every code."""
    assert_equal(getattr(kernels, function)(*args), getattr(reference, function)(*args))
