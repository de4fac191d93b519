"""The layer-by-layer table of a float model and its prepared or converted form, on one sample.

Columns and figures are those of the workbench's own table (:mod:`qworkbench.analysis.layers`); the rows are operators
by name, in the order in which the float model calls them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor, nn

from qworkbench.analysis.advice import SharedCalls, advice_for
from qworkbench.analysis.distances import kl_divergence
from qworkbench.analysis.layer_table import GUIDE_COLUMNS
from qworkbench.analysis.metrics import compare
from qworkbench.analysis.quantization_error import QuantizationError, quantization_error
from qworkbench.qat.dtype import INTEGER_NAMES
from qworkbench.qat.profiler.lineage import Flow
from qworkbench.qat.profiler.watch import Call, real
from qworkbench.qat.qtensor import QTensor
from qworkbench.qat.quantization.fake_cast import FakeCast
from qworkbench.qat.quantization.fake_quantize import FakeQuantize
from qworkbench.qat.quantization.region import KEEPS_SCALE

COLUMNS = (*GUIDE_COLUMNS, "advice")
NAN = float("nan")


def compare_calls(baseline: Sequence[Call], flow: Flow, analysed: Sequence[Call]) -> pd.DataFrame:
    """Return one row per call of the baseline; an operator that was fused away shows what replaced its input.

    Parameters
    ----------
    baseline, analysed : sequence of Call
        Of both models on the same sample.
    flow : Flow
        Of the baseline.
    """
    known = {call.name: call for call in analysed}
    made_by = {id(call.output): call.name for call in baseline if call.output is not None}
    values: dict[str, Call | None] = {}
    shared = _shared(baseline)
    rows = []
    for call in baseline:
        if call.output is None or not call.output.is_floating_point():
            continue
        own = known.get(call.name)
        before = values.get(_origin(call, made_by, flow))
        source = own if own is not None and not isinstance(own.module, nn.Identity) else before
        grid = before if source is not None and type(source.module) in KEEPS_SCALE else source
        values[call.name] = source
        rows.append(_row(call, own, source, grid, shared.get(call.path)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def statistics(calls: Sequence[Call]) -> pd.DataFrame:
    """Return smallest, largest, mean and variance of every output."""
    rows = []
    for call in calls:
        if call.output is not None and call.output.numel():
            value = real(call.output).double()
            figures = [float(value.min()), float(value.max()), float(value.mean()), float(value.var(unbiased=False))]
            rows.append([call.name, call.kind, "x".join(map(str, value.shape)), *figures])
    return pd.DataFrame(rows, columns=["mod_name", "op_type", "shape", "min", "max", "mean", "var"])


def _origin(call: Call, made_by: dict[int, str], flow: Flow) -> str:
    """Return the call that made the first input of `call`, through functions that have no name."""
    tensor = call.inputs[0] if call.inputs else None
    while tensor is not None and id(tensor) not in made_by and id(tensor) in flow.source:
        tensor = flow.source[id(tensor)][1]
    return "" if tensor is None else made_by.get(id(tensor), "")


def _row(
    call: Call, own: Call | None, source: Call | None, grid: Call | None, shared: SharedCalls | None
) -> dict[str, Any]:
    """Return the row of `call`; `source` made the analysed value, on the codes of `grid`."""
    assert call.output is not None
    base = np.ascontiguousarray(real(call.output).float().cpu().numpy())
    row: dict[str, Any] = dict.fromkeys(COLUMNS, NAN)
    row |= {"mod_name": call.name, "base_op_type": call.kind, "shape": "x".join(map(str, base.shape)), "advice": ""}
    row["analy_op_type"] = (
        "torch.nn.modules.linear.Identity" if own is None and source is not None else "" if own is None else own.kind
    )
    row["quant_dtype"], row["qscale"] = "", NAN
    row |= _statistics("base", base)
    if source is None or source.output is None:
        return row
    dtype, scale, axis = quantity(grid or source)
    row |= {"quant_dtype": dtype, "qscale": NAN if scale is None else float(scale.max())}
    found = np.ascontiguousarray(real(source.output).float().cpu().numpy())
    row |= _statistics("analy", found)
    if found.shape != base.shape:
        return row
    metrics = compare(base, found, None if scale is None else float(scale.max()))
    row |= {
        "Cosine": metrics.cosine, "MSE": metrics.mse, "L1": metrics.l1, "KL": kl_divergence(base, found),
        "SQNR": metrics.sqnr, "Atol": metrics.atol, "Rtol": metrics.rtol, "max_atol_diff": metrics.atol,
        "max_qscale_diff": NAN if metrics.max_qscale_diff is None else metrics.max_qscale_diff,
    }  # fmt: skip
    error: QuantizationError | None = None
    if scale is not None and dtype in INTEGER_NAMES and source is own:
        error = quantization_error(base, INTEGER_NAMES[dtype], scale, axis)
        row["advice"] = "; ".join(advice_for(INTEGER_NAMES[dtype], error, shared=shared))
    return row


def quantity(call: Call) -> tuple[str, np.ndarray | None, int]:
    """Return dtype, scale (float32, or None) and channel axis of what a call returned."""
    if isinstance(call.output, QTensor):
        name = f"q{str(call.output.int_repr().dtype).removeprefix('torch.')}"
        return name, call.output.q_scale().cpu().numpy(), call.output.q_per_channel_axis()
    post = getattr(call.module, "activation_post_process", None)
    if isinstance(post, FakeQuantize):
        return post.dtype, post.scale.detach().cpu().numpy(), post.observer.ch_axis
    return (post.dtype if isinstance(post, FakeCast) else "float32"), None, -1


def _statistics(side: str, x: np.ndarray) -> dict[str, float]:
    if not x.size:
        return {}
    number = x.astype(np.float64)
    figures = {"min": number.min(), "max": number.max(), "mean": number.mean(), "var": number.var()}
    return {f"{side}_model_{name}": float(value) for name, value in figures.items()}


def _shared(calls: Sequence[Call]) -> dict[str, SharedCalls]:
    """Return, per operator that is called several times, the range of each call."""
    largest: dict[str, dict[str, float]] = {}
    for call in calls:
        if isinstance(call.output, Tensor) and call.output.is_floating_point() and call.output.numel():
            top = float(real(call.output).abs().max())
            largest.setdefault(call.path, {})[call.name] = top if math.isfinite(top) else 0.0
    return {path: SharedCalls(path, found) for path, found in largest.items() if len(found) > 1}
