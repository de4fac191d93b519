"""Names of the quantized dtypes as qconfigs spell them, and their ranges."""

from __future__ import annotations

from typing import Any

import torch

from qworkbench.errors import unknown_name
from qworkbench.numerics.dtypes import QMAX, QMIN

qint8 = "qint8"
qint16 = "qint16"
qint32 = "qint32"

INTEGER_NAMES = {"qint8": "int8", "qint16": "int16", "qint32": "int32"}
FLOAT_NAMES = ("float16", "float32")
TORCH = {"int8": torch.int8, "int16": torch.int16, "int32": torch.int32}


def dtype_name(dtype: Any) -> str:
    """Return ``"qint8"``, ``"qint16"``, ``"float16"`` or ``"float32"`` for any spelling, torch dtypes included."""
    text = str(dtype).removeprefix("torch.")
    text = {"int8": "qint8", "int16": "qint16", "half": "float16", "float": "float32"}.get(text, text)
    if text not in (*INTEGER_NAMES, *FLOAT_NAMES):
        raise unknown_name("dtype", text, (*INTEGER_NAMES, *FLOAT_NAMES))
    return text


def code_range(dtype: str) -> tuple[int, int]:
    """Return the smallest and largest code of ``"qint8"`` or ``"qint16"``."""
    name = INTEGER_NAMES[dtype]
    return QMIN[name], QMAX[name]
