"""RetinaNet of the training documents: a post-process that is wrapped, since it decides on values and on training."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import qworkbench.qat as horizon
from qworkbench.qat.quantization import (
    FakeQuantize,
    FakeQuantState,
    PrepareMethod,
    QuantStub,
    convert,
    convert_fx,
    default_qat_qconfig_setter,
    prepare,
    prepare_qat_fx,
    set_fake_quantize,
)
from qworkbench.qat.quantization.qconfig import default_qat_8bit_fake_quant_qconfig
from qworkbench.qat.utils.fx_helper import wrap as fx_wrap


class RetinaNet(nn.Module):
    def __init__(
        self,
        backbone: nn.Module,
        neck: nn.Module | None = None,
        head: nn.Module | None = None,
        anchors: nn.Module | None = None,
        targets: nn.Module | None = None,
        post_process: nn.Module | None = None,
        loss_cls: nn.Module | None = None,
        loss_reg: nn.Module | None = None,
    ):
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.head = head
        self.anchors = anchors
        self.targets = targets
        self.post_process = post_process
        self.loss_cls = loss_cls
        self.loss_reg = loss_reg

    def rearrange_head_out(self, inputs: list[Tensor], num: int):
        outputs = [t.permute(0, 2, 3, 1).reshape(t.shape[0], -1, num) for t in inputs]
        return torch.cat(outputs, dim=1)

    def forward(self, data: dict):
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
            cls_scores = self.rearrange_head_out(cls_scores, self.head.num_classes)
            bbox_preds = self.rearrange_head_out(bbox_preds, 4)
            gt_labels = [
                torch.cat([data["gt_bboxes"][i], data["gt_classes"][i][:, None] + 1], dim=-1)
                for i in range(len(data["gt_classes"]))
            ]
            gt_labels = [gt_label.float() for gt_label in gt_labels]
            _, labels = self.targets(anchors, gt_labels)
            avg_factor = labels["reg_label_mask"].sum()
            if avg_factor == 0:
                avg_factor += 1
            cls_loss = self.loss_cls(
                pred=cls_scores.sigmoid(),
                target=labels["cls_label"],
                weight=labels["cls_label_mask"],
                avg_factor=avg_factor,
            )
            reg_loss = self.loss_reg(
                pred=bbox_preds, target=labels["reg_label"], weight=labels["reg_label_mask"], avg_factor=avg_factor
            )
            return {"cls_loss": cls_loss, "reg_loss": reg_loss}
        preds = self.post_process(
            anchors, cls_scores, bbox_preds, [torch.tensor(shape) for shape in data["resized_shape"]]
        )
        assert "pred_bboxes" not in data, "pred_bboxes has been in data.keys()"
        data["pred_bboxes"] = preds
        return data


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.quant, self.conv, self.relu = QuantStub(), nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()
        self.down = nn.Conv2d(4, 4, 3, 2, 1)

    def forward(self, x):
        x = self.relu(self.conv(self.quant(x)))
        return [x, self.down(x)]


class Neck(nn.Module):
    def __init__(self):
        super().__init__()
        self.lateral = nn.Conv2d(4, 4, 1)

    def forward(self, feats):
        fine, coarse = feats
        return [self.lateral(fine) + nn.functional.interpolate(coarse, scale_factor=2, mode="nearest"), coarse]


class Head(nn.Module):
    num_classes = 2

    def __init__(self):
        super().__init__()
        self.cls, self.reg = nn.Conv2d(4, 2, 1), nn.Conv2d(4, 4, 1)
        self.dequant = horizon.quantization.DeQuantStub()

    def forward(self, feats):
        return [self.dequant(self.cls(f)) for f in feats], [self.dequant(self.reg(f)) for f in feats]


class Anchors(nn.Module):
    def __init__(self):
        super().__init__()
        self.dequant = horizon.quantization.DeQuantStub()

    def forward(self, feats):
        feats = [self.dequant(feat) for feat in feats]
        return [torch.arange(f.shape[2] * f.shape[3], dtype=torch.float32)[:, None].expand(-1, 4) for f in feats]


class Targets(nn.Module):
    def forward(self, anchors, gt_labels):
        boxes = torch.cat(anchors)[None].expand(len(gt_labels), -1, -1)
        mask = torch.stack([(boxes[0, :, :1] < label[:, 4].max() + 3).float() for label in gt_labels])
        return boxes, {
            "cls_label": mask.expand(-1, -1, 2), "cls_label_mask": torch.ones_like(mask), "reg_label": boxes / 100,
            "reg_label_mask": mask,
        }  # fmt: skip


class PostProcess(nn.Module):
    """Has operators of its own, which only the wrapped method calls."""

    def __init__(self):
        super().__init__()
        self.quant, self.conv = QuantStub(), nn.Conv2d(4, 4, 1)
        self.dequant = horizon.quantization.DeQuantStub()

    def forward(self, anchors, cls_scores, bbox_preds, shapes):
        assert len(shapes) == 1
        refined = [self.dequant(self.conv(self.quant(pred))) for pred in bbox_preds]
        kept = [scores.amax(1).flatten() > 0 for scores in cls_scores]  # a result whose size depends on the data
        boxes = [pred[0].flatten(1).T[keep] + a[keep] for pred, keep, a in zip(refined, kept, anchors, strict=True)]
        return torch.cat(boxes)


class Loss(nn.Module):
    def forward(self, pred, target, weight, avg_factor):
        return ((pred - target).abs() * weight).sum() / avg_factor


def retinanet():
    torch.manual_seed(0)
    return RetinaNet(Backbone(), Neck(), Head(), Anchors(), Targets(), PostProcess(), Loss(), Loss())


def batch():
    return {
        "img": torch.rand(1, 3, 8, 8), "resized_shape": [(8, 8)],
        "gt_bboxes": [torch.rand(2, 4)], "gt_classes": [torch.tensor([0, 1])],
    }  # fmt: skip


def by_tracing(model):
    return prepare_qat_fx(model, {"": default_qat_8bit_fake_quant_qconfig}), convert_fx


def by_running(model):
    setter = default_qat_qconfig_setter
    return prepare(model, batch(), setter, method=PrepareMethod.JIT_STRIP, check_result=None), convert


@pytest.mark.parametrize("how", [by_tracing, by_running])
def test_retinanet_with_a_wrapped_post_process_trains_and_converts(how):
    model = retinanet()
    original = model.post_process.conv
    qat_model, to_integers = how(model)
    data = batch()
    optimizer = torch.optim.SGD(qat_model.parameters(), lr=0.01)
    seen = []
    qat_model.train()
    for _ in range(6):
        optimizer.zero_grad()
        losses = qat_model(dict(data))
        assert set(losses) == {"cls_loss", "reg_loss"}
        (losses["cls_loss"] + losses["reg_loss"]).backward()
        optimizer.step()
        seen.append(float(losses["cls_loss"].detach()))
    assert seen[-1] < seen[0]
    assert qat_model.get_submodule("head.cls").weight.grad is not None
    assert model.post_process.conv is original  # not in place
    qat_model.eval()
    for module in qat_model.modules():
        if isinstance(module, FakeQuantize) and not module.observed:
            module.set_state(FakeQuantState.QAT)  # the branch of inference was never run
    qat_model(dict(data))
    qat_model.eval()
    set_fake_quantize(qat_model, FakeQuantState.VALIDATION)
    trained = qat_model(dict(data))["pred_bboxes"]
    quantized = to_integers(qat_model)
    found = quantized(dict(data))["pred_bboxes"]
    assert found.shape == trained.shape
    assert torch.allclose(found, trained, rtol=0.05, atol=0.1)
    kinds = {type(m).__module__.rpartition(".")[2] + "." + type(m).__name__ for m in quantized.modules()}
    assert {"operators.Conv2d", "operators.ConvReLU2d", "operators.ConvAdd2d"} <= kinds
    assert not any(isinstance(m, FakeQuantize) for m in quantized.modules())


def test_without_a_post_process_the_scores_come_out():
    model = retinanet()
    model.post_process = None
    before = copy.deepcopy(model).eval()
    qat_model, _ = by_tracing(model)
    set_fake_quantize(qat_model, FakeQuantState._FLOAT)
    scores, boxes = qat_model(batch())
    assert [s.shape[1] for s in scores] == [2, 2]
    assert len(boxes) == len(before(batch())[1])
