"""Thresholds as a configuration reads them from the statistics: by one method for all, or by a node's own.

Knows no plan and no placement; fixed scales come in where a plan is built.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from qworkbench.calibration.method import CalibrationMethod, Statistics
from qworkbench.errors import CalibrationError


class ConfiguredThresholds:
    """Thresholds of one calibration method, or of the one of their own, also for the outputs of unit convs.

    ``known`` holds those by one method for all, by the names of the captured model, that others have read already.
    """

    def __init__(
        self,
        statistics: Statistics,
        method: CalibrationMethod,
        aliases: Mapping[str, str],
        methods: Mapping[str, CalibrationMethod] | None = None,
        known: dict[str, float] | None = None,
    ) -> None:
        self._statistics, self._method, self._aliases = statistics, method, aliases
        self._methods = methods or {}
        self._known: dict[str, float] = {} if known is None else known

    def method(self, name: str) -> CalibrationMethod:
        """Return the method by which the threshold of `name` is read."""
        return self._methods.get(name) or self._methods.get(self._aliases.get(name, name)) or self._method

    def threshold(self, name: str) -> float:
        """Return the per-tensor threshold of `name`."""
        captured = self._aliases.get(name, name)
        key = name if self._methods else captured
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._statistics.threshold(captured, self.method(name))
        return found

    def channel_thresholds(self, name: str) -> np.ndarray | None:
        """Return per-channel thresholds of `name` where the method asks for them."""
        method = self.method(name)
        if not method.per_channel:
            return None
        return self._statistics.channel_thresholds(self._aliases.get(name, name), method)

    def range_of(self, name: str) -> tuple[float, float]:
        """Return the asymmetric range (low, high) of `name`.

        Raises
        ------
        CalibrationError
            Where only saved thresholds are known, which are symmetric.
        """
        sketch = self._statistics.sketch(self._aliases.get(name, name))
        if sketch is None:
            raise CalibrationError(f"an asymmetric range of {name!r} needs statistics; calibrate with data")
        return self.method(name).range_of(sketch)
