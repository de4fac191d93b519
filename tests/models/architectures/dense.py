"""Nets that answer with maps: UNet, a YOLO-like detector, RetinaNet's pyramid and shared heads, a wrapped decoder."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import qworkbench
from tests.models.architectures.convolutional import Bottleneck, ConvNormAct


# -- segmentation ----
class DoubleConv(nn.Module):
    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.double_conv = nn.Sequential(*ConvNormAct(cin, cout), *ConvNormAct(cout, cout))

    def forward(self, x: Tensor) -> Tensor:
        return self.double_conv(x)


class Up(nn.Module):
    """Upsample (transposed convolution or bilinear), pad to the skip connection, join."""

    def __init__(self, cin: int, cout: int, bilinear: bool) -> None:
        super().__init__()
        if bilinear:
            self.up: nn.Module = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            self.conv = DoubleConv(cin + cin // 2, cout)
        else:
            self.up = nn.ConvTranspose2d(cin, cin // 2, 2, 2)
            self.conv = DoubleConv(cin, cout)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        x1 = self.up(x1)
        dy, dx = x2.size()[2] - x1.size()[2], x2.size()[3] - x1.size()[3]
        x1 = F.pad(x1, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])
        return self.conv(torch.cat([x2, x1], dim=1))


class UNet(nn.Module):
    """Two levels down and up; the lower one is upsampled bilinearly, the upper one by a transposed convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.inc = DoubleConv(3, 8)
        self.down1 = nn.Sequential(nn.MaxPool2d(2), DoubleConv(8, 16))
        self.down2 = nn.Sequential(nn.MaxPool2d(2), DoubleConv(16, 32))
        self.up1 = Up(32, 16, bilinear=True)
        self.up2 = Up(16, 8, bilinear=False)
        self.outc = nn.Conv2d(8, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x1 = self.inc(x)
        x2 = self.down1(x1)
        return self.outc(self.up2(self.up1(self.down2(x2), x2), x1))


# -- one-stage detection ----
class YoloConv(nn.Module):
    def __init__(self, cin: int, cout: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(cout)
        self.act = nn.SiLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class YoloBottleneck(nn.Module):
    def __init__(self, channels: int, shortcut: bool) -> None:
        super().__init__()
        self.cv1, self.cv2 = YoloConv(channels, channels, 3), YoloConv(channels, channels, 3)
        self.add = shortcut

    def forward(self, x: Tensor) -> Tensor:
        return x + self.cv2(self.cv1(x)) if self.add else self.cv2(self.cv1(x))


class CrossStage(nn.Module):
    """Split in two, a chain of bottlenecks on one half, everything joined."""

    def __init__(self, cin: int, cout: int, depth: int = 1, shortcut: bool = True) -> None:
        super().__init__()
        self.c = cout // 2
        self.cv1 = YoloConv(cin, cout)
        self.m = nn.ModuleList(YoloBottleneck(self.c, shortcut) for _ in range(depth))
        self.cv2 = YoloConv((2 + depth) * self.c, cout)

    def forward(self, x: Tensor) -> Tensor:
        y = list(self.cv1(x).split((self.c, self.c), 1))
        y.extend(m(y[-1]) for m in self.m)
        return self.cv2(torch.cat(y, 1))


class SPPF(nn.Module):
    """One max pool three times in a row, all stages joined."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cv1, self.cv2 = YoloConv(channels, channels // 2), YoloConv(channels * 2, channels)
        self.m = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.cv1(x)
        y1 = self.m(x)
        y2 = self.m(y1)
        return self.cv2(torch.cat((x, y1, y2, self.m(y2)), 1))


class YOLO(nn.Module):
    """Backbone with SPPF, top-down and bottom-up neck, a class and a box map per scale."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.stem = YoloConv(3, 8, 3, 2)
        self.p3 = nn.Sequential(YoloConv(8, 16, 3, 2), CrossStage(16, 16))
        self.p4 = nn.Sequential(YoloConv(16, 32, 3, 2), CrossStage(32, 32), SPPF(32))
        self.upsample = nn.Upsample(None, 2, "nearest")
        self.neck_up = CrossStage(48, 16, shortcut=False)
        self.down = YoloConv(16, 16, 3, 2)
        self.neck_down = CrossStage(48, 32, shortcut=False)
        self.cls = nn.ModuleList([nn.Conv2d(c, classes, 1) for c in (16, 32)])
        self.box = nn.ModuleList([nn.Conv2d(c, 16, 1) for c in (16, 32)])

    def forward(self, images: Tensor) -> list[tuple[Tensor, Tensor]]:
        p3 = self.p3(self.stem(images))
        p4 = self.p4(p3)
        n3 = self.neck_up(torch.cat([self.upsample(p4), p3], 1))
        n4 = self.neck_down(torch.cat([self.down(n3), p4], 1))
        return [(c(x), b(x)) for c, b, x in zip(self.cls, self.box, (n3, n4), strict=True)]


class FeaturePyramid(nn.Module):
    """Lateral convolutions, the coarser level added from above, one more level by a stride."""

    def __init__(self, widths: tuple[int, ...], channels: int) -> None:
        super().__init__()
        self.inner_blocks = nn.ModuleList([nn.Conv2d(c, channels, 1) for c in widths])
        self.layer_blocks = nn.ModuleList([nn.Conv2d(channels, channels, 3, padding=1) for _ in widths])
        self.p6 = nn.Conv2d(channels, channels, 3, 2, 1)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        last = self.inner_blocks[-1](levels[-1])
        found = [self.layer_blocks[-1](last)]
        for i in range(len(levels) - 2, -1, -1):
            lateral = self.inner_blocks[i](levels[i])
            last = lateral + F.interpolate(last, size=lateral.shape[-2:], mode="nearest")
            found.insert(0, self.layer_blocks[i](last))
        return [*found, self.p6(F.relu(found[-1]))]


class RetinaHead(nn.Module):
    """The same convolutions on every level."""

    def __init__(self, channels: int, per_anchor: int, anchors: int = 3) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU())
        self.out = nn.Conv2d(channels, anchors * per_anchor, 3, padding=1)
        self.per_anchor = per_anchor

    def forward(self, levels: list[Tensor]) -> Tensor:
        found = []
        for level in levels:
            y = self.out(self.conv(level))
            n, _, h, w = y.shape
            y = y.view(n, -1, self.per_anchor, h, w).permute(0, 3, 4, 1, 2)
            found.append(y.reshape(n, -1, self.per_anchor))
        return torch.cat(found, dim=1)


class RetinaNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(ConvNormAct(3, 16, 7, 2), nn.MaxPool2d(3, 2, 1))
        self.layer1, self.layer2, self.layer3 = Bottleneck(16, 4), Bottleneck(16, 8, 2), Bottleneck(32, 16, 2)
        self.fpn = FeaturePyramid((16, 32, 64), 16)
        self.classification_head, self.regression_head = RetinaHead(16, 5), RetinaHead(16, 4)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        c3 = self.layer1(self.stem(images))
        c4 = self.layer2(c3)
        levels = self.fpn([c3, c4, self.layer3(c4)])
        return {"cls_logits": self.classification_head(levels), "bbox_regression": self.regression_head(levels)}


class PostProcessed(nn.Module):
    """A detector whose answer depends on the scores: thresholding and sorting in numpy, kept as one op."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(ConvNormAct(3, 8, 3, 2), ConvNormAct(8, 16, 3, 2))
        self.head = nn.Conv2d(16, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.detections(self.head(self.features(x)))

    @qworkbench.wrap
    def detections(self, maps: Tensor) -> Tensor:
        """Return the ten best pixels per image, (N, 10, 5), zeros where nothing scores above 0."""
        found = np.zeros((maps.shape[0], 10, 5), np.float32)
        for image, rows in zip(found, maps.numpy().reshape(maps.shape[0], 5, -1).swapaxes(1, 2), strict=True):
            best = rows[np.argsort(-rows[:, 0])][:10]
            kept = best[best[:, 0] > 0]
            image[: len(kept)] = kept
        return torch.from_numpy(found)
