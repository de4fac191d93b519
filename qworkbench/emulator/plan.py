"""The integer plan: what is computed step by step, on codes or in float, with every parameter in place.

A plan is data: the builder makes it from a placement and scales, the executor runs it. Keys name tensors: ``conv1`` is
the float tensor of that value, ``conv1@int8`` its codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from types import MappingProxyType
from typing import Any

import numpy as np

from qworkbench.travel import Local, Travelling

WAYS = 4  # that a plan remembers


@dataclass(frozen=True, slots=True, eq=False)
class Quantity:
    """How codes stand for numbers: ``value = code * scale`` with one scale, or one per entry of `axis`."""

    dtype: str
    scale: np.ndarray
    axis: int = 1

    @property
    def single(self) -> np.float32:
        """The scale of a per-tensor quantity."""
        return np.float32(self.scale.reshape(-1)[0])

    @property
    def per_channel(self) -> bool:
        """Tell whether there is more than one scale."""
        return self.scale.size > 1


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One operation of the plan.

    Attributes
    ----------
    name : str
        Node or unit name, with a suffix where a unit needs several steps: ``softmax.exp``.
    unit : str
        Unit that it belongs to; boundaries carry the value's name.
    kind : str
        Key of :data:`qworkbench.emulator.steps.STEPS`.
    inputs, outputs : tuple of str
        Tensor keys.
    params : Mapping
    digest : bytes
        Of `kind` and `params`.
    made : Local
        Prepared calls by how the operands lie.
    """

    name: str
    unit: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    params: Mapping[str, Any]
    digest: bytes
    made: Local = field(default_factory=Local, repr=False)


class _Unneeded(dict[Step, tuple[str, ...]]):
    """Found from the last step backwards, as far as somebody asks: a run behind an edit asks for a few."""

    def __init__(self, steps: tuple[Step, ...]) -> None:
        super().__init__()
        self._left, self._seen, self._lock = reversed(steps), set[str](), Lock()

    def __missing__(self, step: Step) -> tuple[str, ...]:
        with self._lock:
            while step not in self:  # another thread may have come that far
                before = next(self._left)
                self[before] = tuple([key for key in {*before.inputs, *before.outputs} if key not in self._seen])
                self._seen.update(before.inputs)
        return self[step]


@dataclass(frozen=True, eq=False)
class Plan(Travelling):
    """Steps in execution order.

    Attributes
    ----------
    steps : tuple of Step
    quantities : Mapping of str to Quantity
        For every key that holds codes.
    results : Mapping of str to str
        Node name -> key of its output: codes where the node runs on the BPU, else float. Members that vanish inside a
        fused unit, and nodes with no float or integer feature output, are absent.
    outputs : tuple of str
        Float (or index) keys of the model's outputs.
    weights : Mapping of str to Quantity
        Unit -> dtype and per-channel scale of its weight.
    batch_axis : (str, int, int) or None
        Input, axis and factor that tell the batch size; None where no shape follows the batch.
    batch : int
        Batch size of the example.
    tapes : Local
        Runs that were taken down, by their steps.
    ways : Local
        Steps that lead to some keys from the inputs, by these keys.
    """

    steps: tuple[Step, ...]
    quantities: Mapping[str, Quantity]
    results: Mapping[str, str]
    outputs: tuple[str, ...]
    weights: Mapping[str, Quantity] = field(default_factory=dict)
    batch_axis: tuple[str, int, int] | None = None
    batch: int = 1
    tapes: Local = field(default_factory=Local, repr=False)
    ways: Local = field(default_factory=Local, repr=False)

    def __post_init__(self) -> None:
        for name in ("quantities", "results", "weights"):
            given = getattr(self, name)
            if type(given) is not MappingProxyType:
                object.__setattr__(self, name, MappingProxyType(dict(given)))

    @cached_property
    def unneeded(self) -> Mapping[Step, tuple[str, ...]]:
        """The keys that nobody reads behind each step."""
        return _Unneeded(self.steps)

    @cached_property
    def margins(self) -> Mapping[str, int]:
        """How far beyond their edges convolutions read results, by key, where that is more than one pixel.

        A residual lies as the sum that it enters does.
        """
        windows = [step for step in self.steps if step.kind == "conv"]
        found = {step.inputs[0]: 0 for step in windows}
        for step in reversed(windows):
            if not step.params["transposed"]:
                found[step.inputs[0]] = max(found[step.inputs[0]], *step.params["geometry"].pads)
            if step.params["residual"] is not None:
                found[step.inputs[1]] = max(found.get(step.inputs[1], 0), found.get(step.outputs[0], 0))
        for step in windows:
            if step.params["residual"] is not None:
                found[step.outputs[0]] = found[step.inputs[1]]
        return {key: margin for key, margin in found.items() if margin > 1}

    def way_to(self, keys: Set[str]) -> tuple[Step, ...]:
        """Return the steps that lead to `keys` from the inputs, in order."""
        asked = frozenset(keys)
        found: tuple[Step, ...] | None = self.ways.get(asked)
        if found is None:
            needed, way = set(keys), []
            for step in reversed(self.steps):
                if not needed.isdisjoint(step.outputs):
                    needed.update(step.inputs)
                    way.append(step)
            found = tuple(reversed(way))
            self.ways.keep(asked, found, WAYS)
        return found

    def batch_of(self, feeds: Mapping[str, np.ndarray]) -> int:
        """Return the batch size of `feeds`."""
        if self.batch_axis is None:
            return self.batch
        name, axis, factor = self.batch_axis
        return int(feeds[name].shape[axis]) // factor
