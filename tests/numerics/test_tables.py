"""Tables: 256 entries hold the rounded function, segments stay near the exact table, and say how near."""

from __future__ import annotations

import numpy as np
import pytest

from qworkbench.errors import EmulationError
from qworkbench.numerics import build_table8, build_table16, reference

EVERY = np.arange(-32768, 32768).astype(np.int16)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_table8_is_the_rounded_function_of_every_code():
    table = build_table8(sigmoid, 0.05, 1 / 127, "int8", "half_even")
    assert table.dtype == np.int8
    q = np.arange(-128, 128)
    np.testing.assert_array_equal(table, np.rint(sigmoid(q * 0.05) * 127))


def test_table8_saturates_infinity_and_maps_nan_to_zero():
    table = build_table8(lambda x: 1 / x, 1.0, 1 / 1000, "int8", "half_even")
    assert table[128] == 127
    assert (build_table8(lambda x: -1 / np.abs(x), 1.0, 1.0, "int16", "half_even")[128]) == -32768
    assert build_table8(np.log, 1.0, 1.0, "int8", "half_even")[:128].tolist() == [0] * 128
    assert build_table8(np.log, 1.0, 1.0, "int8", "half_even", low=1)[0] == 1


def test_table8_keeps_the_clamp_range_and_the_rounding():
    assert build_table8(lambda x: x, 1.0, 1.0, "int8", "half_even", low=0, high=6).tolist()[120:136] == [0] * 9 + [
        *range(1, 7),
        6,
    ]
    halves = {
        r: build_table8(lambda x: x, 0.5, 1.0, "int8", r)[[125, 127, 129, 131]].tolist()
        for r in ("half_even", "half_away", "half_up")
    }
    assert halves == {"half_even": [-2, 0, 0, 2], "half_away": [-2, -1, 1, 2], "half_up": [-1, 0, 1, 2]}


@pytest.mark.parametrize(
    ("fn", "s_in", "s_out", "limit"),
    [
        (sigmoid, 8 / 32768, 1 / 32768, 1),
        (np.tanh, 4 / 32768, 1 / 32768, 1),
        (np.exp, 10 / 32768, np.exp(10) / 32768, 1),
        (lambda x: x * sigmoid(x), 8 / 32768, 8 / 32768, 1),
        (lambda x: np.sqrt(np.maximum(x, 0)), 1 / 32768, 1 / 32768, 181),
    ],
    ids=["sigmoid", "tanh", "exp", "swish", "sqrt"],
)
def test_segments_stay_near_the_exact_table_and_curvature_is_never_worse(fn, s_in, s_out, limit):
    exact = reference.lut16(EVERY, build_table16(fn, s_in, s_out, "half_even", mode="exact")).astype(int)
    np.testing.assert_array_equal(exact, np.clip(np.rint(fn(EVERY * s_in) / s_out), -32768, 32767))
    error = {}
    for mode in ("uniform", "curvature"):
        table = build_table16(fn, s_in, s_out, "half_even", mode=mode)
        assert table.range.shape == (len(table.entry) + 2, 4)
        assert table.range.dtype == table.entry.dtype == np.int16
        assert len(table.entry) <= 64
        error[mode] = np.abs(reference.lut16(EVERY, table) - exact).max()
    assert error["uniform"] <= limit
    assert error["curvature"] <= max(error["uniform"], 1)


def test_curvature_spends_its_segments_where_the_function_bends():
    steep = build_table16(lambda x: np.sqrt(np.maximum(x, 0)), 1 / 32768, 1 / 32768, "half_even", mode="curvature")
    exact = build_table16(lambda x: np.sqrt(np.maximum(x, 0)), 1 / 32768, 1 / 32768, "half_even", mode="exact")
    assert np.abs(reference.lut16(EVERY, steep).astype(int) - reference.lut16(EVERY, exact)).max() <= 1
    shift = dict(zip(steep.range[1:-1, 0].tolist(), steep.range[1:-1, 2].tolist(), strict=True))
    assert shift[0] == 0  # single codes beside zero, where the slope is infinite
    assert shift[min(shift)] >= 5  # wide steps where it is flat


def test_a_segment_reproduces_its_entries():
    table = build_table16(np.sin, 1e-4, 1e-4, "half_even")
    nodes = np.arange(-32768, 32768, 16).astype(np.int16)
    np.testing.assert_array_equal(reference.lut16(nodes, table), table.entry.reshape(-1))


def test_tables_that_cannot_be_are_refused():
    with pytest.raises(EmulationError, match=r"1 \.\. 64 segments"):
        build_table16(np.sin, 1.0, 1.0, "half_even", segments=48)
    with pytest.raises(EmulationError, match="uniform, curvature or exact"):
        build_table16(np.sin, 1.0, 1.0, "half_even", mode="spline")
    with pytest.raises(EmulationError, match="rounding must be one of"):
        build_table8(np.sin, 1.0, 1.0, "int8", "down")
    with pytest.raises(EmulationError, match="256 entries"):
        reference.lut(np.zeros(3, np.int8), np.zeros(255, np.int8))
