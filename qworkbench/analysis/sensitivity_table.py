"""Rows of a sensitivity table, put together while effects of samples and quantizers come in any order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from qworkbench.analysis.distances import Distance, Metric
from qworkbench.analysis.quantizers import Quantizer, flops_of

if TYPE_CHECKING:
    from qworkbench.graph.ir import Graph
    from qworkbench.placement.types import Placement

FIXED_COLUMNS = ("op_name", "sensitive_type", "op_type", "output", "quant_dtype", "flops", "flops_share", "estimate")
"""Columns of every sensitivity table; the others are metrics."""


class SensitivityTable:
    """Distances per quantizer and output; see :func:`qworkbench.analysis.sensitivity.sensitivity` for the columns."""

    def __init__(
        self,
        graph: Graph,
        placement: Placement,
        quantizers: Sequence[Quantizer],
        outputs: Sequence[str],
        metrics: Sequence[Metric],
    ) -> None:
        self.quantizers, self.outputs, self.metrics = quantizers, outputs, metrics
        flops = {unit.name: flops_of(graph, unit, 1) for unit in placement.units}
        self.flops = [flops.get(quantizer.unit or "", 0) for quantizer in quantizers]
        self.whole = max(1, sum(flops.values()))
        self.distances: dict[int, dict[str, Distance]] = {}

    def take(self, index: int, by_target: Mapping[str, Distance]) -> None:
        """Add what quantizer `index` does on some samples, by output."""
        held = self.distances.setdefault(index, {name: Distance() for name in self.outputs})
        for name, distance in by_target.items():
            held[name].merge(distance)

    def frame(self) -> pd.DataFrame:
        """Return the rows so far, worst first."""
        rows = [
            {
                "op_name": quantizer.name,
                "sensitive_type": quantizer.kind,
                "op_type": quantizer.op,
                "output": output,
                **{metric.name: self.distances[index][output].value(metric) for metric in self.metrics},
                "quant_dtype": quantizer.dtype,
                "flops": flops,
                "flops_share": flops / self.whole,
            }
            for index, (quantizer, flops) in enumerate(zip(self.quantizers, self.flops, strict=True))
            if index in self.distances
            for output in self.outputs
        ]
        first = self.metrics[0]
        rows.sort(key=lambda row: -first.badness(float(str(row[first.name]))))
        names = [metric.name for metric in self.metrics]
        columns = ["op_name", "sensitive_type", "op_type", "output", *names, "quant_dtype", "flops", "flops_share"]
        return pd.DataFrame(rows, columns=columns)


def effects_of(frame: pd.DataFrame) -> dict[str, float]:
    """Return the largest effect per node of a sensitivity table, by its first metric; larger is worse for each."""
    metric = next((str(name) for name in frame.columns if name not in FIXED_COLUMNS), None)
    if metric is None:
        return {}
    values = frame[metric].astype(float)
    if metric.upper() == "COSINE":
        values = 1.0 - values
    elif metric.upper() == "SQNR":
        values = 10.0 ** (-values / 20.0)
    found = values.groupby(frame["op_name"]).max()
    return {str(name): float(value) for name, value in found.items()}
