"""The newest result of each analysis, with the state that it was measured on.

So a panel and a cell show the same table whoever asked for it, and both can tell whether an edit has made it old. Knows
nothing of what a result is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
        return self.calibrated == calibrated and _measured(self.config) == _measured(config)

    def holds_by_any_calibration(self, config: Config) -> bool:
        """Tell the same of a search for a calibration, which is about all of them."""
        now = replace(self.config, calibration=config.calibration, methods=config.methods)
        return _measured(now) == _measured(config)


def _measured(config: Config) -> Config:
    """Return `config` without what only describes how data reach the model: no figure depends on that."""
    return replace(config, inputs={}, input_orders={})
