"""The gradient preview: an estimate, marked as one, in about the order of the exact table."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import qworkbench as q


class Deep(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(*(m for _ in range(8) for m in (nn.Conv2d(8, 8, 3, padding=1), nn.ReLU6())))
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(8, 6)

    def forward(self, x):
        y = self.body(x)
        return self.head(self.pool(y + x).flatten(1))


@pytest.fixture
def deep(make_workbench):
    torch.manual_seed(0)
    x = torch.randn(8, 8, 12, 12)
    return make_workbench(Deep().eval(), x), x


def ranks(exact, estimate, column="L1"):
    keys = ["op_name", "sensitive_type", "output"]
    both = exact.merge(estimate, on=keys, suffixes=("", "_estimate"))
    assert len(both) == len(exact) == len(estimate)
    return both[column].corr(both[f"{column}_estimate"], method="spearman")


def test_the_order_is_about_that_of_the_exact_table(deep):
    wb, x = deep
    exact, estimate = wb.sensitivity(x), wb.sensitivity_preview(x, projections=8)
    assert ranks(exact, estimate) > 0.85
    assert estimate.estimate.all()
    assert estimate.L1.is_monotonic_decreasing


@pytest.mark.parametrize("metric", ["MSE", "SQNR", "COSINE"])
def test_other_distances_follow_from_the_same_power(deep, metric):
    wb, x = deep
    assert (
        ranks(wb.sensitivity(x, metric=metric), wb.sensitivity_preview(x, metric=metric, projections=8), metric) > 0.8
    )


def test_the_size_is_right_where_the_model_is_linear_behind_the_quantizer(make_workbench, samples):
    torch.manual_seed(0)
    wb = make_workbench(nn.Sequential(nn.Conv2d(3, 6, 3), nn.Conv2d(6, 2, 3)).eval(), samples)
    exact = wb.sensitivity(samples, metric="MSE").set_index(["op_name", "sensitive_type"]).MSE
    estimate = (
        wb.sensitivity_preview(samples, metric="MSE", projections=64).set_index(["op_name", "sensitive_type"]).MSE
    )
    for key in exact.index:
        assert estimate[key] == pytest.approx(exact[key], rel=0.35)


def test_several_outputs_and_a_planted_fault(wb, samples):
    wb.edit(q.FixScale("mix", 1e-4))
    estimate = wb.sensitivity_preview(samples)
    assert estimate.output.nunique() == 2
    assert estimate.op_name.iloc[0] in ("mix", "act")
    with pytest.raises(q.QWorkbenchError, match="no gradient estimate"):
        wb.sensitivity_preview(samples, metric="ATOL")
    with pytest.raises(q.QWorkbenchError, match="cancelled"):
        wb.sensitivity_preview(samples, cancelled=lambda: True)
