"""The code samples of the training documents: the same calls, names and arguments, the same printed tables."""

from __future__ import annotations

import operator
import re

import torch
from torch import nn

import qworkbench.qat as horizon
from qworkbench.qat import nn as horizon_nn
from qworkbench.qat import set_march
from qworkbench.qat.functional import centered_yuv2rgb
from qworkbench.qat.quantization import (
    ConvBNAddedReLUFusion,
    ConvBNAddReLUFusion,
    FakeQuantize,
    MatchAllNode,
    MovingAveragePerChannelMinMaxObserver,
    MovingAveragePerTensorMinMaxObserver,
    QConfig,
    QuantStub,
    convert_fx,
    fuse_fx,
    prepare_qat_fx,
    register_fusion_pattern,
)
from qworkbench.qat.quantization.fuse_patterns import PATTERNS
from qworkbench.qat.quantization.qconfig import default_qat_8bit_fake_quant_qconfig


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.quant = QuantStub()
        self.conv = nn.Conv2d(3, 3, 3)
        self.bn = nn.BatchNorm2d(3)
        self.relu = nn.ReLU()

    def forward(self, input):  # noqa: A002 (the name is in the printed table)
        x = self.quant(input)
        x = self.conv(x)
        x = self.bn(x)
        return self.relu(x)

    def set_qconfig(self):
        self.qconfig = default_qat_8bit_fake_quant_qconfig


def table(text):
    """Return the rows of a printed table, columns apart by two spaces; addresses blanked."""
    rows = [re.split(r"\s{2,}", re.sub(r"0x[0-9a-f]+", "0x", line.strip())) for line in text.splitlines()]
    return [row for row in rows if row[0] and not row[0].startswith("-")]


def test_customized_qconfig():
    activation_8bit_fake_quant = FakeQuantize.with_args(
        observer=MovingAveragePerTensorMinMaxObserver, dtype="qint8", ch_axis=0, averaging_constant=0
    )
    weight_8bit_fake_quant = FakeQuantize.with_args(
        observer=MovingAveragePerChannelMinMaxObserver, dtype="qint8", ch_axis=0, averaging_constant=1
    )
    custom_qconfig = QConfig(activation=activation_8bit_fake_quant, weight=weight_8bit_fake_quant)
    horizon.march.set_march(horizon.march.March.BAYES)
    model = Net()
    qat_model = horizon.quantization.prepare_qat_fx(
        model, {"module_name": {"conv": custom_qconfig, "quant": custom_qconfig}}
    )
    data = torch.rand(2, 3, 8, 8)
    qat_model(data)
    scale = qat_model.quant.activation_post_process.scale.clone()
    qat_model(data * 10)
    assert torch.equal(qat_model.quant.activation_post_process.scale, scale)
    assert qat_model.conv.weight_fake_quant.scale.shape == (3,)


def test_prepare_for_calibration_with_a_qconfig_of_one_module():
    horizon.march.set_march(horizon.march.March.BAYES)
    qat_model = horizon.quantization.prepare_qat_fx(
        Net(),
        {
            "": horizon.qconfig.default_calib_8bit_fake_quant_qconfig,
            "module_name": {"conv": horizon.qconfig.default_calib_8bit_weight_16bit_act_fake_quant_qconfig},
        },
    )
    qat_model(torch.rand(1, 3, 28, 28))
    quantized_model = horizon.quantization.convert_fx(qat_model)
    assert quantized_model.quant.dtype == "int8"
    assert quantized_model(torch.rand(1, 3, 28, 28)).int_repr().dtype == torch.int16


def test_inserting_centered_yuv2rgb_prints_the_two_tables(capsys):
    data = torch.rand(1, 3, 28, 28)
    net = Net()
    set_march("bayes")
    net.set_qconfig()
    qat_net = prepare_qat_fx(net)
    qat_net(data)
    in_training = float(qat_net.quant.activation_post_process.scale)
    quantized_net = convert_fx(qat_net)
    traced = quantized_net
    capsys.readouterr()
    traced.graph.print_tabular()
    assert table(capsys.readouterr().out) == table("""
        opcode       name     target  args        kwargs
        placeholder  input_1  input   ()          {}
        call_module  quant    quant   (input_1,)  {}
        call_module  conv     conv    (quant,)    {}
        output       output   output  (conv,)     {}
    """)
    before = traced(data)
    patterns = ["quant"]
    for n in traced.graph.nodes:
        if any(n.target == pattern for pattern in patterns):
            with traced.graph.inserting_after(n):
                new_node = traced.graph.call_function(centered_yuv2rgb, (n,), {"swing": "full"})
                n.replace_all_uses_with(new_node)
                new_node.args = (n,)
    traced.quant.scale.fill_(1.0)
    traced.recompile()
    traced.graph.print_tabular()
    assert table(capsys.readouterr().out) == table("""
        opcode         name              target                             args                 kwargs
        placeholder    input_1           input                              ()                   {}
        call_module    quant             quant                              (input_1,)           {}
        call_function  centered_yuv2rgb  <function centered_yuv2rgb at 0x>  (quant,)             {'swing': 'full'}
        call_module    conv              conv                               (centered_yuv2rgb,)  {}
        output         output            output                             (conv,)              {}
    """)
    # with the numbers of training, YUV of an RGB image gives what the RGB image gave
    node = next(n for n in traced.graph.nodes if n.name == "centered_yuv2rgb")
    node.kwargs = {"swing": "full", "mean": (0.0,), "std": (255.0,), "q_scale": in_training}
    traced.recompile()
    after = traced(horizon.functional.rgb2centered_yuv(data * 255, swing="full"))
    assert float((after.dequantize() - before.dequantize()).abs().max()) < 12 * float(before.q_scale())
    assert torch.corrcoef(torch.stack([after.dequantize().flatten(), before.dequantize().flatten()]))[0, 1] > 0.99


class ModelForFusion(nn.Module):
    def __init__(self):
        super().__init__()
        from torch.quantization import DeQuantStub

        self.quantx = QuantStub()
        self.quanty = QuantStub()
        self.conv = nn.Conv2d(3, 3, 3)
        self.bn = nn.BatchNorm2d(3)
        self.relu = nn.ReLU()
        self.dequant = DeQuantStub()

    def forward(self, x, y):
        x = self.quantx(x)
        y = self.quanty(y)
        x = self.conv(x)
        x = self.bn(x)
        x = x + y
        x = self.relu(x)
        return self.dequant(x)


def test_model_for_fusion_prints_as_documented():
    text = str(fuse_fx(ModelForFusion()))
    structure = """ModelForFusion(
  (quantx): QuantStub()
  (quanty): QuantStub()
  (conv): Identity()
  (bn): Identity()
  (relu): Identity()
  (dequant): DeQuantStub()
  (_generated_add_0): ConvAddReLU2d(
    (conv): Conv2d(3, 3, kernel_size=(3, 3), stride=(1, 1))
    (relu): ReLU()
  )
)"""
    code = """def forward(self, x, y):
    quantx = self.quantx(x);  x = None
    quanty = self.quanty(y);  y = None
    _generated_add_0 = self._generated_add_0
    add_1 = _generated_add_0(quantx, quanty);  quantx = quanty = None
    dequant = self.dequant(add_1);  add_1 = None
    return dequant"""
    assert text.startswith(structure)
    assert code in text


def test_model_for_fusion_trains_and_converts_with_torchs_own_stub():
    prepared = prepare_qat_fx(ModelForFusion(), {"": default_qat_8bit_fake_quant_qconfig})
    x, y = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 6, 6)
    prepared(x, y).sum().backward()
    prepared.eval()
    found = convert_fx(prepared)(x, y)
    wanted = prepared(x, y).detach()
    assert type(found) is torch.Tensor
    assert float((found - wanted).abs().max()) <= 1.01 * float(prepared._generated_add_0.activation_post_process.scale)


def test_the_table_of_supported_combinations_is_registered_as_printed():
    convs = (nn.Conv2d, nn.ConvTranspose2d, nn.Conv3d, nn.Linear)
    bns = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
    adds = (nn.quantized.FloatFunctional.add, horizon_nn.quantized.FloatFunctional.add, torch.add, operator.add)
    relus = (nn.ReLU, nn.ReLU6, nn.functional.relu, nn.functional.relu6)
    before = dict(PATTERNS)
    try:
        for conv in convs:
            for bn in bns:
                for add in adds:
                    for relu in relus:
                        register_fusion_pattern((bn, conv))(ConvBNAddReLUFusion)
                        register_fusion_pattern((relu, conv))(ConvBNAddReLUFusion)
                        register_fusion_pattern((add, conv, MatchAllNode))(ConvBNAddReLUFusion)
                        register_fusion_pattern((add, MatchAllNode, conv))(ConvBNAddedReLUFusion)
                        register_fusion_pattern((relu, (bn, conv)))(ConvBNAddReLUFusion)
                        register_fusion_pattern((add, (bn, conv), MatchAllNode))(ConvBNAddReLUFusion)
                        register_fusion_pattern((add, MatchAllNode, (bn, conv)))(ConvBNAddedReLUFusion)
                        register_fusion_pattern((relu, (add, conv, MatchAllNode)))(ConvBNAddReLUFusion)
                        register_fusion_pattern((relu, (add, MatchAllNode, conv)))(ConvBNAddedReLUFusion)
                        register_fusion_pattern((relu, (add, (bn, conv), MatchAllNode)))(ConvBNAddReLUFusion)
                        register_fusion_pattern((relu, (add, MatchAllNode, (bn, conv))))(ConvBNAddedReLUFusion)
        known = set(before) | {key for key in PATTERNS if nn.quantized.FloatFunctional.add in str_parts(key)}
        assert set(PATTERNS) <= known  # the same combinations were there, torch's own FloatFunctional by its name
        fused = fuse_fx(ModelForFusion())
        assert type(fused._generated_add_0).__name__ == "ConvAddReLU2d"
    finally:
        PATTERNS.clear()
        PATTERNS.update(before)


def str_parts(pattern):
    """Return the operators of a pattern, flat."""
    return [part for item in pattern for part in str_parts(item)] if isinstance(pattern, tuple) else [pattern]


def test_torchs_own_float_functional_is_fused_and_quantized():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.quant, self.conv, self.relu = QuantStub(), nn.Conv2d(3, 3, 1), nn.ReLU()
            self.add = nn.quantized.FloatFunctional()

        def forward(self, x):
            x = self.quant(x)
            return self.relu(self.add.add(self.conv(x), x))

    prepared = prepare_qat_fx(Own(), {"": default_qat_8bit_fake_quant_qconfig})
    assert type(prepared.add).__name__ == "ConvAddReLU2d"


def test_a_model_deployed_in_two_segments_gives_what_the_whole_gives():
    class TwoStages(nn.Module):
        def __init__(self):
            super().__init__()
            self.quant, self.backbone = QuantStub(scale=1 / 128), nn.Conv2d(3, 4, 3, padding=1)
            self.cut = QuantStub(scale=None)
            self.head, self.dequant = nn.Conv2d(4, 2, 1), horizon.quantization.DeQuantStub()

        def forward(self, x):
            return self.stage2(self.stage1(x))

        def stage1(self, x):
            return self.backbone(self.quant(x))

        def stage2(self, feat):
            return self.dequant(self.head(self.cut(feat)))

    class Stage(nn.Module):
        def __init__(self, *modules):
            super().__init__()
            self.chain = nn.Sequential(*modules)

        def forward(self, x):
            return self.chain(x)

    qat_model = prepare_qat_fx(TwoStages(), {"": default_qat_8bit_fake_quant_qconfig})
    x = torch.rand(1, 3, 8, 8) * 2 - 1
    qat_model(x)
    quantized = convert_fx(qat_model)
    stage1 = Stage(quantized.quant, quantized.backbone)
    stage2 = Stage(quantized.cut, quantized.head, quantized.dequant)
    feat = stage1(x)
    whole = quantized(x)
    assert torch.equal(stage2(feat), whole)
    # stage 2 alone is fed with floats, as its example input is: its QuantStub has the scale of the cut
    assert torch.equal(stage2(feat.dequantize()), whole)
    assert torch.equal(quantized.cut.scale, quantized.backbone.scale)


def test_colour_of_the_training_images():
    rgb = torch.randint(0, 256, (2, 3, 4, 4)).float()
    yuv = horizon.functional.rgb2centered_yuv(rgb, swing="full")
    assert torch.allclose(horizon.functional.bgr2centered_yuv(rgb.flip(1), swing="full"), yuv, atol=1e-4)
    assert float(yuv.min()) >= -128
