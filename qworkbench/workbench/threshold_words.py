"""The thresholds around one node: how many, from where to where, along which axis, and who decided them.

Of its output, its weight, and of inputs that have one scale per channel. As plain data for panels and as sentences for
people; reads the plan and decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from qworkbench.emulator.lower.weights import stored_scales, trained_scales
from qworkbench.numerics.dtypes import QMAX
from qworkbench.placement.declared import declared_scales, still_declared

if TYPE_CHECKING:
    from qworkbench.calibration.method import CalibrationMethod
    from qworkbench.emulator.plan import Plan, Quantity
    from qworkbench.graph.ir import Graph
    from qworkbench.placement.types import Placement, ScaleGroup, Unit
    from qworkbench.workbench.config import Config


@dataclass(frozen=True, slots=True)
class Reach:
    """How far the codes of one tensor reach.

    Attributes
    ----------
    part : "output" | "weight" | "input"
    tensor : str
        Name of the value.
    dtype : str
        Of the codes; "int32" for sums that leave before any threshold.
    count : int
        1, or one threshold per channel.
    axis : int or None
        Of the channels in the tensor as the model has it; None where there is one threshold.
    low, high : float or None
        Smallest and largest threshold, the magnitude that the largest code stands for; None for int32.
    low_at, high_at : int
        Their channels.
    scale_low, scale_high : float
        Value of one code.
    source : str
        Who decided: calibration and its method, a fixed scale, the model's file, training, the weight itself.
    """

    part: str
    tensor: str
    dtype: str
    count: int
    axis: int | None
    low: float | None
    high: float | None
    low_at: int
    high_at: int
    scale_low: float
    scale_high: float
    source: str

    @property
    def text(self) -> str:
        """One line, e.g. ``weight, int8: 8 thresholds, one per channel (axis 0), 0.11 (channel 3) to 0.3 ...``."""
        what = f"{self.part} {self.tensor!r}" if self.part == "input" else self.part
        low, high, word = (
            (self.scale_low, self.scale_high, "scale") if self.low is None or self.high is None
            else (self.low, self.high, "threshold")
        )  # fmt: skip
        if self.count == 1:
            return f"{what}, {self.dtype}: {word} {high:.6g}; {self.source}"
        spread = f"{low:.6g} (channel {self.low_at}) to {high:.6g} (channel {self.high_at})"
        return (
            f"{what}, {self.dtype}: {self.count} {word}s, one per channel (axis {self.axis}), {spread}; {self.source}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON-able data."""
        return {**asdict(self), "text": self.text}


def thresholds_around(
    graph: Graph,
    placement: Placement,
    plan: Plan,
    config: Config,
    initial: Config,
    method: Callable[[str], CalibrationMethod],
    name: str,
) -> tuple[Reach, ...]:
    """Return the thresholds of the output and the weight of `name`, and of its inputs with one per channel.

    A node inside a fused unit has those of the unit. `initial` is the configuration as the model was opened, in which
    a scale that nobody fixed is the model's own; `method` tells by which one the threshold of a value is read.
    """
    if placement[name].on == "NONE":
        return ()
    unit = placement.unit_of(name)
    found = []
    value = unit.outputs[0]
    quantity = plan.quantities.get(plan.results.get(unit.tail, ""))
    if quantity is not None:
        words = _activation(graph, placement, config, initial, method, value, quantity)
        found.append(_reach("output", value, quantity, quantity.axis, words))
    if unit.name in plan.weights:
        found.append(_weight(graph, placement, plan, unit))
    for source in dict.fromkeys(unit.inputs):
        read = _codes(placement, plan, source)
        if read is not None and read.per_channel:
            words = _activation(graph, placement, config, initial, method, source, read)
            found.append(_reach("input", source, read, read.axis, words))
    return tuple(found)


def _codes(placement: Placement, plan: Plan, value: str) -> Quantity | None:
    group = placement.group(value)
    return None if group is None else plan.quantities.get(f"{placement.canonical.get(value, value)}@{group.dtype}")


def _reach(part: str, tensor: str, quantity: Quantity, axis: int, source: str) -> Reach:
    scales = quantity.scale.reshape(-1)
    low, high = int(np.argmin(scales)), int(np.argmax(scales))
    limit = QMAX[quantity.dtype] if quantity.dtype != "int32" else None
    return Reach(
        part,
        tensor,
        quantity.dtype,
        scales.size,
        axis if scales.size > 1 else None,
        None if limit is None else _finite(scales[low] * limit),
        None if limit is None else _finite(scales[high] * limit),
        low,
        high,
        float(scales[low]),
        float(scales[high]),
        source,
    )


def _finite(value: np.floating[Any]) -> float | None:
    return float(value) if math.isfinite(value) else None


def _weight(graph: Graph, placement: Placement, plan: Plan, unit: Unit) -> Reach:
    node, quantity = graph.nodes[unit.anchor], plan.weights[unit.name]
    tensor = node.inputs[1] or unit.anchor
    folded = _codes(placement, plan, unit.inputs[0])
    per_channel = folded is not None and folded.per_channel
    if node.op in ("Conv", "ConvTranspose", "Gemm") and not per_channel and trained_scales(graph, node) is not None:
        words = f"decided by {graph.training.by}"
    elif (
        node.op in ("Conv", "ConvTranspose", "Gemm")
        and not per_channel
        and unit.bn is None
        and stored_scales(graph, node, quantity.dtype) is not None
    ):
        words = "declared in the file, which stores the weight as codes"
    else:
        inside = [f"{unit.bn!r} folded in"] if unit.bn is not None else []
        inside += [f"the channels' scales of {unit.inputs[0]!r} folded in"] if per_channel else []
        words = f"the largest magnitude of {'each' if quantity.per_channel else 'its'} output channel"
        words += f", with {' and '.join(inside)}" if inside else ""
    return _reach("weight", tensor, quantity, _weight_axis(node.op, node.attrs), words)


def _weight_axis(op: str, attrs: Mapping[str, Any]) -> int:
    """Return the axis of the output channels: (in, out, h, w) of ConvTranspose, (in, out) of an untransposed Gemm."""
    return 1 if op == "ConvTranspose" or (op == "Gemm" and not attrs["transB"]) else 0


def _activation(
    graph: Graph,
    placement: Placement,
    config: Config,
    initial: Config,
    method: Callable[[str], CalibrationMethod],
    value: str,
    quantity: Quantity,
) -> str:
    if quantity.dtype == "int32":
        return "of the sums: the product of the scales that go in"
    group = placement.group(value)
    if group is None:
        return "decided inside the op"
    if group.fixed_scale is not None:
        return _fixed(graph, config, initial, group)
    chosen = method(group.values[0])
    words = f"calibration: {chosen.describe()}"
    if group.threshold_from != (value,):
        read = ", ".join(repr(name) for name in group.threshold_from[:3])
        more = f" and {len(group.threshold_from) - 3} more" if len(group.threshold_from) > 3 else ""
        words += f", {'the largest ' if len(group.threshold_from) > 1 else ''}of {read}{more}, which share one scale"
    if chosen.per_channel and not quantity.per_channel and len(graph.values[value].shape) == 4:
        words += "; one for the whole tensor, since scales per channel need a convolution on either side"
    return words


def _fixed(graph: Graph, config: Config, initial: Config, group: ScaleGroup) -> str:
    by = group.fixed_by or group.values[0]
    stored = still_declared(declared_scales(graph), config.scales).get(by)
    if stored is not None:
        return f"declared in the file at {by!r}: {stored.describe()}"
    if by in config.scales and initial.scales.get(by) == config.scales[by]:
        return f"fixed by the model itself at {by!r}"
    return f"fixed by the user at {by!r}: scale {group.fixed_scale:.6g}"
