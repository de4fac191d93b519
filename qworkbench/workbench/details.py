"""What a panel shows of one node, as plain JSON-able data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from qworkbench.analysis.metrics import Metrics
from qworkbench.emulator.plan import Plan
from qworkbench.graph.ir import Graph
from qworkbench.placement.types import DtypeRequest, Placement
from qworkbench.workbench.config import Config
from qworkbench.workbench.tables import threshold_and_scale


def node_details(
    graph: Graph,
    placement: Placement,
    plan: Plan | None,
    config: Config,
    metrics: Mapping[str, Metrics] | None,
    name: str,
) -> dict[str, Any]:
    """Return the panel's data of node `name`; `plan` and `metrics` may be missing before calibration and run."""
    node = graph.nodes[name]
    placed = placement[name]
    unit = None if placed.on == "NONE" else placement.unit_of(name)
    result = "" if plan is None else plan.results.get(unit.tail if unit is not None else name, "")
    threshold, scale = threshold_and_scale(plan.quantities.get(result) if plan is not None else None)
    reason = placed.reason
    wish = config.dtypes.get(name, DtypeRequest())
    return {
        "name": name,
        "op": node.op,
        "module": node.module_path or node.scope,
        "source": f"{node.location[0]}:{node.location[1]}" if node.location else node.source_op,
        "on": placed.on,
        "quant_class": placed.quant_class,
        "subgraph": placed.subgraph,
        "unit": placed.unit,
        "reason": reason.sentence,
        "rule": reason.rule,
        "code": reason.code,
        "facts": [fact.text for fact in reason.facts],
        "notes": list(placed.notes),
        "ways": [{"text": way.text, "edits": [dict(edit) for edit in way.edits]} for way in reason.ways],
        "inputs": [_tensor(graph, placement, plan, v) for v in node.inputs if v is not None],
        "outputs": [_tensor(graph, placement, plan, v) for v in node.outputs],
        "threshold": _number(threshold),
        "scale": _number(scale),
        "fixed_scale": name in config.scales,
        "dtype": {"input": placed.input_dtype, "weight": placed.weight_dtype, "output": placed.dtype},
        "requested": {
            "on": config.on.get(name),
            "scale": config.scales.get(name),
            "method": config.methods[name].name if name in config.methods else None,
            **asdict(wish),
        },
        "removable": [
            {"node": unit.node, "where": unit.where, "slot": unit.slot}
            for unit in config.unit_convs
            if name in (unit.node, f"_unitconv_{unit.index}")
        ],
        "allowed": _allowed(graph, config, name),
        "metrics": _metrics((metrics or {}).get(name)),
    }


def _tensor(graph: Graph, placement: Placement, plan: Plan | None, value: str) -> dict[str, Any]:
    entry = graph.values[value]
    group = placement.group(value) if entry.kind in ("input", "activation") else None
    scale = None
    if plan is not None and group is not None:
        quantity = plan.quantities.get(f"{placement.canonical[value]}@{group.dtype}")
        scale = None if quantity is None else _number(float(quantity.scale.max()))
    return {
        "value": value,
        "kind": entry.kind,
        "shape": [str(d) for d in entry.shape],
        "dtype": group.dtype if group is not None else entry.dtype,
        "scale": scale,
    }


def _allowed(graph: Graph, config: Config, name: str) -> dict[str, Any]:
    node = graph.nodes[name]
    march = config.machine
    row = march.row(node.op)

    def choices(dtypes: tuple[str, ...]) -> list[str]:
        return [d for d in march.dtypes if d in dtypes]

    rank4 = len(graph.values[node.output].shape) == 4
    floating = graph.values[node.output].dtype.startswith("float")
    return {
        "on": ["auto", "bpu", "cpu"],
        "input": choices(row.input_dtypes),
        "weight": choices(row.weight_dtypes),
        "output": choices(row.output_dtypes),
        "unitconv": rank4 and floating and len(node.outputs) == 1,
    }


def _metrics(found: Metrics | None) -> dict[str, float | None]:
    if found is None:
        return {}
    values = {k: getattr(found, k) for k in ("cosine", "l1", "mse", "atol", "rtol", "sqnr", "max_qscale_diff")}
    return {k: _number(v) for k, v in values.items()}


def _number(value: float | None) -> float | None:
    """Return `value`, or None where JSON has no number for it."""
    return None if value is None or not math.isfinite(value) else float(value)
