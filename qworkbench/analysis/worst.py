"""The worst samples of a stream so far: per output and metric, with the samples themselves.

Knows nothing of how a sample is compared; printed as the three tables of the tuning guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

import pandas as pd

from qworkbench.analysis.distances import Distance, Metric
from qworkbench.analysis.text import text_table
from qworkbench.errors import AnalysisError

if TYPE_CHECKING:
    import torch


@dataclass
class BadCases:
    """The worst samples so far.

    Attributes
    ----------
    outputs : tuple of str
        What was compared, by output name.
    metrics : tuple of Metric
    found : dict of (output, metric) to (int, float)
        Index of the worst sample in the stream, and its distance.
    seen : int
        Samples compared so far.
    finished : bool
        Whether the stream came to its end (or to the limit that was asked for).
    samples : dict of int to dict of str to torch.Tensor
        The worst samples themselves, by index.
    replaced : dict of str to str
        Outputs that cannot be compared -> the ranking node whose input stands for them.
    """

    outputs: tuple[str, ...]
    metrics: tuple[Metric, ...]
    found: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)
    seen: int = 0
    finished: bool = False
    samples: dict[int, dict[str, torch.Tensor]] = field(default_factory=dict)
    replaced: dict[str, str] = field(default_factory=dict)

    @property
    def indices(self) -> pd.DataFrame:
        """Index of the worst sample per output and metric."""
        return self._frame(0).astype("int64")

    @property
    def values(self) -> pd.DataFrame:
        """Distance of the worst sample per output and metric."""
        return self._frame(1)

    @property
    def worst(self) -> pd.DataFrame:
        """Index of the worst sample over all outputs, its output and distance, per metric."""
        rows = []
        for metric in self.metrics:
            ranked = [(metric.badness(self.found[o, metric.name][1]), o) for o in self.outputs]
            output = max(ranked, key=lambda pair: pair[0])[1]
            index, value = self.found[output, metric.name]
            rows.append({"metric": metric.name, "index": index, "output": output, "value": value})
        return pd.DataFrame(rows).set_index("metric")

    def sample(self, metric: str | None = None, output: str | None = None) -> dict[str, torch.Tensor]:
        """Return the worst sample by `metric` (default: the first), of `output` or over all of them, as feeds."""
        name = self.metrics[0].name if metric is None else metric.upper() if metric.isascii() else metric
        known = {m.name: m for m in self.metrics} | {m.name.upper(): m for m in self.metrics}
        if name not in known:
            raise AnalysisError(
                f"bad cases were not searched by {metric!r}; there are {', '.join(self.values.columns)}"
            )
        if output is not None and output not in self.outputs:
            raise AnalysisError(f"no output {output!r} was compared; there are {', '.join(self.outputs)}")
        exact = known[name].name
        index = int(self.worst["index"][exact]) if output is None else self.found[output, exact][0]
        return self.samples[index]

    def take(self, index: int, output: str, distance: Distance, feeds: Mapping[str, torch.Tensor]) -> None:
        """Compare sample `index` with the worst so far."""
        for metric in self.metrics:
            value = distance.value(metric)
            old = self.found.get((output, metric.name))
            if old is None or metric.badness(value) > metric.badness(old[1]):
                self.found[output, metric.name] = (index, value)
                self.samples[index] = {name: tensor.clone() for name, tensor in feeds.items()}

    def forget_others(self) -> None:
        """Drop samples that are no longer the worst of anything."""
        kept = {index for index, _ in self.found.values()}
        self.samples = {index: feeds for index, feeds in self.samples.items() if index in kept}

    def _frame(self, part: int) -> pd.DataFrame:
        names = [metric.name for metric in self.metrics]
        rows = {o: [self.found[o, m][part] for m in names] for o in self.outputs}
        frame = pd.DataFrame.from_dict(rows, orient="index", columns=names)
        return frame.rename_axis("output")

    def __str__(self) -> str:
        if not self.seen:
            return "no sample was compared"
        headings = ["Name/Index", *(metric.name for metric in self.metrics)]
        parts = [
            "The bad case input index of each output:",
            text_table(headings, [[name, *map(int, row)] for name, row in self.indices.iterrows()]),
            "",
            "The metric results of each badcase:",
            text_table(headings, [[name, *map(float, row)] for name, row in self.values.iterrows()]),
            "",
            "The bad case input index of the worst output:",
            text_table(["metric", "dataloader index"], [[m, int(i)] for m, i in self.worst["index"].items()]),
        ]
        parts += [
            f"\n{name!r} holds a ranking; the input of {node!r} was compared" for name, node in self.replaced.items()
        ]
        if not self.finished:
            parts.append(f"\nstopped after {self.seen} samples; pass resume= to go on")
        return "\n".join(parts)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        titles = ("Worst sample", "Its distance", "Worst over all outputs")
        frames = (self.indices, self.values, self.worst) if self.seen else ()
        from qworkbench.view.tables import html_table

        return "".join(html_table(f, caption=t) for t, f in zip(titles, frames, strict=False)) or escape(str(self))
