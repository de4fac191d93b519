"""What the networks of inverted residuals share: a convolution with what follows it, and statistics that fit."""

from __future__ import annotations

import torch
from torch import nn


def conv(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, activation: type[nn.Module] = nn.ReLU6
) -> nn.Sequential:
    """Return convolution, batch normalisation, activation."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        activation(inplace=True),
    )


def settled(net: nn.Module) -> nn.Module:
    """Return `net` in eval mode, with the batch statistics of random images so that activations keep their size."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        net.train()(torch.rand(8, 3, 96, 96))
    return net.eval()
