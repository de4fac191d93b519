"""Operators that ONNX names but the vocabulary does not, as plain torch functions: fast, and they run on the CPU.

Each is the content of ``Node.call`` under its ONNX name, as the torch front end carries the same operators. What is
not here is run by onnx.reference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def _scatter_nd(data: Tensor, indices: Tensor, updates: Tensor, reduction: str) -> Tensor:
    index = tuple(indices.long().unbind(-1))
    out = data.clone()
    if reduction == "none":
        out[index] = updates
        return out
    return out.index_put_(index, updates, accumulate=True)


def _gather_nd(data: Tensor, indices: Tensor) -> Tensor:
    return data[tuple(indices.long().unbind(-1))]


def _positive(index: Tensor, size: int) -> Tensor:
    return torch.where(index < 0, index + size, index).long()


def _gather_elements(x: Tensor, index: Tensor, axis: int) -> Tensor:
    return torch.gather(x, axis, _positive(index, x.shape[axis]))


def _scatter_elements(x: Tensor, index: Tensor, updates: Tensor, axis: int) -> Tensor:
    return torch.scatter(x, axis, _positive(index, x.shape[axis]), updates)


def _grid_sample(x: Tensor, grid: Tensor, mode: str, padding_mode: str, align_corners: bool) -> Tensor:
    return F.grid_sample(x, grid, mode, padding_mode, align_corners)


def _top_k(x: Tensor, k: int, axis: int, largest: bool, ordered: bool) -> tuple[Tensor, Tensor]:
    values, indices = torch.topk(x, k, axis, largest, ordered)
    return values, indices


def _cumulative_sum(x: Tensor, axis: int, exclusive: bool, reverse: bool) -> Tensor:
    y = x.flip(axis) if reverse else x
    total = torch.cumsum(y, axis, dtype=x.dtype)
    total = total - y if exclusive else total
    return total.flip(axis) if reverse else total


def _mod(x: Tensor, y: Tensor, truncated: bool) -> Tensor:
    return torch.fmod(x, y) if truncated else torch.remainder(x, y)


def _truncated_division(x: Tensor, y: Tensor) -> Tensor:
    return torch.div(x, y, rounding_mode="trunc")


def _cast(x: Tensor, to: str) -> Tensor:
    return x.to(getattr(torch, to))


def _length(x: Tensor, axes: tuple[int, ...], keepdims: bool, order: float) -> Tensor:
    found: Tensor = torch.linalg.vector_norm(x, order, axes, keepdims)
    return found


def _sum_square(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    return torch.sum(x * x, axes, keepdims)


def _log_sum_exp(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    return torch.logsumexp(x, axes, keepdims)


def _blocks(weight: Tensor, order: tuple[int, ...]) -> Tensor:
    """Return the gates of `weight`, stacked along axis 0 in ONNX order, in torch's."""
    parts = weight.chunk(len(order), 0)
    return torch.cat([parts[i] for i in order], 0)


def _parameters(weight: Tensor, recurrence: Tensor, bias: Tensor | None, order: tuple[int, ...]) -> list[Tensor]:
    found: list[Tensor] = []
    for d in range(weight.shape[0]):
        found += [_blocks(weight[d], order), _blocks(recurrence[d], order)]
        if bias is not None:
            first, second = bias[d].chunk(2, 0)
            found += [_blocks(first, order), _blocks(second, order)]
    return found


def recurrent(kind: str, direction: str, slots: tuple[bool, ...], *tensors: Tensor) -> tuple[Tensor, ...]:
    """Return the outputs of ONNX LSTM (Y, Y_h, Y_c) or GRU (Y, Y_h).

    Parameters
    ----------
    kind : "LSTM" | "GRU"
        GRU with ``linear_before_reset`` 1, as torch computes it.
    direction : "forward" | "reverse" | "bidirectional"
    slots : tuple of bool
        Which of bias, initial hidden state and initial cell state are given, behind X, W and R.
    tensors : Tensor
        X (length, batch, input), W and R (directions, gates * hidden, ...), then what `slots` says.
    """
    x, weight, recurrence, *rest = tensors
    given = iter(rest)
    bias, hidden, cell = (next(given) if there else None for there in slots)
    directions, size = weight.shape[0], recurrence.shape[-1]
    zeros = x.new_zeros(directions, x.shape[1], size)
    hidden, cell = zeros if hidden is None else hidden, zeros if cell is None else cell
    x = x.flip(0) if direction == "reverse" else x
    order = (0, 2, 3, 1) if kind == "LSTM" else (1, 0, 2)
    parameters = _parameters(weight, recurrence, bias, order)
    settings = (bias is not None, 1, 0.0, False, directions == 2, False)
    if kind == "LSTM":
        y, last, cell = torch.lstm(x, (hidden, cell), parameters, *settings)
    else:
        y, last = torch.gru(x, hidden, parameters, *settings)
    y = y.reshape(x.shape[0], x.shape[1], directions, size).permute(0, 2, 1, 3)
    y = y.flip(0) if direction == "reverse" else y
    return (y, last, cell) if kind == "LSTM" else (y, last)


def _dequantized(q: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    return (q.to(scale.dtype) - (0 if zero is None else zero.to(scale.dtype))) * scale


def _response_norm(x: Tensor, size: int, alpha: float, beta: float, bias: float) -> Tensor:
    """Return ``x / (bias + alpha / size * sum of squares over size channels) ** beta``."""
    before = (size - 1) // 2
    space = (0, 0) * (x.dim() - 2)
    squares = F.pad(x * x, (*space, before, size - 1 - before)).unfold(1, size, 1).sum(-1)
    return x / (bias + alpha / size * squares) ** beta


def max_pool_positions(
    x: Tensor, kernel: tuple[int, ...], strides: tuple[int, ...], pads: tuple[int, ...], dilations: tuple[int, ...],
    ceil_mode: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Return the maxima over windows, and where they lie in the flattened `x`."""
    pool = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[len(kernel)]
    values, positions = pool(x, kernel, strides, pads, dilations, ceil_mode, True)
    plane = x[0, 0].numel()
    offset = torch.arange(x.shape[0] * x.shape[1], device=x.device) * plane
    return values, positions + offset.reshape(*x.shape[:2], *(1,) * len(kernel))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "Not": torch.logical_not,
    "And": torch.logical_and,
    "Or": torch.logical_or,
    "Xor": torch.logical_xor,
    "Where": torch.where,
    "IsNaN": torch.isnan,
    "Mod": _mod,
    "Div": _truncated_division,
    "Cast": _cast,
    "ScatterND": _scatter_nd,
    "GatherND": _gather_nd,
    "GatherElements": _gather_elements,
    "ScatterElements": _scatter_elements,
    "GridSample": _grid_sample,
    "TopK": _top_k,
    "CumSum": _cumulative_sum,
    "Length": _length,
    "ReduceSumSquare": _sum_square,
    "ReduceLogSumExp": _log_sum_exp,
    "Tile": torch.tile,
    "LRN": _response_norm,
    "DequantizeLinear": _dequantized,
    "MaxPool": max_pool_positions,
}
"""Torch functions by operator name; handlers bind their attributes."""
