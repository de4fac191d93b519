"""The three tables of a run: outputs and what changed most as figures, layers as a DataFrame."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from qworkbench.analysis.metrics import Metrics
from qworkbench.emulator.plan import Quantity
from qworkbench.graph.ir import Graph
from qworkbench.numerics.dtypes import QMAX
from qworkbench.placement.types import Placement
from qworkbench.view.figures import Figures

OUTPUT_COLUMNS = ("cosine", "l1", "mse", "atol", "sqnr")


def output_figures(metrics: Mapping[str, Metrics], before: Mapping[str, Metrics] | None) -> Figures:
    """Return one row per model output: distances now, before, and their differences (NaN without a before)."""
    now = list(metrics.values())
    former = [None if before is None else before.get(name) for name in metrics]
    columns: dict[str, list[float]] = {c: [float(getattr(m, c)) for m in now] for c in OUTPUT_COLUMNS}
    for column in ("cosine", "l1"):
        old = [math.nan if m is None else float(getattr(m, column)) for m in former]
        columns[f"{column}_before"] = old
        columns[f"delta_{column}"] = [a - b for a, b in zip(columns[column], old, strict=True)]
    return Figures("output", tuple(metrics), columns)


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
    op, on, dtype
        The dtype of the output as it takes effect, not as it was asked for.
    threshold, scale
        Of the output: the largest magnitude that its codes reach, and the value of one code. NaN where the output is
        float; the largest of the channels where there is one scale per channel.
    cosine, l1, mse, atol, sqnr, max_qscale_diff
        Accumulated distance from the float model.
    shape, subgraph, quant_class, input_dtype, weight_dtype, unit
        ``unit``: the fused operation that the node runs in; members that vanish inside one have no distances.
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
            "dtype": [p.dtype for p in placed],
            "threshold": [threshold for threshold, _ in steps],
            "scale": [scale for _, scale in steps],
            **{c: [nothing if m is None else getattr(m, c) for m in found] for c in OUTPUT_COLUMNS},
            "max_qscale_diff": [nothing if m is None else m.max_qscale_diff for m in found],
            "shape": ["x".join(str(d) for d in graph.shape(node.output)) for node in nodes],
            "subgraph": [p.subgraph for p in placed],
            "quant_class": [p.quant_class for p in placed],
            "input_dtype": [p.input_dtype for p in placed],
            "weight_dtype": [p.weight_dtype for p in placed],
            "unit": [p.unit for p in placed],
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


def change_figures(
    graph: Graph,
    placement: Placement,
    metrics: Mapping[str, Metrics],
    before: Mapping[str, Metrics] | None,
    *,
    most: int = 10,
) -> Figures:
    """Return the nodes whose cosine or L1 moved most against `before`, the largest relative L1 change first."""
    former = before or {}
    moved: list[tuple[float, str]] = []
    # most nodes keep the very figures that they had
    others = {name for name, now in metrics.items() if former.get(name) is not now}
    for name in (name for name in graph.nodes.names() if name in others) if others else ():
        now, old = metrics[name], former.get(name)
        if old is None:
            continue
        if abs(now.cosine - old.cosine) > 0 or abs(now.l1 - old.l1) > 0:
            size = max(now.l1, old.l1)
            share = abs(now.l1 - old.l1) / size if size else math.nan
            moved.append((-1.0 if math.isnan(share) else share, name))
    moved.sort(key=lambda row: -row[0])
    names = tuple(name for _, name in moved[:most])
    columns: dict[str, list[Any]] = {
        "op": [graph.nodes[name].op for name in names],
        "on": [placement[name].on for name in names],
    }
    for column in ("cosine", "l1"):
        then = columns[f"{column}_before"] = [float(getattr(former[name], column)) for name in names]
        now_at = columns[column] = [float(getattr(metrics[name], column)) for name in names]
        columns[f"delta_{column}"] = [a - b for a, b in zip(now_at, then, strict=True)]
    return Figures("node", names, columns)
