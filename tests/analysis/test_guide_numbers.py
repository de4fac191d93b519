"""Numbers that the quantization accuracy tuning guide prints, computed by the product."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.analysis.distances import metrics_given
from qworkbench.analysis.metrics import compare
from qworkbench.analysis.mixed import ranked_ops, top_ops
from qworkbench.analysis.quantization_error import quantization_error
from qworkbench.analysis.worst import BadCases
from qworkbench.emulator import kernels


def test_rounding_makes_two_values_one_code_and_truncation_ends_at_0_9906():
    codes = kernels.quantize(np.array([0.0157, 0.0185, 5.0], np.float32), np.float32(0.0078), "int8", "half_even")
    assert list(codes) == [2, 2, 127]
    error = quantization_error(np.array([0.0157, 0.0185, 5.0], np.float32), "int8", np.array([0.0078], np.float32))
    assert error.limit == pytest.approx(0.9906)
    assert error.truncated == pytest.approx(1 / 3)


def test_the_row_of_backbone_mod1_0():
    """Atol 14.2325277 at scale 0.0003464 is 41088 scales; the print of the scale has seven decimals."""
    base = np.zeros(4, np.float32)
    moved = np.array([14.2325277, 0, 0, 0], np.float32)
    found = compare(base, moved, 0.00034639)
    assert found.atol == pytest.approx(14.2325277)
    assert found.max_qscale_diff == pytest.approx(41088.27, rel=2e-4)


def test_equal_sides_read_as_the_row_of_backbone_quant(make_workbench):
    """Values on the grid of 1/128: cosine 1, every error 0, SQNR inf, Atol / qscale 0."""
    codes = torch.randint(-128, 127, (4, 3, 8, 8))
    x = codes / 128
    wb = make_workbench(nn.Conv2d(3, 2, 1).eval(), x)
    wb.edit(q.FixScale("input", 1 / 128))
    row = wb.compare_layers(x).frame.set_index("mod_name").loc["input"]
    assert row.qscale == 0.0078125
    assert (row.MSE, row.L1, row.KL, row.Atol, row.Rtol, row.max_qscale_diff) == (0, 0, 0, 0, 0, 0)
    assert row.Cosine == pytest.approx(1, abs=1e-7)
    assert np.inf == row.SQNR
    assert row.base_model_min == row.analy_model_min


def test_the_three_tables_of_bad_cases_read_as_printed():
    printed = {
        "0-0": ((4, 0.969289), (1, 0.996721), (1, 11.9335)),
        "0-1": ((14, 0.974127), (1, 0.0404785), (1, 12.6742)),
        "0-2": ((12, 0.450689), (9, 1.08771), (9, 20.821809)),
    }
    metrics = metrics_given(["COSINE", "L1", "ATOL"])
    found = {(o, m.name): entry for o, row in printed.items() for m, entry in zip(metrics, row, strict=True)}
    cases = BadCases(tuple(printed), metrics, found, seen=20, finished=True)
    text = str(cases)
    for title in (
        "The bad case input index of each output:",
        "The metric results of each badcase:",
        "The bad case input index of the worst output:",
    ):
        assert title in text
    assert list(cases.indices.loc["0-2"]) == [12, 9, 9]
    assert list(cases.worst["index"]) == [12, 9, 9]  # lowest cosine, largest L1 and ATOL


def test_a_speed_of_0_to_200_has_the_scale_of_its_range(make_workbench):
    speed = torch.rand(4, 1, 4, 4) * 120
    wb = make_workbench(nn.Conv2d(1, 2, 1).eval(), speed)
    (edit,) = wb.fixed_scales({"input": (0, 200)})
    assert edit.scale == pytest.approx(200 / 127)


def test_the_top_20_percent_of_two_tables_are_joined():
    names = [f"op{k}" for k in range(10)]
    first = pd.DataFrame({"op_name": names, "sensitive_type": "activation"})
    second = pd.DataFrame({"op_name": names[::-1], "sensitive_type": "activation"})
    found = top_ops(ranked_ops([first, second], ("activation",)), 0.2)
    assert {name for name, _ in found} == {"op0", "op1", "op9", "op8"}
