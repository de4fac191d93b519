"""The code samples of the training documents: the same calls, names and arguments, the same printed tables."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

import qworkbench.qat as horizon
from qworkbench.qat import nn as horizon_nn
from qworkbench.qat import set_march
from qworkbench.qat.functional import centered_yuv2rgb
from qworkbench.qat.qat_mode import QATMode, get_qat_mode, set_qat_mode
from qworkbench.qat.quantization import (
    FakeCast,
    FakeQuantize,
    FakeQuantState,
    MovingAveragePerChannelMinMaxObserver,
    MovingAveragePerTensorMinMaxObserver,
    QConfig,
    QuantStub,
    convert_fx,
    fuse_fx,
    prepare_qat_fx,
    set_fake_quantize,
)
from qworkbench.qat.quantization.qconfig import default_qat_8bit_fake_quant_qconfig
from qworkbench.qat.utils.fx_helper import wrap as fx_wrap
from qworkbench.qat.utils.quant_switch import GlobalFakeQuantSwitch
from tests.qat.nets import ResNetLike


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


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.num_classes = 2
        self.cls, self.reg = nn.Conv2d(4, 2, 1), nn.Conv2d(4, 4, 1)
        self.dequant = horizon.quantization.DeQuantStub()

    def forward(self, feat):
        return self.dequant(self.cls(feat)), self.dequant(self.reg(feat))


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.quant, self.conv, self.relu = QuantStub(), nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()

    def forward(self, x):
        return self.relu(self.conv(self.quant(x)))


class Anchors(nn.Module):
    def __init__(self):
        super().__init__()
        self.dequant = horizon.quantization.DeQuantStub()

    def forward(self, feat):
        feat = self.dequant(feat)
        return torch.arange(feat.shape[2] * feat.shape[3]).float()


class Extra(nn.Module):
    """Operators that only the wrapped method calls."""

    def __init__(self):
        super().__init__()
        self.quant, self.conv = QuantStub(), nn.Conv2d(4, 4, 1)
        self.dequant = horizon.quantization.DeQuantStub()

    def forward(self, anchors, cls_scores, bbox_preds, shapes):
        assert len(shapes) == 1
        return self.dequant(self.conv(self.quant(bbox_preds))).mean() + anchors.sum() + cls_scores.sum()


class RetinaNet(nn.Module):
    def __init__(self, backbone, neck=None, head=None, anchors=None, post_process=None, loss_cls=None):
        super().__init__()
        self.backbone, self.neck, self.head = backbone, neck, head
        self.anchors, self.post_process, self.loss_cls = anchors, post_process, loss_cls

    def rearrange_head_out(self, inputs, num):
        return torch.cat([t.permute(0, 2, 3, 1).reshape(t.shape[0], -1, num) for t in inputs], dim=1)

    def forward(self, data):
        feat = self.backbone(data["img"])
        feat = self.neck(feat) if self.neck else feat
        cls_scores, bbox_preds = self.head(feat)
        if self.post_process is None:
            return cls_scores, bbox_preds
        return self._post_process(data, feat, cls_scores, bbox_preds)

    @fx_wrap()
    def _post_process(self, data, feat, cls_scores, bbox_preds):
        anchors = self.anchors(feat)
        if self.training:
            scores = self.rearrange_head_out([cls_scores], self.head.num_classes)
            boxes = self.rearrange_head_out([bbox_preds], 4)
            avg_factor = data["mask"].sum()
            if avg_factor == 0:
                avg_factor += 1
            return {"cls_loss": self.loss_cls(scores.sigmoid(), data["target"]), "reg_loss": boxes.sum() / avg_factor}
        preds = self.post_process(anchors, cls_scores, bbox_preds, [torch.tensor(s) for s in data["resized_shape"]])
        assert "pred_bboxes" not in data
        data["pred_bboxes"] = preds
        return data


def test_retinanet_with_a_wrapped_post_process_trains_and_converts():
    model = RetinaNet(Backbone(), None, Head(), Anchors(), Extra(), nn.MSELoss())
    original = model.post_process.conv
    qat_model = prepare_qat_fx(model, {"": default_qat_8bit_fake_quant_qconfig})
    data = {
        "img": torch.rand(1, 3, 4, 4), "mask": torch.ones(3), "target": torch.zeros(1, 16, 2),
        "resized_shape": [(4, 4)],
    }  # fmt: skip
    qat_model.train()
    losses = qat_model(data)
    assert set(losses) == {"cls_loss", "reg_loss"}
    (losses["cls_loss"] + losses["reg_loss"]).backward()
    assert qat_model.get_submodule("head.cls").weight.grad is not None
    assert model.post_process.conv is original  # not in place
    set_fake_quantize(qat_model, FakeQuantState.CALIBRATION)
    qat_model.eval()
    for module in qat_model.modules():
        if isinstance(module, FakeQuantize):
            module.set_state(FakeQuantState.QAT)
    trained = qat_model(dict(data))["pred_bboxes"]
    quantized = convert_fx(qat_model)
    found = quantized(dict(data))["pred_bboxes"]
    assert torch.allclose(found, trained, rtol=0.05, atol=0.5)
    kinds = {type(m).__module__.rpartition(".")[2] + "." + type(m).__name__ for m in quantized.modules()}
    assert "operators.Conv2d" in kinds
    assert not any(isinstance(m, FakeQuantize) for m in quantized.modules())


def test_partial_quantization_switches_one_part_off():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.quant, self.backbone, self.head = QuantStub(), nn.Conv2d(3, 3, 1), nn.Conv2d(3, 2, 1)
            self.dequant = horizon.quantization.DeQuantStub()

        def forward(self, x):
            x = self.backbone(self.quant(x))
            self.switch(False)
            x = self.head(x)
            self.switch(True)
            return self.dequant(x)

        def switch(self, on):
            for switch in (GlobalFakeQuantSwitch, FakeCast):
                switch.enable() if on else switch.disable()

    model = prepare_qat_fx(Model(), {"": default_qat_8bit_fake_quant_qconfig})
    x = torch.rand(1, 3, 4, 4)
    model(x)
    model.eval()
    y = model.head(x)
    GlobalFakeQuantSwitch.disable()
    plain = model.head(x)
    GlobalFakeQuantSwitch.enable()
    assert torch.equal(plain, nn.functional.conv2d(x, model.head.weight, model.head.bias))
    assert not torch.equal(y, plain)


def test_troubleshooting_switches():
    set_qat_mode(QATMode.WithBN)
    assert get_qat_mode() is QATMode.WithBN
    float_model = ResNetLike().train()
    model = prepare_qat_fx(float_model, {"": default_qat_8bit_fake_quant_qconfig})
    set_fake_quantize(model, FakeQuantState._FLOAT)
    x = torch.rand(2, 3, 16, 16)
    model.eval()
    float_model.eval()
    assert torch.equal(model(x), float_model(x))


def test_names_of_the_fusion_table():
    assert horizon_nn.quantized.FloatFunctional.add is not None
    assert horizon.quantization.register_fusion_pattern is not None
    with pytest.raises(horizon.QATError, match="was not prepared"):
        convert_fx(Net())


def test_colour_of_the_training_images():
    rgb = torch.randint(0, 256, (2, 3, 4, 4)).float()
    yuv = horizon.functional.rgb2centered_yuv(rgb, swing="full")
    assert torch.allclose(horizon.functional.bgr2centered_yuv(rgb.flip(1), swing="full"), yuv, atol=1e-4)
    assert float(yuv.min()) >= -128
