"""How the published sizes of a family follow from one layer list: factors of depth and width, and a widest layer."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Compound scaling of a layer list that is written at full size.

    Attributes
    ----------
    depth, width : float
        Factors of the repeats of a block and of the channels of a layer.
    widest : int
        Channels of the full size are cut to this number before they are scaled.
    nested : bool
        YOLO11 nests C3 blocks everywhere from its middle size on.
    """

    depth: float
    width: float
    widest: int = 1024
    nested: bool = False

    def channels(self, full: int) -> int:
        """Return the channels of a layer that has `full` at full size: a multiple of 8, rounded up."""
        return math.ceil(min(full, self.widest) * self.width / 8) * 8

    def repeats(self, full: int) -> int:
        """Return how often a block is repeated that comes `full` times at full size."""
        return max(round(full * self.depth), 1) if full > 1 else full


YOLOV5 = {
    "n": Size(0.33, 0.25),
    "s": Size(0.33, 0.5),
    "m": Size(0.67, 0.75),
    "l": Size(1.0, 1.0),
    "x": Size(1.33, 1.25),
}
YOLOV8 = {
    "n": Size(0.33, 0.25),
    "s": Size(0.33, 0.5),
    "m": Size(0.67, 0.75, 768),
    "l": Size(1.0, 1.0, 512),
    "x": Size(1.0, 1.25, 512),
}
YOLO11 = {
    "n": Size(0.5, 0.25),
    "s": Size(0.5, 0.5),
    "m": Size(0.5, 1.0, 512, nested=True),
    "l": Size(1.0, 1.0, 512, nested=True),
    "x": Size(1.0, 1.5, 512, nested=True),
}
YOLOV9 = {"t": Size(1.0, 1.0), "s": Size(1.0, 2.0)}
"""Written at its smallest size; the next one has twice the channels."""
