"""What the tabs of the panel show of each analysis: its newest result as plain data.

A table travels as ``columns`` and ``rows``. Knows the shapes of results and of the page's traits, nothing of how either
is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from qworkbench.analysis.sensitivity_table import FIXED_COLUMNS
from qworkbench.calibration.candidates import table_of
from qworkbench.numerics.dtypes import QMAX

if TYPE_CHECKING:
    import pandas as pd

    from qworkbench.widgets.protocol import WorkbenchLike

Data = dict[str, Any]
PREVIEW_ROWS = 200
"""Rows of a table that is still growing; all of them come at its end."""
LAYER_COLUMNS = (
    "mod_name", "base_op_type", "analy_op_type", "shape", "quant_dtype", "qscale", "Cosine", "L1", "SQNR", "MSE", "KL",
    "Atol", "base_model_min", "base_model_mean", "base_model_max", "rmse_qscale", "local_Cosine", "local_SQNR",
    "local_L1", "local_rmse_qscale", "truncated", "channel_SQNR", "advice",
)  # fmt: skip


def table(frame: pd.DataFrame, *, index: bool = False) -> Data:
    """Return `frame` by rows."""
    if index:
        frame = frame.reset_index()
    columns = [frame[name].tolist() for name in frame.columns]
    return {"columns": [str(name) for name in frame.columns], "rows": list(map(list, zip(*columns, strict=True)))}


def _search(found: Any, _partial: bool) -> Data:
    if isinstance(found, tuple):
        return {**table(table_of(found), index=True), "why": "", "strategy": "", "nodes": None}
    nodes = None if found.node_table is None else table(found.node_table, index=True)
    return {**table(found.table, index=True), "why": found.why, "strategy": found.strategy, "nodes": nodes}


def _sensitivity(found: Any, partial: bool) -> Data:
    metrics = [name for name in found.columns if name not in FIXED_COLUMNS]
    return {
        **table(found.head(PREVIEW_ROWS) if partial else found),
        "metrics": metrics,
        "estimate": "estimate" in found.columns,
    }


def _mixed(found: Any, partial: bool) -> Data:
    if partial:
        return _trials(found)
    chosen = None if found.chosen is None else [found.chosen.cost, found.chosen.value]
    text = repr(found).strip("<>").partition(": ")[2]
    edits = 0 if found.chosen is None else len(found.chosen.edits)
    data = {"target": found.target, "metric": found.metric, "unit": found.unit, "chosen": chosen}
    return {**_trials(found.trials), **data, "text": text, "edits": edits, "reached": chosen is not None, "notes": []}


def _recipe(found: Any, partial: bool) -> Data:
    if partial:
        return _trials(found)
    data = {"target": found.target, "metric": found.metric, "unit": "1: all int8", "chosen": None}
    more = {"text": repr(found).strip("<>"), "edits": len(found.edits), "reached": found.reached}
    return {**_trials(found.trials), **data, **more, "notes": list(found.notes), "name": found.name}


def _trials(frame: pd.DataFrame) -> Data:
    known = ("top_k", "ratio", "ops", "int16", "float16", "cost", "meets", "stage")
    metric = next((str(name) for name in frame.columns if name not in known), "")
    return {**table(frame), "metric": metric, "unit": "", "target": None, "chosen": None, "text": "", "edits": 0}


def _layers(found: Any, _partial: bool) -> Data:
    frame = found.frame[[name for name in LAYER_COLUMNS if name in found.frame.columns]].copy()
    frame["reach"] = frame["qscale"] * frame["quant_dtype"].map(QMAX)
    return {**table(frame), "first_bad": found.first_bad or ""}


def _region(found: Any, partial: bool) -> Data:
    if partial:
        return {"trials": table(found), "ops": [], "members": []}
    names = ("metric", "quantized", "repaired", "explained")
    return {
        **{name: getattr(found, name) for name in names},
        "members": [list(member) for member in found.members],
        "ops": list(found.ops),
        "trials": table(found.trials),
    }


def _cases(found: Any, _partial: bool) -> Data:
    data = {"seen": found.seen, "finished": found.finished, "replaced": dict(found.replaced)}
    if not found.seen:
        return {**data, "columns": [], "rows": [], "worst": []}
    values, indices = found.values, found.indices
    rows = [
        [output, metric, int(indices.loc[output, metric]), values.loc[output, metric]]
        for output in values.index
        for metric in values.columns
    ]
    worst = [[name, int(row["index"]), row["output"], row["value"]] for name, row in found.worst.iterrows()]
    return {**data, "columns": ["output", "metric", "sample", "distance"], "rows": rows, "worst": worst}


def _proposals(found: Any, _partial: bool) -> Data:
    columns = ("node", "low", "high", "why", "now", "scale", "dtype")
    return {"columns": list(columns), "rows": [[getattr(item, name) for name in columns] for item in found]}


def _channels(found: Any, _partial: bool) -> Data:
    return {**table(found.frame, index=True), "node": found.node, "limit": found.limit}


PAGES: Mapping[str, Callable[[Any, bool], Data]] = {
    "search": _search,
    "sensitivity": _sensitivity,
    "mixed_precision": _mixed,
    "recipe": _recipe,
    "compare_layers": _layers,
    "bisect": _region,
    "partial": lambda found, _: table(found, index=True),
    "bad_cases": _cases,
    "range_proposals": _proposals,
    "channels": _channels,
}


def page_of(workbench: WorkbenchLike, analysis: str) -> Data:
    """Return the newest result of `analysis`, or nothing."""
    found = workbench.findings.get(analysis)
    return {} if found is None else {**PAGES[analysis](found.result, False), "partial": False}


def partial_page(analysis: str, result: Any) -> Data:
    """Return what `analysis` has found so far."""
    return {**PAGES[analysis](result, True), "partial": True}


def standing(workbench: WorkbenchLike) -> dict[str, str]:
    """Return per analysis ``"fresh"``, ``"stale"`` (an edit came after it), or ``"applied"``.

    A search is about calibration, so that other calibration does not make it old; ``candidate`` names the one of its
    candidates that is in force.
    """
    found = {}
    for analysis, finding in workbench.findings.items():
        if analysis == "search":
            from qworkbench.workbench.searching import in_force

            now = workbench.config
            found[analysis] = "fresh" if finding.holds_by_any_calibration(now) else "stale"
            names = [c.name for c in finding.result.candidates if in_force(c, now)]
            found["candidate"] = names[0] if names else ""
        elif workbench.holds(analysis):
            found[analysis] = "fresh"
        else:
            found[analysis] = "applied" if _was_applied(workbench, finding) else "stale"
    return found


def _was_applied(workbench: WorkbenchLike, finding: Any) -> bool:
    from qworkbench.errors import QWorkbenchError
    from qworkbench.workbench.mixing import applied

    outcomes = getattr(finding.result, "outcomes", None)
    tried = [outcome.edits for outcome in outcomes.values()] if outcomes else [getattr(finding.result, "edits", ())]
    try:
        return any(edits and applied(finding.config, edits) == workbench.config for edits in tried)
    except QWorkbenchError:
        return False
