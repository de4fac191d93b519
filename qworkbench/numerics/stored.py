"""Scales that a quantized file declares, as scales of the BPU: symmetric, one per tensor.

A file stores ``q = clamp(round(x / s) + z)`` in an integer type of its own, often with a zero point. What it says about
the tensor is the range ``[(qmin - z) * s, (qmax - z) * s]``. The BPU is symmetric, so the scale here is the smallest
one whose codes cover that range; for int8 with zero point 0 (and uint8 with 128) it is the declared scale itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qworkbench.numerics.dtypes import QMAX, QMIN

LIMITS = {
    "int4": (-8, 7),
    "uint4": (0, 15),
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-32768, 32767),
    "uint16": (0, 65535),
}
"""Smallest and largest code of the integer types that a file may store."""


@dataclass(frozen=True, slots=True)
class StoredScale:
    """What a file declares for one tensor: one scale and zero point, or one per channel, and the integer type."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    dtype: str

    @property
    def width(self) -> str:
        """The BPU dtype that holds as many bits: "int8" or "int16"."""
        return "int16" if self.dtype in ("int16", "uint16") else "int8"

    @property
    def never_negative(self) -> bool:
        """Tell whether the smallest code stands for zero, so that quantizing clamps like a Relu."""
        return all(zero == LIMITS[self.dtype][0] for zero in self.zero_points)

    def range(self) -> tuple[float, float]:
        """Return the smallest and the largest real number that the codes of any channel stand for."""
        low, high = LIMITS[self.dtype]
        scales, zeros = np.asarray(self.scales), np.asarray(self.zero_points)
        return float(((low - zeros) * scales).min()), float(((high - zeros) * scales).max())

    def symmetric(self, dtype: str) -> float:
        """Return ``max(high / qmax, low / qmin)``: the smallest symmetric scale of `dtype` that covers the range."""
        low, high = self.range()
        return float(np.float32(max(high / QMAX[dtype], low / QMIN[dtype])))

    def describe(self) -> str:
        """Return e.g. ``scale 0.0123 (uint8, zero point 12)``."""
        if len(self.scales) > 1:
            return f"{len(self.scales)} scales up to {max(self.scales):.6g} ({self.dtype}, one per channel)"
        return f"scale {self.scales[0]:.6g} ({self.dtype}, zero point {self.zero_points[0]})"


def stored_scale(attrs: Any) -> StoredScale | None:
    """Return what the attributes of a quantization stub declare; None where they hold no usable scale."""
    scale, dtype = attrs.get("scale"), attrs.get("dtype")
    if scale is None or dtype not in LIMITS:
        return None
    scales = tuple(float(s) for s in (scale if isinstance(scale, (tuple, list)) else (scale,)))
    zero = attrs.get("zero_point", 0)
    zeros = tuple(int(z) for z in (zero if isinstance(zero, (tuple, list)) else (zero,)))
    if not all(np.isfinite(s) and s > 0 for s in scales) or len(zeros) not in (1, len(scales)):
        return None
    found = StoredScale(scales, zeros, str(dtype))
    return found if 0 < found.symmetric(found.width) < float("inf") else None
