"""The three tables of a run, as DataFrames: outputs, layers, and what changed most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from qworkbench.analysis.metrics import Metrics
from qworkbench.emulator.plan import Plan, Quantity
from qworkbench.graph.ir import Graph
from qworkbench.numerics.dtypes import QMAX
from qworkbench.placement.types import Placement

OUTPUT_COLUMNS = ("cosine", "l1", "mse", "atol", "sqnr")


def output_table(metrics: Mapping[str, Metrics], before: pd.DataFrame | None) -> pd.DataFrame:
    """Return one row per model output: distances now, before, and their differences (NaN without a before)."""
    rows = []
    for name, found in metrics.items():
        row: dict[str, Any] = {"output": name, **{c: getattr(found, c) for c in OUTPUT_COLUMNS}}
        for column in ("cosine", "l1"):
            old = float("nan") if before is None or name not in before.index else float(before[column][name])
            row[f"{column}_before"] = old
            row[f"delta_{column}"] = row[column] - old
        rows.append(row)
    columns = ["output", *OUTPUT_COLUMNS, "cosine_before", "delta_cosine", "l1_before", "delta_l1"]
    return pd.DataFrame(rows, columns=columns).set_index("output")


def layer_table(graph: Graph, placement: Placement, plan: Plan, metrics: Mapping[str, Metrics]) -> pd.DataFrame:
    """Return one row per node, in topological order.

    Columns
    -------
    op, on, subgraph, quant_class, unit, shape
        ``unit``: the fused operation that the node runs in; members that vanish inside one have no distances.
    input_dtype, weight_dtype, dtype
        As they take effect, not as they were asked for.
    threshold, scale
        Of the output: the largest magnitude that its codes reach, and the value of one code. NaN where the output is
        float; the largest of the channels where there is one scale per channel.
    cosine, l1, mse, atol, sqnr, max_qscale_diff
        Accumulated distance from the float model.
    reason
        Why it runs where it runs.
    """
    rows = []
    for node in graph.nodes:
        placed = placement[node.name]
        found = metrics.get(node.name)
        quantity = plan.quantities.get(plan.results.get(node.name, ""))
        threshold, scale = threshold_and_scale(quantity)
        rows.append(
            {
                "node": node.name,
                "op": node.op,
                "on": placed.on,
                "subgraph": placed.subgraph,
                "quant_class": placed.quant_class,
                "unit": placed.unit,
                "shape": "x".join(str(d) for d in graph.shape(node.output)),
                "input_dtype": placed.input_dtype,
                "weight_dtype": placed.weight_dtype,
                "dtype": placed.dtype,
                "threshold": threshold,
                "scale": scale,
                **{c: float("nan") if found is None else getattr(found, c) for c in OUTPUT_COLUMNS},
                "max_qscale_diff": float("nan") if found is None else found.max_qscale_diff,
                "reason": placed.reason.sentence,
            }
        )
    frame = pd.DataFrame(rows).set_index("node")
    frame["subgraph"] = frame["subgraph"].astype("Int64")
    frame["max_qscale_diff"] = frame["max_qscale_diff"].astype(float)
    return frame


def threshold_and_scale(quantity: Quantity | None) -> tuple[float, float]:
    """Return (threshold, scale) of codes; NaN for float tensors and for raw accumulators' thresholds."""
    if quantity is None:
        return float("nan"), float("nan")
    scale = float(np.max(quantity.scale))
    return (scale * QMAX[quantity.dtype] if quantity.dtype != "int32" else float("nan")), scale


def change_table(now: pd.DataFrame, before: pd.DataFrame | None, *, most: int = 10) -> pd.DataFrame:
    """Return the nodes whose cosine or L1 moved most against `before`, the largest relative L1 change first."""
    columns = ["op", "on", "cosine_before", "cosine", "delta_cosine", "l1_before", "l1", "delta_l1"]
    if before is None:
        return pd.DataFrame(columns=columns).rename_axis("node")
    old = before.reindex(now.index)
    frame = pd.DataFrame(
        {
            "op": now["op"],
            "on": now["on"],
            "cosine_before": old["cosine"],
            "cosine": now["cosine"],
            "delta_cosine": now["cosine"] - old["cosine"],
            "l1_before": old["l1"],
            "l1": now["l1"],
            "delta_l1": now["l1"] - old["l1"],
        }
    )
    frame = frame[(frame["delta_cosine"].abs() > 0) | (frame["delta_l1"].abs() > 0)]
    size = frame[["l1", "l1_before"]].max(axis=1).replace(0.0, np.nan)
    order = (frame["delta_l1"].abs() / size).sort_values(ascending=False, kind="stable").index
    return pd.DataFrame(frame.loc[order[:most], columns])
