"""The tables of a run, made when they are first read: an edit that is answered by a figure waits for no frame.

Keeps distances, names and scales, no tensor and no plan, so that the trail of former runs stays small.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from qworkbench.analysis.metrics import Metrics
from qworkbench.emulator.plan import Quantity
from qworkbench.graph.ir import Graph
from qworkbench.placement.types import Placement
from qworkbench.view.figures import Figures
from qworkbench.workbench.tables import change_figures, layer_table, output_figures


@dataclass(eq=False)
class RunTables:
    """What the tables of one run are made of.

    Attributes
    ----------
    graph, placement
        As they were emulated.
    quantities, results : Mapping
        Of the plan.
    at_outputs, metrics : Mapping of str to Metrics
        Distances by model output, and by node.
    outputs_before, metrics_before : Mapping of str to Metrics, optional
        The same of the run before on the same inputs.
    """

    graph: Graph
    placement: Placement
    quantities: Mapping[str, Quantity]
    results: Mapping[str, str]
    at_outputs: Mapping[str, Metrics]
    metrics: Mapping[str, Metrics]
    outputs_before: Mapping[str, Metrics] | None = None
    metrics_before: Mapping[str, Metrics] | None = None

    @cached_property
    def outputs(self) -> pd.DataFrame:
        """One row per model output."""
        return self.output_figures.frame()

    @cached_property
    def layers(self) -> pd.DataFrame:
        """One row per node."""
        return layer_table(self.graph, self.placement, self.quantities, self.results, self.metrics)

    @cached_property
    def changes(self) -> pd.DataFrame:
        """The nodes that moved most."""
        return self.change_figures.frame()

    @cached_property
    def output_figures(self) -> Figures:
        """The distances of every output, and how they moved, without a frame around them."""
        return output_figures(self.at_outputs, self.outputs_before)

    @cached_property
    def change_figures(self) -> Figures:
        """The nodes that moved most, without a frame around them."""
        return change_figures(self.graph, self.placement, self.metrics, self.metrics_before)

    @property
    def worst(self) -> tuple[float, float]:
        """The smallest cosine and the largest L1 of the outputs that have one; NaN without any."""
        cosines = [m.cosine for m in self.at_outputs.values() if not math.isnan(m.cosine)]
        lengths = [m.l1 for m in self.at_outputs.values() if not math.isnan(m.l1)]
        return min(cosines, default=math.nan), max(lengths, default=math.nan)
