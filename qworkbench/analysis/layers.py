"""The layer-by-layer table: every column of the guide's, and beside it what each layer adds by itself.

Cumulative distances compare the emulated network with the float one; local ones run a single op on float inputs. The
first bad layer is the first whose own arithmetic or number format is at fault, which need not be the first whose
cumulative distance is large.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from qworkbench.analysis.advice import CHANNEL_DB, COARSE_DB, SharedCalls, advice_for
from qworkbench.analysis.distances import kl_divergence
from qworkbench.analysis.emulated import emulate, real
from qworkbench.analysis.inputs import audit_inputs
from qworkbench.analysis.layer_table import GUIDE_COLUMNS, OWN_COLUMNS, LayerComparison
from qworkbench.analysis.local import run_alone
from qworkbench.analysis.metrics import Metrics, compare
from qworkbench.analysis.quantization_error import (
    HEALTHY_RMSE,
    QuantizationError,
    healthy_sqnr,
    quantization_error,
)
from qworkbench.analysis.quantizers import op_type
from qworkbench.errors import AnalysisError, Cancelled
from qworkbench.graph.execute import batch_of, run_float

if TYPE_CHECKING:
    import torch

    from qworkbench.calibration.sketch import Sketch
    from qworkbench.emulator.plan import Plan, Quantity
    from qworkbench.graph.ir import Graph
    from qworkbench.graph.node import Node
    from qworkbench.numerics.arithmetic import Rounding
    from qworkbench.placement.types import Placement

NAN = float("nan")


def compare_layers(
    graph: Graph,
    placement: Placement,
    plan: Plan,
    feeds: Mapping[str, torch.Tensor],
    *,
    rounding: Rounding = "half_even",
    sketches: Mapping[str, Sketch] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> LayerComparison:
    """Compare every layer on `feeds`. Source: quantization accuracy tuning guide, "Layer-by-Layer Comparison".

    Parameters
    ----------
    graph, placement, plan
        Of one configuration.
    feeds : Mapping of str to Tensor
    rounding : str
    sketches : Mapping of str to Sketch, optional
        Of the calibration data, by input name; `feeds` that look different are told on the rows of the inputs.
    progress : callable, optional
        Called with (node, done, total).
    cancelled : callable

    Raises
    ------
    Cancelled
    """
    if not plan.quantities:
        raise AnalysisError("nothing is quantized, since every op runs on the CPU; send some to the BPU first")
    reference = {name: tensor.detach().numpy() for name, tensor in run_float(graph, feeds).items()}
    arrays = {name: tensor.numpy() for name, tensor in feeds.items()}
    keys = _keys(graph, plan)
    values = {node.name: node.output for node in graph.nodes}
    rows: dict[str, dict[str, Any]] = {}
    waiting: dict[str, list[str]] = {}
    for name, key in keys.items():
        waiting.setdefault(key, []).append(name)
    total = len(keys)
    seen: dict[str, tuple[Metrics, dict[str, Any], QuantizationError | None]] = {}

    def on_result(key: str, array: np.ndarray) -> None:
        quantity = plan.quantities.get(key)
        emulated = real(array, quantity)
        for name in waiting.pop(key, ()):
            base = reference[values.get(name, name)]
            seen[name] = _measure(base, emulated, quantity)
            if progress is not None:
                progress(name, len(seen), total)

    execution = emulate(plan, arrays, tuple(keys.values()), on_result=on_result, cancelled=cancelled)
    local = _local(graph, placement, plan, reference, feeds, rounding, cancelled)
    shared = _shared(graph, reference)
    strange = audit_inputs(arrays, sketches or {})
    for name in (*(n for n in graph.inputs if n in keys), *graph.nodes.names()):
        node = graph.nodes.get(name)
        row = _row(graph, placement, name, node, reference[values.get(name, name)])
        if name in seen:
            metrics, figures, error = seen[name]
            row |= figures
            row |= _local_columns(local.get(values.get(name, name)), metrics.scale, reference[values.get(name, name)])
            unit = placement[name].unit if node is not None else ""
            row["advice"] = "; ".join(
                advice_for(
                    str(figures["quant_dtype"]),
                    error if node is None or not _passes_on(node, placement) else None,
                    shared=shared.get(name),
                    overflow=execution.overflow.get(unit, 0),
                    notes=placement[name].notes if node is not None else (),
                    pipeline=strange.get(name, ""),
                )
            )
        rows[name] = row
    frame = pd.DataFrame(rows.values(), columns=[*GUIDE_COLUMNS, *OWN_COLUMNS])
    return LayerComparison(frame, _first_bad(frame, strange))


def _keys(graph: Graph, plan: Plan) -> dict[str, str]:
    """Map model inputs that are quantized, and nodes that have a result, to the key that holds it."""
    coded = {name: f"{name}@{dtype}" for name in graph.inputs for dtype in ("int8", "int16")}
    found = {
        name: next((f"{name}@{d}" for d in ("int8", "int16") if f"{name}@{d}" in plan.quantities), "") for name in coded
    }
    return {name: key for name, key in found.items() if key} | dict(plan.results)


def _passes_on(node: Node, placement: Placement) -> bool:
    """Tell whether the codes of `node` are those of its input, whose row has the advice already."""
    return placement[node.name].on == "NONE"


def _measure(
    base: np.ndarray, emulated: np.ndarray, quantity: Quantity | None
) -> tuple[Metrics, dict[str, Any], QuantizationError | None]:
    coded = quantity is not None and quantity.dtype != "int32"
    scale = float(quantity.scale.max()) if quantity is not None else None
    metrics = compare(base, emulated, scale if coded else None)
    number = np.asarray(base, np.float32)
    error = (
        quantization_error(number, quantity.dtype, quantity.scale, quantity.axis)
        if quantity is not None and coded
        else None
    )
    figures: dict[str, Any] = {
        "quant_dtype": "float32" if quantity is None else quantity.dtype,
        "qscale": NAN if scale is None else scale,
        "Cosine": metrics.cosine,
        "MSE": metrics.mse,
        "L1": metrics.l1,
        "KL": kl_divergence(number, np.asarray(emulated, np.float32)),
        "SQNR": metrics.sqnr,
        "Atol": metrics.atol,
        "Rtol": metrics.rtol,
        **_statistics("analy", emulated),
        "max_atol_diff": metrics.atol,
        "max_qscale_diff": NAN if metrics.max_qscale_diff is None else metrics.max_qscale_diff,
        "rmse_qscale": NAN if metrics.scale is None else metrics.mse**0.5 / metrics.scale,
    }
    if error is not None and quantity is not None:
        figures |= {
            "healthy_rmse_qscale": HEALTHY_RMSE,
            "healthy_SQNR": healthy_sqnr(quantity.dtype),
            "rounding_rmse": error.rounding,
            "truncation_rmse": error.truncation,
            "truncated": error.truncated,
            "channel_SQNR": error.channel_sqnr,
        }
    return metrics, figures, error


def _statistics(side: str, x: np.ndarray) -> dict[str, float]:
    if not x.size:
        return {}
    number = x.astype(np.float64)
    return {
        f"{side}_model_min": float(number.min()),
        f"{side}_model_max": float(number.max()),
        f"{side}_model_mean": float(number.mean()),
        f"{side}_model_var": float(number.var()),
    }


def _row(graph: Graph, placement: Placement, name: str, node: Node | None, base: np.ndarray) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys((*GUIDE_COLUMNS, *OWN_COLUMNS), NAN)
    row |= {"mod_name": name, "shape": "x".join(map(str, base.shape)), "quant_dtype": "", "advice": ""}
    row |= _statistics("base", base)
    if node is None:
        return row | {"base_op_type": "Input", "analy_op_type": "Quantize"}
    row["base_op_type"] = node.source_op or node.op
    placed = placement[name]
    if placed.on == "NONE":
        return row | {"analy_op_type": "Identity"}
    unit = placement.unit_of(name)
    kind = op_type(graph, unit)
    return row | {"analy_op_type": kind if name == unit.tail else f"fused into {unit.tail}"}


def _local(
    graph: Graph,
    placement: Placement,
    plan: Plan,
    reference: Mapping[str, np.ndarray],
    feeds: Mapping[str, torch.Tensor],
    rounding: Rounding,
    cancelled: Callable[[], bool],
) -> dict[str, np.ndarray]:
    """Return, per output value of each unit, what the unit gives on float inputs; quantized inputs as their codes."""
    batch = batch_of(graph, feeds)
    steps: dict[str, list[Any]] = {}
    for step in plan.steps:
        steps.setdefault(step.unit, []).append(step)
    found: dict[str, np.ndarray] = {}
    for unit in placement.units:
        if cancelled():
            raise Cancelled("the comparison was cancelled")
        made = run_alone(plan, steps.get(unit.name, ()), reference, batch, rounding)
        for value in unit.outputs:
            for key, array in (made or {}).items():
                if key == value or key in (f"{value}@{d}" for d in ("int8", "int16", "int32")):
                    found[value] = real(array, plan.quantities.get(key))
    for name in graph.inputs:
        codes = _keys(graph, plan).get(name)
        alone = run_alone(plan, steps.get(name, ()), reference, batch, rounding)
        if codes is not None and alone and codes in alone:
            found[name] = real(alone[codes], plan.quantities[codes])
    return found


def _local_columns(alone: np.ndarray | None, scale: float | None, base: np.ndarray) -> dict[str, float]:
    if alone is None or alone.shape != base.shape:
        return {}
    metrics = compare(base, alone, scale)
    return {
        "local_Cosine": metrics.cosine,
        "local_L1": metrics.l1,
        "local_SQNR": metrics.sqnr,
        "local_Atol": metrics.atol,
        "local_rmse_qscale": NAN if scale is None else metrics.mse**0.5 / scale,
    }


def _shared(graph: Graph, reference: Mapping[str, np.ndarray]) -> dict[str, SharedCalls]:
    """Return, per node of a module that is called several times, the ranges of all its calls."""
    calls: dict[str, dict[str, float]] = {}
    for node in graph.nodes:
        if node.module_path is not None and graph.is_activation(node.output):
            largest = float(np.abs(reference[node.output]).max(initial=0.0))
            calls.setdefault(node.module_path, {})[node.name] = largest
    several = {path: SharedCalls(path, nodes) for path, nodes in calls.items() if len(nodes) > 1}
    return {
        name: shared
        for path, shared in several.items()
        if graph.call_counts.get(path, 1) > 1
        for name in shared.largest
    }


def _first_bad(frame: pd.DataFrame, strange: Collection[str]) -> str | None:
    bad = (frame["local_SQNR"] < COARSE_DB) | (frame["channel_SQNR"] < CHANNEL_DB) | frame["mod_name"].isin(strange)
    named = frame.loc[bad, "mod_name"]
    return None if named.empty else str(named.iloc[0])
