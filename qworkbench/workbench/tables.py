"""The three tables of a run, as DataFrames: outputs, layers, and what changed most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from qworkbench.analysis.metrics import Metrics
from qworkbench.emulator.plan import Quantity
from qworkbench.graph.ir import Graph, Node
from qworkbench.numerics.dtypes import QMAX
from qworkbench.placement.types import Placement

OUTPUT_COLUMNS = ("cosine", "l1", "mse", "atol", "sqnr")


def output_table(metrics: Mapping[str, Metrics], before: Mapping[str, Metrics] | None) -> pd.DataFrame:
    """Return one row per model output: distances now, before, and their differences (NaN without a before)."""
    rows = []
    for name, found in metrics.items():
        former = None if before is None else before.get(name)
        row: dict[str, Any] = {"output": name, **{c: getattr(found, c) for c in OUTPUT_COLUMNS}}
        for column in ("cosine", "l1"):
            old = float("nan") if former is None else float(getattr(former, column))
            row[f"{column}_before"] = old
            row[f"delta_{column}"] = row[column] - old
        rows.append(row)
    columns = ["output", *OUTPUT_COLUMNS, "cosine_before", "delta_cosine", "l1_before", "delta_l1"]
    return pd.DataFrame(rows, columns=columns).set_index("output")


def layer_table(
    graph: Graph,
    placement: Placement,
    quantities: Mapping[str, Quantity],
    results: Mapping[str, str],
    metrics: Mapping[str, Metrics],
) -> pd.DataFrame:
    """Return one row per node, in topological order; `quantities` and `results` are those of the plan.

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
    nodes = list(graph.nodes)
    placed = [placement[node.name] for node in nodes]
    found = [metrics.get(node.name) for node in nodes]
    steps = [threshold_and_scale(quantities.get(results.get(node.name, ""))) for node in nodes]
    nothing = float("nan")
    # by column: a frame of many rows of many kinds is what an edit would wait for
    frame = pd.DataFrame(
        {
            "op": [node.op for node in nodes],
            "on": [p.on for p in placed],
            "subgraph": [p.subgraph for p in placed],
            "quant_class": [p.quant_class for p in placed],
            "unit": [p.unit for p in placed],
            "shape": ["x".join(str(d) for d in graph.shape(node.output)) for node in nodes],
            "input_dtype": [p.input_dtype for p in placed],
            "weight_dtype": [p.weight_dtype for p in placed],
            "dtype": [p.dtype for p in placed],
            "threshold": [threshold for threshold, _ in steps],
            "scale": [scale for _, scale in steps],
            **{c: [nothing if m is None else getattr(m, c) for m in found] for c in OUTPUT_COLUMNS},
            "max_qscale_diff": [nothing if m is None else m.max_qscale_diff for m in found],
            "reason": [p.reason.sentence for p in placed],
        },
        index=pd.Index([node.name for node in nodes], name="node"),
    )
    frame["subgraph"] = frame["subgraph"].astype("Int64")
    frame["max_qscale_diff"] = frame["max_qscale_diff"].astype(float)
    return frame


def threshold_and_scale(quantity: Quantity | None) -> tuple[float, float]:
    """Return (threshold, scale) of codes; NaN for float tensors and for raw accumulators' thresholds."""
    if quantity is None:
        return float("nan"), float("nan")
    scale = float(np.max(quantity.scale))
    return (scale * QMAX[quantity.dtype] if quantity.dtype != "int32" else float("nan")), scale


def change_table(
    graph: Graph,
    placement: Placement,
    metrics: Mapping[str, Metrics],
    before: Mapping[str, Metrics] | None,
    *,
    most: int = 10,
) -> pd.DataFrame:
    """Return the nodes whose cosine or L1 moved most against `before`, the largest relative L1 change first."""
    columns = ["op", "on", "cosine_before", "cosine", "delta_cosine", "l1_before", "l1", "delta_l1"]
    if before is None:
        return pd.DataFrame(columns=columns).rename_axis("node")
    nodes = list(graph.nodes)
    (cosine, l1), (old_cosine, old_l1) = (_cosine_and_l1(nodes, found) for found in (metrics, before))
    with np.errstate(invalid="ignore", divide="ignore"):
        moved = np.flatnonzero((np.abs(cosine - old_cosine) > 0) | (np.abs(l1 - old_l1) > 0))
        size = np.fmax(l1, old_l1)
        by = np.where(size == 0.0, np.nan, np.abs(l1 - old_l1) / size)[moved]
    chosen = moved[np.argsort(-by, kind="stable")][:most]  # NaN comes last
    return pd.DataFrame(
        {
            "op": [nodes[i].op for i in chosen],
            "on": [placement[nodes[i].name].on for i in chosen],
            "cosine_before": old_cosine[chosen],
            "cosine": cosine[chosen],
            "delta_cosine": (cosine - old_cosine)[chosen],
            "l1_before": old_l1[chosen],
            "l1": l1[chosen],
            "delta_l1": (l1 - old_l1)[chosen],
        },
        index=pd.Index([nodes[i].name for i in chosen], name="node"),
        columns=columns,
    )


def _cosine_and_l1(nodes: Sequence[Node], metrics: Mapping[str, Metrics]) -> np.ndarray:
    """Return both distances of every node (2, nodes); NaN where there is none."""
    found = (metrics.get(node.name) for node in nodes)
    pairs = [(np.nan, np.nan) if m is None else (m.cosine, m.l1) for m in found]
    return np.array(pairs, dtype=float).reshape(-1, 2).T
