"""How the channels of one tensor are spread: a channel far from the others decides the scale of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qworkbench.errors import AnalysisError

if TYPE_CHECKING:
    import pandas as pd

QUANTILES = {"min": 0.0, "low": 0.25, "median": 0.5, "high": 0.75, "max": 1.0}


@dataclass(frozen=True, eq=False)
class ChannelValues:
    """Boxes of one tensor.

    Attributes
    ----------
    node : str
    limit : float
        The magnitude that codes reach.
    frame : pandas.DataFrame
        One row per channel: min, low, median, high, max, low and high being the quartiles.
    """

    node: str
    limit: float
    frame: pd.DataFrame


def channel_values(values: np.ndarray, limit: float, name: str, axis: int = 1) -> ChannelValues:
    """Return the boxes of `values` over `axis`.

    Raises
    ------
    AnalysisError
        When `values` has no such axis.
    """
    import pandas as pd

    if values.ndim <= axis:
        raise AnalysisError(f"{name or 'the tensor'} has rank {values.ndim}, so there is no channel axis {axis}")
    rows = np.moveaxis(np.asarray(values, np.float64), axis, 0).reshape(values.shape[axis], -1)
    found = np.quantile(rows, list(QUANTILES.values()), axis=1)
    return ChannelValues(name, limit, pd.DataFrame(found.T, columns=list(QUANTILES)).rename_axis("channel"))
