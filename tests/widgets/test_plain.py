from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from qworkbench.view.plain import plain


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), None),
        (np.float32("nan"), None),
        (float("inf"), "Infinity"),
        (-np.inf, "-Infinity"),
        (np.float64(0.5), 0.5),
        (np.int8(-128), -128),
        (np.bool_(True), True),
        (np.arange(3), [0, 1, 2]),
        ((1, "a"), [1, "a"]),
        ({1: {"b": (None, 2.0)}}, {"1": {"b": [None, 2.0]}}),
        (pd.NA, "<NA>"),
    ],
)
def test_everything_becomes_json(value, expected):
    assert plain(value) == expected
    json.dumps(plain(value), allow_nan=False)
