"""ResNet-50 as published (bottleneck blocks, stride on the 3x3), random weights, for the benchmarks."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs))


class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up to four times the width, and a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.down, self.middle = _conv(inputs, width, 1), _conv(width, width, 3, stride)
        self.up, self.relu = _conv(width, 4 * width, 1), nn.ReLU(inplace=True)
        same = stride == 1 and inputs == 4 * width
        self.shortcut: nn.Module = nn.Identity() if same else _conv(inputs, 4 * width, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, 4 width, H / stride, W / stride)."""
        y = self.relu(self.middle(self.relu(self.down(x))))
        return self.relu(self.up(y) + self.shortcut(x))


class ResNet50(nn.Module):
    """Images (N, 3, H, W) to 1,000 scores."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.relu, self.pool = _conv(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        blocks: list[nn.Module] = []
        inputs = 64
        for width, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
            for index in range(count):
                blocks.append(Bottleneck(inputs, width, stride if index == 0 else 1))
                inputs = 4 * width
        self.blocks, self.average, self.fc = nn.Sequential(*blocks), nn.AdaptiveAvgPool2d(1), nn.Linear(inputs, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores."""
        x = self.blocks(self.pool(self.relu(self.stem(x))))
        return self.fc(torch.flatten(self.average(x), 1))


def resnet50(seed: int = 0) -> ResNet50:
    """Return the net in eval mode; BatchNorm statistics are set so that activations keep their size."""
    torch.manual_seed(seed)
    net = ResNet50()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.running_mean, std=0.1)
    return net.eval()
