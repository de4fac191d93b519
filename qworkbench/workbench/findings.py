"""The newest result of each analysis, with the state that it was measured on.

So a panel and a cell show the same table whoever asked for it, and both can tell whether an edit has made it old. Knows
nothing of what a result is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qworkbench.workbench.config import Config


@dataclass(frozen=True, eq=False)
class Finding:
    """A result and what it holds for.

    Attributes
    ----------
    result : object
        What the analysis returned.
    config : Config
        In force when it began.
    calibrated : int
        How often thresholds had been calibrated then.
    """

    result: Any
    config: Config
    calibrated: int

    def holds(self, config: Config, calibrated: int) -> bool:
        """Tell whether the same analysis would find the same again."""
        return self.calibrated == calibrated and self.config == config
