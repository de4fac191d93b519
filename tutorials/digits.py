"""A small convolutional network on scikit-learn's handwritten digits, trained in seconds.

It has one of everything that placement has an opinion on: a concat branch in the middle, a residual add, a softmax at
the end, and a second output that is a concat. Used by the quickstart notebook and by ``make demo``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import sklearn.datasets
import torch
from torch import Tensor, nn

from qworkbench.nn import FloatFunctional, QuantStub


class Digits(NamedTuple):
    """Images float32 (samples, 1, 8, 8) in [0, 1], labels int64 (samples,)."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def load_digits(*, test_every: int = 5) -> Digits:
    """Return the 1,797 images of the data set that ships with scikit-learn; every fifth one is held out."""
    raw = sklearn.datasets.load_digits()
    images = torch.from_numpy((raw.images / 16.0).astype(np.float32)).unsqueeze(1)
    labels = torch.from_numpy(raw.target.astype(np.int64))
    held_out = torch.arange(len(labels)) % test_every == 0
    return Digits(images[~held_out], labels[~held_out], images[held_out], labels[held_out])


def conv_bn(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Return Conv + BatchNorm with 'same' padding."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class DigitsNet(nn.Module):
    """Stem, residual block, two-branch block joined by a concat, then two heads.

    Outputs ``probability`` (samples, 10, 1, 1) and ``embedding`` (samples, 16, 4, 4).
    """

    def __init__(self) -> None:
        super().__init__()
        self.quant = QuantStub()
        self.stem = conv_bn(1, 16)
        self.block1 = conv_bn(16, 16)
        self.block2 = conv_bn(16, 16)
        self.left = conv_bn(16, 16, 3, 2)
        self.right = conv_bn(16, 16, 1, 1)
        self.pool = nn.MaxPool2d(2)
        self.shortcut = FloatFunctional()
        self.branches = FloatFunctional()
        self.mix = conv_bn(32, 32)
        self.relu = nn.ReLU()
        self.gap = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Conv2d(32, 10, 1)
        self.softmax = nn.Softmax(dim=1)
        self.shape_head = nn.Conv2d(32, 8, 1)
        self.stroke_head = nn.Conv2d(32, 8, 3, padding=1)
        self.concat = FloatFunctional()

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Map images (samples, 1, 8, 8) to the two outputs."""
        x = self.relu(self.stem(self.quant(image)))
        x = self.relu(self.shortcut.add(self.block2(self.relu(self.block1(x))), x))
        x = self.branches.cat([self.relu(self.left(x)), self.pool(self.relu(self.right(x)))], dim=1)
        x = self.relu(self.mix(x))
        probability = self.softmax(self.classifier(self.gap(x)))
        embedding = self.concat.cat([self.shape_head(x), self.stroke_head(x)], dim=1)
        return {"probability": probability, "embedding": embedding}


def train(digits: Digits, *, epochs: int = 5, seed: int = 0) -> DigitsNet:
    """Train on the training images; a few seconds on one core."""
    torch.manual_seed(seed)
    net = DigitsNet()
    steps = epochs * -(-len(digits.train_labels) // 64)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps)
    for _ in range(epochs):
        order = torch.randperm(len(digits.train_labels))
        for batch in order.split(64):
            outputs = net(digits.train_images[batch])
            likelihood = outputs["probability"].flatten(1).clamp_min(1e-9).log()
            # the embedding is pulled towards being stable under noise, so that its head learns something, too
            noisy = net(digits.train_images[batch] + 0.05 * torch.randn_like(digits.train_images[batch]))
            drift = (outputs["embedding"] - noisy["embedding"]).square().mean()
            spread = (1.0 - outputs["embedding"].flatten(1).std(dim=0)).clamp_min(0).mean()
            loss = nn.functional.nll_loss(likelihood, digits.train_labels[batch]) + 0.1 * (drift + spread)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval()


def accuracy(probability: Tensor, labels: Tensor) -> float:
    """Return the share of right answers."""
    return float((probability.flatten(1).argmax(1) == labels).float().mean())
