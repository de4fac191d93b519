"""A small table of figures that is shown as it is, and becomes a data frame only when somebody works with it.

A frame costs more to make than the figures of a late edit cost to compute. Knows nothing of what the figures mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True, eq=False)
class Figures:
    """Rows under names.

    Attributes
    ----------
    kind : str
        What the rows are: ``output``, ``node``.
    names : tuple of str
    columns : Mapping of str to Sequence
        By heading; as many values as names. Numbers are floats, everything else is text.
    """

    kind: str
    names: tuple[str, ...]
    columns: Mapping[str, Sequence[Any]]

    def __len__(self) -> int:
        return len(self.names)

    def frame(self) -> pd.DataFrame:
        """Return the same as a data frame, the names as its index."""
        return pd.DataFrame(dict(self.columns), index=pd.Index(self.names, name=self.kind))

    def cells(self) -> list[tuple[str, list[Any], bool]]:
        """Return (heading, values, whether they are numbers) of every column, the names first."""
        given = ((name, list(values)) for name, values in self.columns.items())
        columns = [(name, values, bool(values) and isinstance(values[0], float)) for name, values in given]
        return [(self.kind, list(self.names), False), *columns]
