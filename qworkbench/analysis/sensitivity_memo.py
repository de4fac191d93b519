"""What sensitivity remembers between calls, so that an edit costs the rows that it changes."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from qworkbench.analysis.distances import Distance, Metric
from qworkbench.analysis.references import References
from qworkbench.emulator.fingerprint import digest

if TYPE_CHECKING:
    import torch

MemoKey = tuple[bytes, bytes, str]


@dataclass
class SensitivityMemo:
    """Effects that were measured before, by (samples, quantizer, target), and float values under a bound of bytes."""

    effects: dict[MemoKey, Distance] = field(default_factory=dict)
    references: References = field(default_factory=References)
    stackable: dict[bytes, bool] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)
    _digests: dict[int, tuple[weakref.ref[torch.Tensor], int, bytes]] = field(default_factory=dict)

    def get(self, key: MemoKey, metrics: Sequence[Metric]) -> Distance | None:
        """Return what is known under `key`, if it tells every metric."""
        with self.lock:
            found = self.effects.get(key)
        if found is None or any(metric.function is not None for metric in metrics):
            return None
        return None if any(metric.name == "KL" and "KL" not in found.means for metric in metrics) else found

    def known(
        self, samples: bytes, content: bytes, targets: Mapping[str, str], metrics: Sequence[Metric]
    ) -> dict[str, Distance] | None:
        """Return the effects of a quantizer by target name (`targets`: name -> value), or None where one is missing."""
        found = {}
        for name, value in targets.items():
            distance = self.get((samples, content, value), metrics)
            if distance is None:
                return None
            found[name] = distance
        return found

    def put(self, key: MemoKey, distance: Distance) -> None:
        """Remember an effect."""
        with self.lock:
            self.effects[key] = distance

    def digest_of(self, feeds: Mapping[str, torch.Tensor]) -> bytes:
        """Return the digest of samples; that of a tensor that is still alive and unwritten is not taken again."""
        return digest([(name, self._digest(tensor)) for name, tensor in feeds.items()])

    def _digest(self, tensor: torch.Tensor) -> bytes:
        held = self._digests.get(id(tensor))
        if held is not None and held[0]() is tensor and held[1] == tensor._version:
            return held[2]
        made = digest(tensor)
        if len(self._digests) > 64:
            self._digests.clear()
        self._digests[id(tensor)] = (weakref.ref(tensor), tensor._version, made)
        return made
