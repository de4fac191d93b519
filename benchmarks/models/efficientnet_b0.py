"""EfficientNet-B0 as published (gated inverted residuals, 3 x 3 and 5 x 5), random weights, for the benchmarks."""

from __future__ import annotations

import torch
from models.parts import conv, settled
from torch import Tensor, nn

# expansion, channels, repeats, stride, kernel
STAGES = (
    (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)  # fmt: skip


class Gate(nn.Module):
    """Squeeze and excitation: every channel times a number that follows from the means of all."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)
        self.activation = nn.SiLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same."""
        return x * torch.sigmoid(self.expand(self.activation(self.reduce(x.mean((2, 3), keepdim=True)))))


class Block(nn.Module):
    """Expand, depthwise, gate, project; a shortcut where the shapes allow it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.shortcut = stride == 1 and inputs == outputs
        self.expand: nn.Module = conv(inputs, hidden, 1, activation=nn.SiLU) if expansion != 1 else nn.Identity()
        self.depthwise = conv(hidden, hidden, kernel, stride, hidden, nn.SiLU)
        self.gate = Gate(hidden, inputs // 4)
        self.project = nn.Sequential(nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        y = self.project(self.gate(self.depthwise(self.expand(x))))
        return x + y if self.shortcut else y


class EfficientNet(nn.Module):
    """Images (N, 3, H, W) to 1,000 scores."""

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = [conv(3, 32, 3, 2, activation=nn.SiLU)]
        inputs = 32
        for expansion, channels, repeats, stride, kernel in STAGES:
            for index in range(repeats):
                blocks.append(Block(inputs, channels, kernel, stride if index == 0 else 1, expansion))
                inputs = channels
        self.features = nn.Sequential(*blocks, conv(inputs, 1280, 1, activation=nn.SiLU))
        self.pool, self.classifier = nn.AdaptiveAvgPool2d(1), nn.Linear(1280, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores."""
        return self.classifier(self.pool(self.features(x)).flatten(1))


def efficientnet_b0(seed: int = 0) -> nn.Module:
    """Return the net in eval mode."""
    torch.manual_seed(seed)
    return settled(EfficientNet())
