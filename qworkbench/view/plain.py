"""Turns values of numpy, pandas and Python into what JSON can carry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """Return `value` as dicts, lists, str, int, float, bool and None.

    NaN becomes None (no figure), an infinite figure the text ``"Infinity"`` or ``"-Infinity"``, since JSON has no word
    for either. Scalars of numpy become Python's; what is unknown becomes its text.
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return float(value) if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return str(value)
