"""What the status line says while a run is going on and when it has ended. Knows events, not threads or traits."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

IDLE: dict[str, Any] = {"state": "idle", "text": "", "done": 0, "total": 0}
INTERVAL = 0.05
"""Seconds between two progress messages; a small net measures thousands of nodes per second."""

ENDS: Mapping[str, str] = {
    "sensitivity": "sensitivity measured",
    "sensitivity_preview": "sensitivity estimated",
    "compare_layers": "layers compared",
    "mixed_precision": "mixed precision searched",
    "recipe": "recipe run",
    "bisect": "region found",
    "partial": "region switched off",
    "bad_cases": "samples compared",
    "channels": "channels measured",
}


def ended_text(analysis: str) -> str:
    """Return what an analysis has done."""
    return ENDS.get(analysis, "analysed")


class Progress:
    """Turns events of a run into the widget's ``status``."""

    def __init__(self) -> None:
        self._began = 0.0
        self._sent = 0.0

    def running(self) -> dict[str, Any]:
        """Return the status at the start of a run."""
        self._began, self._sent = time.monotonic(), 0.0
        return {"state": "running", "text": "", "done": 0, "total": 0}

    def step(self, data: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the status after a measured node, or None when the page has just been told."""
        now = time.monotonic()
        if now - self._sent < INTERVAL:
            return None
        self._sent = now
        return {"state": "running", "text": str(data["node"]), "done": int(data["done"]), "total": int(data["total"])}

    def ran(self, run: Any) -> dict[str, Any]:
        """Return the status after a run: steps and nodes (which progress counts) that were new, time, overflow."""
        computed, steps = len(run.computed), int(run.steps)
        text = f"{computed} of {steps} steps computed" + (", the rest from the cache" if computed < steps else "")
        text += f"; {run.compared} nodes compared"
        if self._began:
            text += f", {time.monotonic() - self._began:.2f} s"
        if run.overflow:
            text += f"; int32 overflow in {', '.join(run.overflow)}"
        return {"state": "done", "text": text, "done": steps, "total": steps}

    def analysed(self, text: str) -> dict[str, Any]:
        """Return the status after an analysis or a calibration that ended well."""
        took = f", {time.monotonic() - self._began:.2f} s" if self._began else ""
        return {"state": "done", "text": f"{text}{took}", "done": 1, "total": 1}

    @staticmethod
    def ended(state: str, text: str) -> dict[str, Any]:
        """Return the status after a run that gave no result; `state` is ``cancelled`` or ``error``."""
        return {"state": state, "text": text, "done": 0, "total": 0}
