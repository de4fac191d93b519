"""What runs of a workbench measured so far: float references, distances by what was compared, the newest answers.

Distances are found by the fingerprint of what was compared, so that undo costs nothing. Most of a run is as it was in
the run before on the same inputs, and is then not even looked up. Knows no history.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import compress, count
from operator import is_not
from threading import Lock
from typing import Any

import numpy as np
import torch

from qworkbench.analysis.metrics import Metrics
from qworkbench.emulator.copies import Copies
from qworkbench.emulator.execute import fingerprints
from qworkbench.emulator.fingerprint import Chain
from qworkbench.emulator.kernels.distance_sums import Reference
from qworkbench.emulator.plan import Plan
from qworkbench.emulator.prints import prints_after
from qworkbench.graph.execute import run_float
from qworkbench.graph.feeds import feeds_of
from qworkbench.graph.ir import Graph
from qworkbench.workbench.stages import Compared

Compareds = tuple[Compared, ...]
Place = tuple[bytes, bytes, str, bytes]
"""Inputs, what was compared, the float value, the scale: what a distance follows from."""
STALE = 2  # times as many fingerprints as a plan has, and those of former plans go


@dataclass(frozen=True, eq=False)
class Answered:
    """A finished run: its plan, fingerprints, what was compared, and the distances that were found."""

    plan: Plan
    prints: dict[str, bytes]
    compared: Compareds
    found: dict[str, Metrics]

    def still(self, compared: Compareds, changed: set[str]) -> tuple[dict[str, Metrics], list[Compared]]:
        """Return the distances that hold where `changed` are the keys with other content, and what is left to find."""
        was, found = self.compared, dict(self.found)
        shorter = min(len(was), len(compared))
        first = next(compress(count(), map(is_not, was, compared)), shorter)
        last = next(compress(count(), map(is_not, reversed(was), reversed(compared))), shorter)
        last = min(last, shorter - first)
        for one in was[first : len(was) - last]:
            found.pop(one.node, None)
        left = [one for one in compared[:first] if one.key in changed]
        left += compared[first : len(compared) - last]
        left += [one for one in compared[len(compared) - last :] if one.key in changed]
        return found, left


@dataclass
class Measured:
    """Float references and distances that were computed so far, for the last few inputs."""

    keep: int = 2
    references: dict[bytes, dict[str, np.ndarray]] = field(default_factory=dict)
    compared: dict[bytes, dict[str, Reference]] = field(default_factory=dict)
    metrics: dict[Place, Metrics] = field(default_factory=dict)
    answered: dict[bytes, Answered] = field(default_factory=dict)
    chain: Chain = field(default_factory=Chain)
    copies: Copies = field(default_factory=Copies)
    lock: Lock = field(default_factory=Lock)
    _fed: tuple[Any, ...] = (None,)

    def feeds(self, graph: Graph, sample: Any) -> tuple[dict[str, torch.Tensor], dict[str, np.ndarray]]:
        """Return the feeds of the captured model for `sample`, as tensors and as arrays."""
        tensor = sample if isinstance(sample, torch.Tensor) else None
        given = None if tensor is None else (tensor.shape, tensor.dtype, tensor.data_ptr())
        held = self._fed
        if tensor is not None and held[0] is tensor and held[1] == given:
            return held[2], held[3]
        feeds = feeds_of(graph, sample)
        arrays = {name: one.numpy() for name, one in feeds.items()}
        self._fed = (None,) if tensor is None else (tensor, given, feeds, arrays)
        return feeds, arrays

    def reference(self, graph: Graph, feeds: Mapping[str, Any], key: bytes) -> dict[str, np.ndarray]:
        """Return every float activation of the captured model on `feeds`."""
        with self.lock:
            found = self.references.pop(key, None)
            if found is None:
                found = {name: tensor.detach().numpy() for name, tensor in run_float(graph, feeds).items()}
            self.references[key] = found
            while len(self.references) > self.keep:
                dropped = next(iter(self.references))
                del self.references[dropped]
                self.compared.pop(dropped, None)
                self.answered.pop(dropped, None)
                self.metrics = {k: m for k, m in self.metrics.items() if k[0] != dropped}
            return found

    def prints(
        self, plan: Plan, compared: Compareds, arrays: Mapping[str, np.ndarray], fed: Mapping[str, bytes], inputs: bytes
    ) -> tuple[dict[str, bytes], dict[str, Metrics], list[Compared]]:
        """Return the fingerprints of `plan`, the distances that the run before found, and what it did not find."""
        former = self.answered.get(inputs)
        if former is not None and len(former.prints) <= STALE * (len(plan.steps) + len(fed)):
            batch = plan.batch_of(arrays)
            if former.plan.batch_of(arrays) == batch:
                prints, changed = prints_after(plan, former.plan, former.prints, batch, self.chain.link)
                return prints, *former.still(compared, changed)
        return fingerprints(plan, arrays, fed, self.chain), {}, list(compared)

    def put(self, key: Place, metrics: Metrics) -> None:
        """Remember a distance."""
        with self.lock:
            self.metrics[key] = metrics

    def forget(self) -> None:
        """Drop every distance, and keep the float references."""
        with self.lock:
            self.metrics = {}
            self.answered = {}
