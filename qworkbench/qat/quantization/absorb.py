"""Batch normalisation into the weight and bias before it, as :mod:`qworkbench.graph.folding` does on graphs."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn


def absorbed(weight: Tensor, bias: Tensor | None, bn: Any, conv: nn.Module) -> tuple[Tensor, Tensor]:
    """Return weight and bias with the running statistics of `bn` absorbed; float64 inside, rounded once."""
    mean, var = bn.running_mean.double(), bn.running_var.double()
    factor = 1.0 / torch.sqrt(var + float(bn.eps))
    if bn.weight is not None:
        factor = factor * bn.weight.detach().double()
    shift = (0.0 if bias is None else bias.detach().double()) - mean
    beta = bn.bias.detach().double() if bn.bias is not None else 0.0
    w = weight.detach().double()
    if isinstance(conv, nn.ConvTranspose2d):
        inputs, each = w.shape[:2]
        per_input = factor.reshape(conv.groups, each).repeat_interleave(inputs // conv.groups, 0)
        w = w * per_input.reshape(inputs, each, *(1,) * (w.ndim - 2))
    else:
        w = w * factor.reshape(-1, *(1,) * (w.ndim - 1))
    return w.to(weight.dtype), (shift * factor + beta).to(weight.dtype)


def absorb_bn(conv: Any, bn: nn.Module) -> nn.Module:
    """Return a copy of `conv` with `bn` absorbed; both stay as they are."""
    made: nn.Module = copy.deepcopy(conv)
    weight, bias = absorbed(conv.weight, conv.bias, bn, conv)
    made.weight = nn.Parameter(weight, requires_grad=conv.weight.requires_grad)
    made.bias = nn.Parameter(bias, requires_grad=conv.weight.requires_grad)
    return made
