"""Scales of a plan: of scale groups, of tensors inside ops, and the rescale from one to another.

From thresholds, fixed scales and the arithmetic; adds no step.
"""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import numpy as np

from qworkbench.emulator.fingerprint import Plain
from qworkbench.emulator.memo import PlanMemo
from qworkbench.emulator.plan import Quantity
from qworkbench.graph.ir import Graph
from qworkbench.numerics.arithmetic import Arithmetic, Requantize
from qworkbench.numerics.dtypes import QMAX, QMIN, scale_from_threshold
from qworkbench.placement.types import Placement, ScaleGroup, Unit


class Thresholds(Protocol):
    """Where the builder reads thresholds: a value name, or ``node.part`` for a tensor inside an op."""

    def threshold(self, name: str) -> float:
        """Return the per-tensor threshold of `name`."""

    def channel_thresholds(self, name: str) -> np.ndarray | None:
        """Return per-channel thresholds of `name`, or None where one per tensor is used."""


class Scales:
    """Dtype and scale of whatever a plan quantizes, and the rescales between them."""

    def __init__(
        self, graph: Graph, placement: Placement, thresholds: Thresholds, arithmetic: Arithmetic, memo: PlanMemo
    ) -> None:
        self.graph, self.placement, self.thresholds = graph, placement, thresholds
        self.arithmetic, self.memo = arithmetic, memo
        self._arithmetic = memo.token(arithmetic)
        self._groups: list[Quantity] | None = None
        self._parts: list[tuple[str, float]] = []

    def quantity(self, value: str) -> Quantity:
        """Return dtype and scale of canonical `value` by its scale group."""
        index = self.placement.group_of[value]
        return self.group_quantity(index)

    def group_quantity(self, index: int) -> Quantity:
        """Return dtype and scale of a scale group."""
        return self.quantities_of_groups()[index]

    def quantities_of_groups(self) -> list[Quantity]:
        """Return dtype and scale of every scale group."""
        if self._groups is None:
            given = self.thresholds, self._arithmetic
            self._groups = self.memo.of_groups(self.placement.groups, given, self._scale)
        return self._groups

    def _scale(self, group: ScaleGroup) -> tuple[Quantity, bool]:
        """Return dtype and scale of `group`, and whether they follow from nothing else of the placement."""
        if group.fixed_scale is not None:
            return self.memo.quantity(group.dtype, float(np.float32(group.fixed_scale))), True
        if not self.graph.values[group.values[0]].dtype.startswith("float"):
            return self.memo.quantity(group.dtype, 1.0), True  # indices, whose scale nobody reads
        denominator = self.arithmetic.scale_denominator
        alone = len(group.values) == 1 and group.threshold_from == group.values
        channels = self.thresholds.channel_thresholds(group.values[0]) if alone else None
        if channels is not None and self._channels_allowed(group.values[0]):
            scales = [scale_from_threshold(float(t), group.dtype, denominator) for t in channels]
            return self.memo.quantity(group.dtype, np.asarray(scales, np.float32)), False
        top = max([self.thresholds.threshold(value) for value in group.threshold_from])
        return self.memo.scale_of(top, group.dtype, denominator), channels is None

    @cached_property
    def _around_values(self) -> tuple[dict[str, list[Unit]], dict[str, list[Unit]]]:
        """The units that make each value, and those that read it."""
        makers: dict[str, list[Unit]] = {}
        readers: dict[str, list[Unit]] = {}
        for unit in self.placement.units:
            for value in unit.outputs:
                makers.setdefault(value, []).append(unit)
            for value in unit.inputs:
                readers.setdefault(value, []).append(unit)
        return makers, readers

    def _channels_allowed(self, value: str) -> bool:
        """Per-channel scales need convolutions that read them (folded into weights) and one that can write them."""
        makers, readers = (found.get(value, ()) for found in self._around_values)
        bpu_readers = [u for u in readers if self.placement[u.anchor].on == "BPU"]
        channels = self.graph.shape(value)[1] if len(self.graph.shape(value)) == 4 else 0
        writes = all(u.op == "Conv" or self.placement[u.anchor].on != "BPU" for u in makers)
        reads = all(
            u.op == "Conv" and value != u.residual and self.graph.nodes[u.anchor].attrs["group"] in (1, channels)
            for u in bpu_readers
        )
        return channels > 1 and writes and reads and bool(bpu_readers)

    def part_quantity(self, name: str, dtype: str) -> Quantity:
        """Return the scale of a tensor inside an op that runs as several (``softmax.sum``)."""
        threshold = self.thresholds.threshold(name)
        self._parts.append((name, threshold))
        scale = scale_from_threshold(threshold, dtype, self.arithmetic.scale_denominator)
        return Quantity(dtype, np.asarray([scale], np.float32))

    def requantize_to(
        self, multiplier: np.ndarray | float, target: Quantity, low: int | None = None, high: int | None = None
    ) -> Requantize:
        """Return the rescale by `multiplier` to the dtype of `target`."""
        return Requantize(
            multiplier=np.atleast_1d(np.asarray(multiplier, np.float64)),
            dtype=target.dtype,
            low=QMIN[target.dtype] if low is None else low,
            high=QMAX[target.dtype] if high is None else high,
            rounding=self.arithmetic.rounding,
            kind=self.arithmetic.multiplier(target.dtype),
        )

    def rescaling(self, target: Quantity) -> tuple[Plain, ...]:
        """Return what a rescale to `target` follows from, beside the multiplier's numerator and the clamp range."""
        arithmetic, dtype = self.arithmetic, target.dtype
        return dtype, target.scale.tobytes(), arithmetic.rounding, arithmetic.multiplier(dtype)

    def ratio(self, source: Quantity, target: Quantity) -> np.ndarray:
        """Return ``s_source / s_target`` in the arithmetic of the target's multiplier model, as float64."""
        kind = self.arithmetic.multiplier(target.dtype)
        if kind == "float32":
            return np.asarray(source.scale / target.scale, np.float32).astype(np.float64)
        return source.scale.astype(np.float64) / target.scale.astype(np.float64)
