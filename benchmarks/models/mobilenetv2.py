"""MobileNetV2 as published (inverted residuals, width 1.0), random weights, for the benchmarks."""

from __future__ import annotations

import torch
from models.parts import conv, settled
from torch import Tensor, nn

# expansion, channels, repeats, stride
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class InvertedResidual(nn.Module):
    """Expand, depthwise 3x3, project; a shortcut where the shapes allow it."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.shortcut = stride == 1 and inputs == outputs
        self.expand: nn.Module = conv(inputs, hidden, 1) if expansion != 1 else nn.Identity()
        self.depthwise = conv(hidden, hidden, 3, stride, hidden)
        self.project = nn.Sequential(nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.shortcut else y


class MobileNetV2(nn.Module):
    """Images (N, 3, H, W) to 1,000 scores."""

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = [conv(3, 32, 3, 2)]
        inputs = 32
        for expansion, channels, repeats, stride in STAGES:
            for index in range(repeats):
                blocks.append(InvertedResidual(inputs, channels, stride if index == 0 else 1, expansion))
                inputs = channels
        self.features = nn.Sequential(*blocks, conv(inputs, 1280, 1))
        self.classifier = nn.Linear(1280, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores."""
        return self.classifier(self.features(x).mean((2, 3)))


def mobilenetv2(seed: int = 0) -> nn.Module:
    """Return the net in eval mode."""
    torch.manual_seed(seed)
    return settled(MobileNetV2())
