"""Normalisations by stored or computed statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qworkbench.graph.structure import Slot
from qworkbench.graph.torch_frontend.builder import Builder
from qworkbench.graph.torch_frontend.values import UnsupportedError


def batch_norm(
    b: Builder,
    input: Slot,
    running_mean: Slot | None,
    running_var: Slot | None,
    weight: Slot | None = None,
    bias: Slot | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Slot:
    """Return normalisation by running statistics; by those of the batch it has no operator."""
    if training or running_mean is None or running_var is None:
        raise UnsupportedError("batch normalization by the statistics of the batch")
    return b.emit("BatchNormalization", [input, weight, bias, running_mean, running_var], {"epsilon": eps})


def layer_norm(
    b: Builder,
    input: Slot,
    normalized_shape: Any,
    weight: Slot | None = None,
    bias: Slot | None = None,
    eps: float = 1e-5,
) -> Slot:
    """Return normalisation over the last axes."""
    return b.emit(
        "LayerNormalization", [input, weight, bias], {"normalized_shape": tuple(normalized_shape), "epsilon": eps}
    )


def group_norm(
    b: Builder,
    input: Slot,
    num_groups: int,
    weight: Slot | None = None,
    bias: Slot | None = None,
    eps: float = 1e-5,
) -> Slot:
    """Return normalisation over groups of channels."""
    return b.emit("GroupNormalization", [input, weight, bias], {"num_groups": num_groups, "epsilon": eps})


def instance_norm(
    b: Builder,
    input: Slot,
    running_mean: Slot | None = None,
    running_var: Slot | None = None,
    weight: Slot | None = None,
    bias: Slot | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Slot:
    """Return normalisation per sample and channel, or by running statistics where the layer tracks them."""
    if not use_input_stats:
        return batch_norm(b, input, running_mean, running_var, weight, bias, False, momentum, eps)
    return b.emit("InstanceNormalization", [input, weight, bias], {"epsilon": eps})


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "batch_norm": batch_norm,
    "layer_norm": layer_norm,
    "group_norm": group_norm,
    "instance_norm": instance_norm,
}
