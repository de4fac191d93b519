"""The vendor's table as a DataFrame, with the thresholds of a plan and the cosines of a run beside its rows.

Threshold and cosine mean what the vendor's columns mean: the threshold in force of the row's first input, and the
accumulated cosine of its output with the float model.
"""

from __future__ import annotations

import pandas as pd

from qworkbench.emulator.plan import Plan
from qworkbench.graph.ir import Graph
from qworkbench.march.table import March
from qworkbench.numerics.dtypes import QMAX
from qworkbench.placement.types import Placement
from qworkbench.toolchain.table import PREPROCESS, PREPROCESS_THRESHOLD, Row, TableOptions, vendor_table

COLUMNS = ("node", "on", "subgraph", "type", "cosine", "threshold", "dtype")
NAN = float("nan")


def vendor_rows(
    graph: Graph,
    placement: Placement,
    march: March,
    plan: Plan | None = None,
    image_inputs: tuple[str, ...] | None = None,
) -> list[Row]:
    """Return the rows with the thresholds of `plan`; see :class:`TableOptions` for `image_inputs`."""
    thresholds = {} if plan is None else plan_thresholds(placement, plan)
    options = TableOptions(image_inputs, thresholds=thresholds)
    return vendor_table(graph, placement, march, options=options)


def vendor_frame(
    graph: Graph,
    placement: Placement,
    march: March,
    plan: Plan | None = None,
    layers: pd.DataFrame | None = None,
    image_inputs: tuple[str, ...] | None = None,
) -> pd.DataFrame:
    """Return the table with the columns that the vendor prints, one row per quantized node.

    Parameters
    ----------
    graph : Graph
    placement : Placement
    march : March
    plan : Plan, optional
        For thresholds; without it the column is NaN.
    layers : DataFrame, optional
        A run's layer table, indexed by node, for cosines; without it the column is NaN.
    image_inputs : tuple of str, optional
        Inputs that get a preprocess node; None means every one that looks like an image.
    """
    thresholds = {} if plan is None else plan_thresholds(placement, plan)
    rows = vendor_rows(graph, placement, march, plan, image_inputs)
    cosines = {} if layers is None else layers["cosine"].to_dict()
    cells = [
        (r.node, r.on, r.subgraph, r.type, cosines.get(r.source, NAN), _threshold(r, thresholds), r.dtype) for r in rows
    ]
    return pd.DataFrame(cells, columns=list(COLUMNS))


def plan_thresholds(placement: Placement, plan: Plan) -> dict[str, float]:
    """Return the threshold in force of every value that has codes; the largest where there is one per channel."""
    found = {}
    for value in placement.group_of:
        for dtype in ("int8", "int16"):
            quantity = plan.quantities.get(f"{value}@{dtype}")
            if quantity is not None:
                found[value] = float(quantity.scale.max()) * QMAX[dtype]
    return found


def _threshold(row: Row, thresholds: dict[str, float]) -> float:
    if row.type == PREPROCESS:
        return PREPROCESS_THRESHOLD
    return NAN if row.first_input is None else thresholds.get(row.first_input, NAN)
