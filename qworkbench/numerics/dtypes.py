"""Quantized dtypes and scales: ranges, thresholds, the formulas that the seeds state.

Sources: the quantization accuracy tuning guide (``q = clamp(round(x / s), qmin, qmax)``, fixed scale = range over
quantization range) and the PTQ tables, where a threshold of 127.0 goes with a scale of 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from qworkbench.errors import EditError

QMIN = {"int8": -128, "int16": -32768, "int32": -(2**31)}
QMAX = {"int8": 127, "int16": 32767, "int32": 2**31 - 1}
BITS = {"int8": 8, "int16": 16, "int32": 32}
NUMPY: dict[str, Any] = {"int8": np.int8, "int16": np.int16, "int32": np.int32, "float32": np.float32}

ALIASES = {"qint8": "int8", "qint16": "int16", "qint32": "int32", "float": "float32"}


def scale_from_threshold(threshold: float, dtype: str, denominator: int = 127) -> np.float32:
    """Return the scale that puts `threshold` on the last code.

    Parameters
    ----------
    threshold : float
        Largest magnitude that must be represented, > 0. A threshold of 0 (an all-zero tensor) gives the scale of 1.0.
    dtype : "int8" | "int16"
    denominator : 127 | 128
        127: post-training tables (T/127, int16: T/32767). 128: the training plugin (T/128, int16: T/32768).
    """
    if not math.isfinite(threshold) or threshold < 0:
        raise EditError(f"threshold must be finite and >= 0, got {threshold}; thresholds are the largest |value|")
    steps = {"int8": 127, "int16": 32767}[dtype] + (1 if denominator == 128 else 0)
    scale = np.float32((threshold if threshold > 0 else 1.0) / steps)
    return scale if scale >= np.finfo(np.float32).tiny else np.float32(np.finfo(np.float32).tiny)


def check_scale(scale: float, owner: str) -> np.float32:
    """Return `scale` as float32, or raise if it cannot be a scale."""
    try:
        number = float(scale)
    except (TypeError, ValueError, OverflowError):
        raise EditError(f"scale of {owner!r} must be a number, got {scale!r}") from None
    limits = np.finfo(np.float32)
    if not float(limits.tiny) <= number <= float(limits.max):
        beyond = " (beyond float32 at full precision)" if math.isfinite(number) and number > 0 else ""
        raise EditError(
            f"scale of {owner!r} must be > 0 and finite, got {number:g}{beyond}; "
            "a fixed scale is |threshold| / 127 (int8)"
        )
    return np.float32(number)
