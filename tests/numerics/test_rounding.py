"""Roundings and integer multipliers against exact rational arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from qworkbench.numerics.multiplier import common_shift, fixed_point, power_of_two
from qworkbench.numerics.rounding import round_float, round_shift

ROUNDINGS = ("half_even", "half_away", "half_up")


def exactly(value: Fraction, rounding: str) -> int:
    """The definition, in rationals."""
    if rounding == "half_even":
        return round(value)
    if rounding == "half_up":
        return math.floor(value + Fraction(1, 2))
    magnitude = math.floor(abs(value) + Fraction(1, 2))
    return -magnitude if value < 0 else magnitude


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("real", [np.float32, np.float64])
def test_round_float_is_exact_also_beside_a_tie(rounding, real):
    ties = np.arange(-40, 41, dtype=real) / real(2)
    y = np.concatenate(
        [ties, np.nextafter(ties, real(99)), np.nextafter(ties, real(-99)), [real(32766.5), real(1e-30)]]
    )
    y = y.astype(real)
    assert round_float(y, rounding).astype(int).tolist() == [exactly(Fraction(float(v)), rounding) for v in y]


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("shift", [-3, 0, 1, 2, 5, 40, 62])
def test_round_shift_is_exact_for_int64_and_python_integers(rounding, shift):
    values = [*range(-70, 71), 2**57 - 1, -(2**57), 3 << max(shift - 1, 0) if shift < 50 else 1]
    expected = [exactly(Fraction(v) / Fraction(2) ** shift, rounding) for v in values]
    assert round_shift(np.array(values, dtype=np.int64), shift, rounding).tolist() == expected
    assert round_shift(np.array(values, dtype=object), shift, rounding).tolist() == expected


def test_fixed_point_keeps_31_bits():
    rng = np.random.default_rng(0)
    m = np.concatenate([2.0 ** rng.uniform(-60, 40, 2000), [1.0, 0.5, 1 - 2.0**-53, 2.0**31, 1e-300]])
    mantissa, shift = fixed_point(m)
    assert ((mantissa >= 2**30) & (mantissa < 2**31)).all()
    for value, big, s in zip(m.tolist(), mantissa.tolist(), shift.tolist(), strict=True):
        held = Fraction(big) / Fraction(2) ** s
        assert abs(held - Fraction(value)) <= Fraction(value) / 2**31


def test_power_of_two_is_the_nearest_in_log2():
    rng = np.random.default_rng(0)
    m = 2.0 ** rng.uniform(-50, 20, 2000)
    mantissa, shift = power_of_two(m)
    assert (mantissa == 2**30).all()
    np.testing.assert_array_equal(30 - shift, np.floor(np.log2(m) + 0.5).astype(int))
    exact = 2.0 ** np.arange(-20, 20)
    np.testing.assert_array_equal(np.ldexp(1.0, (30 - power_of_two(exact)[1]).astype(int)), exact)


def test_common_shift_rounds_only_the_smaller_ratio():
    left, right, shift = common_shift(0.75, 0.75 / 2**20 * (1 + 2.0**-13), "fixed")
    assert Fraction(left) / Fraction(2) ** shift == Fraction(3, 4)
    assert (
        abs(Fraction(right) / Fraction(2) ** shift - Fraction(0.75 / 2**20 * (1 + 2.0**-13)))
        <= Fraction(1, 2) / 2**shift
    )
    assert common_shift(1.0, 2.0**-40, "pow2")[1] == 0
