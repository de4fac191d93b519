"""A small network on scikit-learn's digits that is hard to quantize, and a training loop like any other.

Used by the lesson on quantization-aware training. Nothing in it knows of quantization but the two stubs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qworkbench.nn import DeQuantStub, QuantStub


class HardDigits(nn.Module):
    """Two convolutions, a residual, a linear layer: images (samples, 1, 8, 8) in [0, 1] to logits (samples, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.quant = QuantStub(scale=1 / 128)
        self.conv1, self.bn1 = nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12)
        self.conv2, self.bn2 = nn.Conv2d(12, 24, 3, stride=2, padding=1), nn.BatchNorm2d(24)
        self.conv3 = nn.Conv2d(24, 24, 3, padding=1)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(24, 10)
        self.dequant = DeQuantStub()

    def forward(self, image: Tensor) -> Tensor:
        """Map images (samples, 1, 8, 8) to logits (samples, 10)."""
        x = self.relu(self.bn1(self.conv1(self.quant(image))))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.relu(x + self.conv3(x))
        return self.dequant(self.fc(x.mean((2, 3))))


def make_hard(model: HardDigits, factor: float = 60.0) -> None:
    """Scale two of twelve channels up before the first ReLU and down where they are read; in float nothing changes."""
    with torch.no_grad():
        model.bn1.weight[::6] *= factor
        model.bn1.bias[::6] *= factor
        model.conv2.weight[:, ::6] /= factor


def fit(model: nn.Module, images: Tensor, labels: Tensor, *, epochs: int, rate: float) -> None:
    """Train with Adam on batches of 64 and a cosine schedule."""
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for part in torch.split(torch.randperm(len(images)), 64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[part]), labels[part]).backward()
            optimizer.step()
        schedule.step()


def correct(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the share of images whose largest logit is right."""
    with torch.no_grad():
        return float((model(images).argmax(1) == labels).float().mean())
