"""Tables as plain rows for the widget: numbers that JSON can hold, nothing else."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from qworkbench.calibration.method import METHODS
from qworkbench.calibration.preprocess import CHANNELS, FITS, LAYOUTS, RUNTIME, SPACES, Preprocess
from qworkbench.calibration.search import SEARCHES
from qworkbench.march import MARCHES
from qworkbench.workbench.edits.inputs import text_of
from qworkbench.workbench.edits.model import ARITHMETIC_CHOICES

if TYPE_CHECKING:
    from qworkbench.calibration.method import Statistics
    from qworkbench.graph.ir import Graph
    from qworkbench.placement.types import Placement
    from qworkbench.workbench.config import Config
    from qworkbench.workbench.history import History
    from qworkbench.workbench.run import Run


def output_rows(run: Run) -> list[dict[str, Any]]:
    """Return one row per model output of a run."""
    figures = run.tables.output_figures
    columns = ("cosine", "l1", "cosine_before", "l1_before", "delta_cosine", "delta_l1")
    return [
        {"output": name, **{c: _number(figures.columns[c][row]) for c in columns}}
        for row, name in enumerate(figures.names)
    ]


def node_rows(graph: Graph, placement: Placement, run: Run | None) -> list[dict[str, Any]]:
    """Return one row per node; distances are None before a run."""
    rows = []
    for node in graph.nodes:
        placed = placement[node.name]
        found = None if run is None else run.metrics.get(node.name)
        rows.append(
            {
                "id": node.name,
                "op": node.op,
                "on": placed.on,
                "dtype": placed.dtype if placed.on != "NONE" else "",
                "quant_class": placed.quant_class,
                "subgraph": placed.subgraph,
                "cosine": None if found is None else _number(found.cosine),
                "l1": None if found is None else _number(found.l1),
                "reason": placed.reason.sentence,
            }
        )
    return rows


def settings_row(config: Config, statistics: Statistics | None) -> dict[str, Any]:
    """Return march and calibration with their choices; searches need the statistics themselves, not only thresholds."""
    searches = SEARCHES if statistics is not None and statistics.sketches else ()
    return {
        "march": config.march,
        "marches": list(MARCHES),
        "method": config.calibration.name,
        "percentile": config.calibration.percentile,
        "per_channel": config.calibration.per_channel,
        "methods": list(METHODS),
        "searches": list(searches),
        "samples": 0 if statistics is None else statistics.samples,
        "arithmetic": asdict(config.arithmetic),
        "arithmetics": {name: list(values) for name, values in ARITHMETIC_CHOICES.items()},
    }


def input_rows(graph: Graph, config: Config) -> list[dict[str, Any]]:
    """Return one row per model input: its shape, what is declared about it, and what each training type allows."""
    choices = {
        "rt": {train: list(rt) for train, rt in RUNTIME.items()},
        "layout": LAYOUTS,
        "space": SPACES,
        "fit": FITS,
    }
    rows = []
    for name in graph.inputs:
        declared = config.inputs.get(name)
        rows.append(
            {
                "name": name,
                "shape": [str(d) for d in graph.shape(name)],
                "declared": None if declared is None else _declared(declared),
                "choices": choices,
                "channels": CHANNELS,
            }
        )
    return rows


def _declared(declared: Preprocess) -> dict[str, Any]:
    numbers = {name: text_of(getattr(declared, name)) for name in ("mean", "scale")}
    return {**{name: getattr(declared, name) for name in ("rt", "train", "layout", "space", "fit")}, **numbers}


def journal_rows(history: History) -> list[dict[str, Any]]:
    """Return one row per step, the undone ones included; ``current`` marks the newest one in force."""
    rows = [{"index": 0, "text": "as loaded", "current": history.cursor == 0}]
    for index, entry in enumerate(history.entries, start=1):
        rows.append({"index": index, "text": entry.text, "current": index == history.cursor})
    return rows


def _number(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
