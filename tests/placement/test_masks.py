"""What holds minus infinity stays in float, whatever way the model writes its mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import qworkbench as q


class Attention(nn.Module):
    """One head; `mask` combines scores and a mask."""

    def __init__(self, mask):
        super().__init__()
        self.qkv, self.out, self.mask = nn.Linear(16, 48), nn.Linear(16, 4), mask

    def forward(self, x):
        query, key, value = self.qkv(x).unsqueeze(1).chunk(3, -1)
        scores = self.mask(query @ key.transpose(2, 3) / 4)
        return self.out(nn.functional.softmax(scores, -1) @ value).squeeze(1)


UPPER = torch.ones(6, 6).triu(1)
MASKS = {
    "added": lambda s: s + torch.full((6, 6), float("-inf")).triu(1),
    "filled": lambda s: s.masked_fill(UPPER.bool(), float("-inf")),
    "large": lambda s: s + UPPER * -1e9,
    "smallest": lambda s: s + UPPER * torch.finfo(torch.float32).min,
    "subtracted": lambda s: s - UPPER * 1e9,
    "where": lambda s: torch.where(UPPER.bool(), torch.tensor(-1e30), s),
    "reshaped": lambda s: (s.flatten(0, 1) + torch.full((6, 6), float("-inf")).triu(1)).unsqueeze(1),
}


@pytest.fixture(params=MASKS)
def masked(request):
    torch.manual_seed(0)
    x = torch.randn(4, 6, 16)
    return q.Workbench(Attention(MASKS[request.param]).eval(), x[:1], calibration=x)


def test_a_masked_model_runs_without_any_edit(masked):
    run = masked.run()
    assert np.isfinite(run.outputs["output"]).all()
    assert run.table["cosine"].min() > 0.999
    first = next(unit for unit in masked.placement.units if unit.op == "MatMul")
    assert masked.placement[first.anchor].on == "BPU"


def test_what_the_future_holds_does_not_leak_through_quantization(masked):
    """The first token only sees itself, however the others change."""
    x = masked.example
    other = x.clone()
    other[:, 1:] = torch.randn(1, 5, 16)
    np.testing.assert_array_equal(masked.run(x).outputs["output"][:, 0], masked.run(other).outputs["output"][:, 0])


def test_the_reason_names_the_mask_and_run_on_bpu_is_refused(masked):
    held = [p for p in masked.placement.values() if p.reason.code == "mask"]
    softmax = next(n.name for n in masked.graph.nodes if n.op == "Softmax")
    masked.edit(q.SetPlacement(softmax, "bpu"))
    placed = masked.placement[softmax]
    assert placed.on == "CPU"
    assert placed.reason.sentence.startswith("run_on_bpu is refused")
    assert "minus infinity" in placed.reason.sentence
    assert all(p.on == "CPU" for p in held)
    assert masked.run().table["cosine"].min() > 0.999


def test_a_mask_of_small_numbers_is_an_addition_like_any_other():
    torch.manual_seed(0)
    x = torch.randn(4, 6, 16)
    wb = q.Workbench(Attention(lambda s: s + UPPER * -20).eval(), x[:1], calibration=x)
    assert all(p.reason.code != "mask" for p in wb.placement.values())
    wb.run()
