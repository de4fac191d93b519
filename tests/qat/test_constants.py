"""Constants made by code: a class token expanded to the batch, a bias gathered from a table."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import qworkbench.qat as horizon
from qworkbench.nn import DeQuantStub, QuantStub
from qworkbench.qat.quantization import FakeQuantState, convert_fx, prepare_qat_fx, set_fake_quantize


class Tokens(nn.Module):
    """A class token in front of the patches, positions, and attention with a relative bias."""

    def __init__(self) -> None:
        super().__init__()
        self.quant, self.dequant = QuantStub(), DeQuantStub()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.cls_token = nn.Parameter(torch.randn(1, 1, 8))
        self.positions = nn.Parameter(torch.randn(1, 17, 8))
        self.table = nn.Parameter(torch.randn(33, 1))
        steps = torch.arange(17)
        self.register_buffer("index", (steps[:, None] - steps[None, :] + 16).reshape(-1))
        self.qk, self.head = nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(self.quant(x)).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + self.positions
        bias = self.table[self.index].view(17, 17)
        scores = torch.matmul(self.qk(x), x.transpose(1, 2)) + bias
        return self.dequant(self.head(torch.matmul(torch.softmax(scores, -1), x)))


@pytest.mark.parametrize("batch", [2, 3])
def test_constants_made_by_code_convert(batch):
    torch.manual_seed(0)
    horizon.set_march("bayes")
    model, x = Tokens().eval(), torch.randn(2, 3, 16, 16)
    made = prepare_qat_fx(model, {"": horizon.qconfig.default_qat_8bit_fake_quant_qconfig})
    made(x)
    made.eval()
    set_fake_quantize(made, FakeQuantState.VALIDATION)
    x = torch.randn(batch, 3, 16, 16)
    integers = convert_fx(made)
    y, z = made(x).detach(), integers(x).detach()
    cosine = torch.nn.functional.cosine_similarity(y.flatten(), z.flatten(), dim=0)
    assert float(cosine) > 0.995
