"""The moving average of the samples' largest magnitudes, as the training plugin's observers keep it.

Knows no tensor: whoever has one tells the largest magnitude of each of its samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

AVERAGING_CONSTANT = 0.01


@dataclass
class Average:
    """An exponential moving average of the samples' largest magnitudes, in the order they came.

    ``value = value + 0.01 (top - value)``, the averaging constant of the training plugin's observers. It counts
    samples, not batches, so only the order of the data decides.
    """

    samples: int = 0
    first: float = 0.0
    value: float = 0.0

    def add(self, top: float) -> None:
        """Add the largest magnitude of the next sample."""
        if not self.samples:
            self.first = self.value = top
        else:
            self.value += AVERAGING_CONSTANT * (top - self.value)
        self.samples += 1

    def extend_by(self, patterns: np.ndarray) -> None:
        """Add samples, given the bit patterns (int32) of their largest magnitudes."""
        for top in patterns.view(np.float32).tolist():
            self.add(top)

    def extend(self, later: Average) -> None:
        """Add every sample of `later` behind the own ones."""
        if not self.samples:
            self.samples, self.first, self.value = later.samples, later.first, later.value
        elif later.samples:
            faded = (1 - AVERAGING_CONSTANT) ** later.samples
            self.value = faded * (self.value - later.first) + later.value
            self.samples += later.samples
