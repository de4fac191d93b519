"""Rows of a sensitivity table, put together while effects of samples and quantizers come in any order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from qworkbench.analysis.distances import Distance, Metric
from qworkbench.analysis.quantizers import Quantizer

FIXED_COLUMNS = ("op_name", "sensitive_type", "op_type", "output", "quant_dtype", "flops", "flops_share", "estimate")
"""Columns of every sensitivity table; the others are metrics."""


class SensitivityTable:
    """Distances per quantizer and output; see :func:`qworkbench.analysis.sensitivity.sensitivity` for the columns.

    `flops` is the arithmetic of every unit on one sample, by name.
    """

    def __init__(
        self,
        flops: Mapping[str, int],
        quantizers: Sequence[Quantizer],
        outputs: Sequence[str],
        metrics: Sequence[Metric],
    ) -> None:
        self.quantizers, self.outputs, self.metrics = quantizers, outputs, metrics
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
        found = [
            (index, output, [distance.value(metric) for metric in self.metrics])
            for index in range(len(self.quantizers))
            if index in self.distances
            for output, distance in self.distances[index].items()
        ]
        found.sort(key=lambda row: -self.metrics[0].badness(row[2][0]))
        chosen = [self.quantizers[index] for index, _, _ in found]
        flops = [self.flops[index] for index, _, _ in found]
        columns: dict[str, list[Any]] = {
            "op_name": [quantizer.name for quantizer in chosen],
            "sensitive_type": [quantizer.kind for quantizer in chosen],
            "op_type": [quantizer.op for quantizer in chosen],
            "output": [output for _, output, _ in found],
            **{m.name: [values[place] for _, _, values in found] for place, m in enumerate(self.metrics)},
            "quant_dtype": [quantizer.dtype for quantizer in chosen],
            "flops": flops,
            "flops_share": [count / self.whole for count in flops],
        }
        return pd.DataFrame(columns)


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
