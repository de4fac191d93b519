"""The guide's three kinds of shared modules, told apart by what their calls put out.

A: called once and read by several; harmless. B: called several times with similar outputs; one scale serves all. C:
called several times with different outputs; whoever shares one scale loses resolution on the small ones, so the module
wants a copy per call. Source: quantization accuracy tuning guide, "Shared Modules".
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pandas as pd

from qworkbench.analysis.advice import SHARED_RATIO
from qworkbench.analysis.inputs import Moments
from qworkbench.graph.ir import Graph
from qworkbench.placement.sharing import calls_of_modules
from qworkbench.placement.types import Placement

COLUMNS = ("module", "kind", "calls", "ranges", "ratio", "bits_lost", "shift", "advice")


def shared_modules(graph: Graph, placement: Placement, moments: Callable[[str], Moments | None]) -> pd.DataFrame:
    """Return one row per module that is called or read several times, the gravest first.

    Parameters
    ----------
    graph : Graph
    placement : Placement
        Tells which modules are split already and which values are what a fused op writes.
    moments : callable
        Mean, standard deviation and range of a value, None where it was not observed.

    Returns
    -------
    pandas.DataFrame
        module, kind ("A" | "B" | "C"), calls, ranges (largest magnitude per call), ratio (largest over smallest),
        bits_lost (log2 of the ratio: what the smallest call loses to a common scale), shift (largest distance of the
        means in standard deviations), advice.
    """
    rows = []
    calls = calls_of_modules(graph)
    for module, names in calls.items():
        values = [_written(graph, placement, name) for name in names]
        seen = [found for value in values if (found := moments(value)) is not None]
        if len(seen) < 2:
            continue
        ranges = [item.largest for item in seen]
        ratio = max(ranges) / min(ranges) if min(ranges) > 0 else math.inf
        shift = max(abs(a.mean - b.mean) / max(a.std, b.std, 1e-30) for a in seen for b in seen)
        kind = "C" if ratio > SHARED_RATIO else "B"
        rows.append([module, kind, len(names), ranges, ratio, math.log2(ratio), shift, _advice(kind, module, ratio)])
    for node in graph.nodes:
        path = node.module_path
        if path is None or path in calls or not node.outputs:
            continue
        readers = {user.name for user, _ in graph.users(node.output)}
        found = moments(_written(graph, placement, node.name))
        if len(readers) > 1 and found is not None:
            rows.append([path, "A", 1, [found.largest], 1.0, 0.0, 0.0, f"read by {len(readers)}: nothing to do"])
    rows.sort(key=lambda row: (-ord(str(row[1])), -float(str(row[4]))))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _written(graph: Graph, placement: Placement, name: str) -> str:
    if placement[name].on == "NONE":
        return placement.canonical[graph.nodes[name].output]
    return placement.unit_of(name).outputs[0]


def _advice(kind: str, module: str, ratio: float) -> str:
    if kind == "B":
        return "outputs alike: one scale serves all calls"
    return (
        f"outputs differ by {ratio:.3g}: with one scale for all calls (training plugin) copy {module!r} for each call, "
        f"SplitModule({module!r})"
    )
