"""Workbench -> QconfigSetter -> prepare -> workbench: the same dtypes and scales, whatever way prepare takes."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import qworkbench as q
from qworkbench.qat.quantization import (
    DeQuantStub,
    FakeQuantState,
    PrepareMethod,
    QuantStub,
    convert,
    convert_fx,
    prepare,
    prepare_qat_fx,
    set_fake_quantize,
)
from qworkbench.qat.quantization.qconfig import default_qat_8bit_fake_quant_qconfig
from tests.qat.nets import ALL, ResNetLike, TransformerLike, UNetLike


def calibrated(make):
    model, x = make().eval(), torch.randn(2, 3, 16, 16)
    workbench = q.Workbench(model, x, calibration=torch.randn(8, 3, 16, 16), march="bayes")
    workbench.edit(*(q.SetDtype(n.name, "int16") for n in workbench.graph.nodes if n.op in ("Conv", "MatMul")))
    return model, x, workbench


def prepared(model, x, setter, method):
    made = prepare(copy.deepcopy(model), (x,), setter, method, check_result=None).train()
    made(x)
    made.eval()
    set_fake_quantize(made, FakeQuantState.VALIDATION)
    return made


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("method", [PrepareMethod.SYMBOLIC, PrepareMethod.JIT_STRIP])
def test_dtypes_and_scales_come_back(make, method):
    model, x, workbench = calibrated(make)
    setter = workbench.qconfig_setter(method.value)
    made = prepared(model, x, setter, method)
    back = q.Workbench(made, x)
    rules = setter.templates[0].rules
    assert back.qconfig_setter().templates[0].rules == rules
    assert any(rule.get("output") == "qint16" for rule in rules.values()) or make is TransformerLike
    assert len(rules) > 6
    integers = (convert_fx if method is PrepareMethod.SYMBOLIC else convert)(made)
    found = next(iter(back.run(x).outputs.values()))
    assert np.allclose(found, integers(x).detach().numpy(), rtol=0, atol=1e-6)  # a mean may stay in float


def test_the_code_makes_the_same_setter():
    _, _, workbench = calibrated(UNetLike)
    names = {}
    exec(workbench.qconfig_code(), names)
    assert names["setter"].templates[0].rules == workbench.qconfig_setter().templates[0].rules


def test_a_state_read_back_from_a_file_names_the_same_modules_for_several_inputs(tmp_path):
    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = QuantStub(), QuantStub()
            self.conv, self.leave = torch.nn.Conv2d(3, 4, 3), DeQuantStub()

        def forward(self, a, b):
            return self.leave(self.conv(self.first(a)) + self.conv(self.second(b)))

    model, x = Two().eval(), (torch.randn(1, 3, 8, 8), torch.randn(1, 3, 8, 8))
    workbench = q.Workbench(model, x, calibration=[x], march="bayes")
    workbench.save(tmp_path / "state.qwb.json")
    opened = q.Workbench.open(tmp_path / "state.qwb.json", model)
    assert opened.qconfig_code() == workbench.qconfig_code()


def test_a_file_has_no_modules_to_name(tmp_path):
    pytest.importorskip("onnx")
    _, x, workbench = calibrated(UNetLike)
    opened = q.Workbench(workbench.to_onnx(tmp_path / "u.onnx"), x, calibration=torch.randn(4, 3, 16, 16))
    with pytest.raises(q.QWorkbenchError, match="load the module instead of a file"):
        opened.qconfig_setter()


def test_without_calibration_there_are_no_scales():
    x = torch.randn(1, 3, 16, 16)
    with pytest.raises(q.QWorkbenchError, match="calibrate first"):
        q.Workbench(ResNetLike(), x).qconfig_code()


def test_a_trained_model_hands_its_qconfig_on():
    x = torch.randn(2, 3, 16, 16)
    first = prepare_qat_fx(ResNetLike().train(), {"": default_qat_8bit_fake_quant_qconfig})
    first(x)
    first.eval()
    rules = q.Workbench(first, x).qconfig_setter().templates[0].rules
    assert rules["quant"]["threshold"] == float(first.quant.activation_post_process.scale) * 128
    assert rules["_generated_add_0"]["output"] == "qint8"
