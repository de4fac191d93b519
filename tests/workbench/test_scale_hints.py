"""A fixed scale that has nothing to do with the measured range is set, and told with that range."""

from __future__ import annotations

import warnings

import pytest

import qworkbench as q
from qworkbench.errors import EditError, QWorkbenchWarning


@pytest.mark.parametrize(
    ("scale", "told"),
    [(1e30, "every value becomes 0"), (1e-30, "nearly all is cut"), (2e-38, "nearly all is cut")],
)
def test_an_absurd_scale_warns_with_what_calibration_measured(wb, scale, told):
    top = wb.statistics.sketches["x"]
    with pytest.warns(QWorkbenchWarning, match=told) as caught:
        wb.edit(q.FixScale("x", scale))
    text = str(caught[0].message)
    assert f"measured {top.low:.4g} to {top.high:.4g}" in text
    assert f"gives {top.absmax / 127:.4g}" in text
    assert caught[0].filename == __file__
    assert told in str(wb.check())


def test_a_scale_with_few_codes_is_told_and_one_that_may_be_meant_is_not(wb):
    top = wb.statistics.sketches["x"].absmax
    with pytest.warns(QWorkbenchWarning, match="only the codes -3 to 3"):
        wb.edit(q.FixScale("x", top / 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for meant in (top / 127, top / 20, top / 127 / 4, 1 / 128):
            wb.edit(q.FixScale("x", meant))
    assert "calibration measured" not in str(wb.check())


def test_a_unit_conv_is_judged_by_the_tensor_that_it_copies(wb):
    wb.edit(q.InsertUnitConv("x" if "x" in wb.graph.nodes else "stem", "after"))
    with pytest.warns(QWorkbenchWarning, match="_unitconv_0.*every value becomes 0"):
        wb.edit(q.FixScale("_unitconv_0", 1e20))


@pytest.mark.parametrize("scale", [1e-39, 1e-45, 4e38])
def test_a_scale_that_float32_cannot_hold_is_refused(wb, scale):
    with pytest.raises(EditError, match="beyond float32 at full precision"):
        wb.edit(q.FixScale("x", scale))
    assert not wb.config.scales
