"""Reading a sensitivity table: which operators are the most sensitive ones, and in what."""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import pandas as pd
import torch

from qworkbench.errors import unknown_name
from qworkbench.qat.errors import QATError

TYPES = ("activation", "weight", "both")


def most_sensitive(table: Any, topk_or_ratio: float, sensitive_type: str = "both") -> list[tuple[str, str]]:
    """Return (operator, ``"activation"`` or ``"weight"``) of the first rows of a sensitivity table.

    Parameters
    ----------
    table : DataFrame, sequence of rows, or path
        Worst first, as ``QuantAnalysis.sensitivity`` returns it or writes it (``.pt``). A row is a mapping with
        op_name and sensitive_type, or a sequence that begins with them.
    topk_or_ratio : int or float
        A whole number of rows, or a share of them in 0..1 (a float).
    sensitive_type : "activation" | "weight" | "both"

    Raises
    ------
    QATError
        For a table or a number that cannot be read.
    """
    if sensitive_type not in TYPES:
        raise unknown_name("sensitive_type", str(sensitive_type), TYPES)
    rows = [row for row in _rows(table) if sensitive_type in (row[1], "both")]
    if isinstance(topk_or_ratio, bool) or not topk_or_ratio >= 0:
        raise QATError(f"topk is a whole number >= 0 and a ratio is in 0..1, got {topk_or_ratio!r}")
    if isinstance(topk_or_ratio, int):
        return rows[:topk_or_ratio]
    if topk_or_ratio > 1:
        raise QATError(f"a ratio is in 0..1, got {topk_or_ratio}; give a whole number for the first rows")
    return rows[: math.ceil(len(rows) * topk_or_ratio)]


def _rows(table: Any) -> list[tuple[str, str]]:
    if isinstance(table, (str, PathLike)):
        try:
            table = torch.load(table, weights_only=True)
        except (OSError, RuntimeError, ValueError, pickle.UnpicklingError, EOFError) as error:
            raise QATError(f"cannot read the sensitivity table {str(table)!r}: {error}") from None
    if isinstance(table, pd.DataFrame):
        if not {"op_name", "sensitive_type"} <= set(table.columns):
            raise QATError("a sensitivity table has the columns op_name and sensitive_type, worst first")
        return list(zip(table["op_name"].astype(str), table["sensitive_type"].astype(str), strict=True))
    if not isinstance(table, Sequence):
        raise QATError(f"a sensitivity table is a DataFrame, a list of rows or a file, got {type(table).__name__}")
    found = []
    for row in table:
        pair = (row.get("op_name"), row.get("sensitive_type")) if isinstance(row, Mapping) else row
        if not isinstance(pair, Sequence) or len(pair) < 2 or pair[1] not in TYPES[:2]:
            raise QATError(f"a row of a sensitivity table begins with op_name and activation or weight, got {row!r}")
        found.append((str(pair[0]), str(pair[1])))
    return found
