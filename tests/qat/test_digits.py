from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


def test_training_recovers_what_calibration_lost_on_digits():
    pytest.importorskip("sklearn")
    path = Path(__file__).parents[2] / "benchmarks" / "qat_digits.py"
    spec = importlib.util.spec_from_file_location("qat_digits", path)
    benchmark = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["qat_digits"] = benchmark
    spec.loader.exec_module(benchmark)
    found = benchmark.measure()
    assert found.float_model > 95
    assert found.calibrated < found.float_model - 5
    assert found.trained > found.float_model - 2.5
    assert abs(found.converted - found.trained) < 0.5
    assert found.rate_zero_is_calibration
    assert found.off_is_float
