from __future__ import annotations

import pytest


def test_training_recovers_what_calibration_lost_on_digits():
    pytest.importorskip("sklearn")
    from benchmarks.qat_digits import measure

    found = measure()
    assert found.float_model > 95
    assert found.calibrated < found.float_model - 5
    assert found.trained > found.float_model - 2.5
    assert abs(found.converted - found.trained) < 0.5
    assert found.rate_zero_is_calibration
    assert found.off_is_float
