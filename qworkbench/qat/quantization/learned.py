"""Scales that training learns: by the gradient of the rounding (LSQ), or of the clipping alone (PACT)."""

from __future__ import annotations

from torch import Tensor, maximum, minimum


def lsq(x: Tensor, scale: Tensor, axis: int, low: int, high: int) -> Tensor:
    """LSQ: rounding passes gradients, clamping stops those of `x`, and the scale has one, weighed by 1/sqrt(N qmax)."""
    weight = (x.numel() / scale.numel() * high) ** -0.5
    held = scale.detach() + (scale - scale.detach()) * weight
    if held.numel() > 1:
        shape = [1] * x.ndim
        shape[axis] = -1
        held = held.reshape(shape)
    ratio = (x / held).clamp(low, high)
    drawn: Tensor = (ratio + (ratio.round() - ratio).detach()) * held
    return drawn


def pact(x: Tensor, scale: Tensor, axis: int, low: int, high: int) -> Tensor:
    """PACT (Choi et al. 2018) for signed values: what is cut off pulls the scale, rounding passes gradients to `x`."""
    held = scale
    if held.numel() > 1:
        shape = [1] * x.ndim
        shape[axis] = -1
        held = held.reshape(shape)
    clipped = minimum(maximum(x, held * low), held * high)
    drawn: Tensor = clipped + ((clipped / held).round() * held - clipped).detach()
    return drawn


RULES = {"lsq": lsq, "pact": pact}
