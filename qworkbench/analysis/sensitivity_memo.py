"""What sensitivity remembers between calls, so that an edit costs the rows that it changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from qworkbench.analysis.distances import Distance, Metric
from qworkbench.analysis.quantizers import QuantizerMemo
from qworkbench.analysis.references import References
from qworkbench.emulator.copies import Copies

if TYPE_CHECKING:
    import torch

MemoKey = tuple[bytes, bytes, str]


@dataclass
class SensitivityMemo:
    """Effects that were measured before, by (samples, quantizer, target), and float values under a bound of bytes."""

    effects: dict[MemoKey, Distance] = field(default_factory=dict)
    references: References = field(default_factory=References)
    stackable: dict[tuple[object, ...], bool] = field(default_factory=dict)
    quantizers: QuantizerMemo = field(default_factory=QuantizerMemo)
    lock: Lock = field(default_factory=Lock)
    copies: Copies = field(default_factory=Copies)

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
        """Return the digest of samples."""
        return self.copies.prints({name: tensor.detach().numpy() for name, tensor in feeds.items()})[1]
