"""The eager forms: fuse by name, replace by qconfig attributes, convert."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from qworkbench.errors import UnknownNameError
from qworkbench.nn import DeQuantStub, FloatFunctional, QuantStub
from qworkbench.qat import march
from qworkbench.qat.errors import QATError
from qworkbench.qat.nn import qat
from qworkbench.qat.qat_mode import QATMode, set_qat_mode
from qworkbench.qat.quantization import (
    FakeQuantState,
    convert,
    convert_fx,
    fuse_known_modules,
    fuse_modules,
    prepare_qat,
    prepare_qat_fx,
    set_fake_quantize,
)
from qworkbench.qat.quantization.qconfig import default_qat_8bit_fake_quant_qconfig


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.quant, self.dequant = QuantStub(scale=1 / 128), DeQuantStub()
        self.conv, self.bn, self.add, self.relu = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), FloatFunctional(), nn.ReLU()
        self.last = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU6())

    def forward(self, x):
        x = self.quant(x)
        x = self.relu(self.add.add(self.bn(self.conv(x)), x))
        return self.dequant(self.last(x))


GROUPS = [["conv", "bn", "add", "relu"], ["last.0", "last.1", "last.2"]]


@pytest.fixture
def model():
    made = Residual().eval()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return made


@pytest.mark.parametrize("mode", QATMode)
def test_fused_by_name_the_values_stay_and_the_model_too(model, mode):
    set_qat_mode(mode)
    x = torch.rand(2, 3, 5, 5)
    fused = fuse_modules(model, GROUPS)
    kinds = ("ConvBNAddReLU2d", "ConvBNReLU62d") if mode is QATMode.WithBN else ("ConvAddReLU2d", "ConvReLU62d")
    assert (type(fused.add).__name__, type(fused.last[0]).__name__) == kinds
    assert isinstance(fused.conv, nn.Identity)
    assert torch.allclose(fused(x), model(x), atol=1e-5)
    assert type(model.conv) is nn.Conv2d
    assert fuse_modules(model, ["conv", "bn"], inplace=True) is model
    assert isinstance(model.bn, nn.Identity)


@pytest.mark.parametrize("mode", QATMode)
def test_eager_and_traced_models_give_the_same_codes(model, mode):
    set_qat_mode(mode)
    x = torch.rand(2, 3, 5, 5) * 2 - 1
    traced = prepare_qat_fx(copy.deepcopy(model).train(), {"": default_qat_8bit_fake_quant_qconfig})
    eager = fuse_modules(model.train(), GROUPS)
    eager.qconfig = default_qat_8bit_fake_quant_qconfig
    eager = prepare_qat(eager)
    for one in (eager, traced):
        one(x)
        one.eval()
    assert torch.equal(eager(x), traced(x))
    before = eager(x)
    integers = convert(eager)
    assert torch.equal(integers(x), convert_fx(traced)(x))
    assert torch.equal(eager(x), before)
    assert not any(isinstance(m, qat.QuantizedOperator) for m in integers.modules())
    assert convert(eager, inplace=True) is eager


def test_off_is_float_and_training_reaches_every_parameter(model):
    x = torch.rand(2, 3, 5, 5)
    fused = fuse_modules(model, GROUPS)
    fused.qconfig = default_qat_8bit_fake_quant_qconfig
    prepared = prepare_qat(fused)
    set_fake_quantize(prepared, FakeQuantState._FLOAT)
    assert torch.equal(prepared(x), fused(x))
    set_fake_quantize(prepared, FakeQuantState.QAT)
    prepared(x).square().sum().backward()
    assert all(p.grad is not None for p in prepared.parameters())
    assert all(p.grad is None for p in fused.parameters())  # a copy, unless inplace


def test_a_part_without_a_qconfig_stays_in_float_and_classes_can_be_mapped(model):
    class Mine(nn.Module):
        @classmethod
        def from_float(cls, module, qconfig):
            made = cls()
            made.module, made.qconfig = module, qconfig
            return made

        def forward(self, x):
            return self.module(x)

    model.qconfig = default_qat_8bit_fake_quant_qconfig
    model.last.qconfig = None
    prepared = prepare_qat(model, mapping={nn.Conv2d: Mine})
    assert type(prepared.last[0]) is nn.Conv2d
    assert type(prepared.conv) is Mine
    prepared(torch.rand(1, 3, 4, 4))


def test_clear_errors(model):
    with pytest.raises(UnknownNameError, match="did you mean 'conv'"):
        fuse_modules(model, ["convv", "bn"])
    with pytest.raises(QATError, match="cannot fuse BatchNorm2d, Conv2d"):
        fuse_modules(model, ["bn", "conv"])
    with pytest.raises(QATError, match="cannot fuse Conv2d, ReLU, BatchNorm2d"):
        fuse_known_modules([model.conv, model.relu, model.bn])
    with pytest.raises(QATError, match="no qconfig is given"):
        prepare_qat(model)
    model.conv.qconfig = default_qat_8bit_fake_quant_qconfig
    with pytest.raises(QATError, match="has no QuantStub with a qconfig"):
        prepare_qat(model)
    with pytest.raises(QATError, match="use prepare_qat_fx"):
        prepare_qat(model, optimize_graph=True)
    march._set.clear()
    with pytest.raises(QATError, match="call set_march first"):
        prepare_qat(model)
