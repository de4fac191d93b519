"""float16 operators beside integers: converted, they round weights and results as training does."""

from __future__ import annotations

import copy

import pytest
import torch

from qworkbench.qat import march
from qworkbench.qat.quantization import FakeQuantState, convert, get_qconfig, prepare, set_fake_quantize
from qworkbench.qat.quantization.qconfig_setter import (
    ConvDtypeTemplate,
    MatmulDtypeTemplate,
    ModuleNameQconfigSetter,
    ModuleNameTemplate,
    QconfigSetter,
    calibration_8bit_weight_16bit_act_qconfig_setter,
    qint8,
    qint16,
)
from tests.qat.nets import ALL, ResNetLike, TransformerLike


def calibrated(make, setter):
    march.set_march("nash-p")
    x = torch.randn(2, 3, 16, 16)
    made = prepare(copy.deepcopy(make().eval()), (x,), setter, check_result=None)
    made(x)
    made.eval()
    set_fake_quantize(made, FakeQuantState.VALIDATION)
    return made, x


def test_one_layer_in_float16_follows_training():
    half = get_qconfig(in_dtype=torch.float16, weight_dtype=torch.float16, out_dtype=torch.float16)
    setter = (ModuleNameQconfigSetter({"proj": half}), calibration_8bit_weight_16bit_act_qconfig_setter)
    made, x = calibrated(TransformerLike, setter)
    integers = convert(made)
    y, z = made(x).detach(), integers(x).detach()
    assert float((y - z).abs().max()) <= 0.01 * float(y.abs().max())


def test_convolutions_read_int8_and_everything_else_is_float16():
    templates = [ModuleNameTemplate({"": torch.float16}), ConvDtypeTemplate(input_dtype=qint8, weight_dtype=qint8)]
    made, x = calibrated(ResNetLike, QconfigSetter(get_qconfig(), templates))
    y, z = made(x).detach(), convert(made)(x).detach()
    assert float((y - z).abs().max()) <= 0.01 * float(y.abs().max())


def test_an_integer_operator_behind_a_float16_one_quantizes_what_it_reads():
    half = get_qconfig(in_dtype=torch.float16, weight_dtype=torch.float16, out_dtype=torch.float16)
    setter = (ModuleNameQconfigSetter({"layer1.conv1": half}), calibration_8bit_weight_16bit_act_qconfig_setter)
    made, x = calibrated(ResNetLike, setter)
    y, z = made(x).detach(), convert(made)(x).detach()
    assert float((y - z).abs().max()) <= 0.01 * float(y.abs().max())


@pytest.mark.parametrize("rest", [torch.float16, qint16])
@pytest.mark.parametrize("make", ALL)
@pytest.mark.filterwarnings("error:int32 accumulator")
def test_int16_by_int16_is_summed_without_overflow(make, rest):
    templates = [
        ModuleNameTemplate({"": rest}),
        ConvDtypeTemplate(input_dtype=qint16, weight_dtype=qint16),
        MatmulDtypeTemplate(input_dtypes=qint16),
    ]
    made, x = calibrated(make, QconfigSetter(get_qconfig(), templates))
    y, z = made(x).detach(), convert(made)(x).detach()
    assert float((y - z).abs().max()) <= 0.002 * float(y.abs().max())
