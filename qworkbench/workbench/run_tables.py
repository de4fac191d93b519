"""The tables of a run, made when they are first read: an edit that is answered by a figure waits for no frame.

Keeps distances, names and scales, no tensor and no plan, so that the trail of former runs stays small.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from qworkbench.analysis.metrics import Metrics
from qworkbench.emulator.plan import Quantity
from qworkbench.graph.ir import Graph
from qworkbench.placement.types import Placement
from qworkbench.workbench.tables import change_table, layer_table, output_table


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
        return output_table(self.at_outputs, self.outputs_before)

    @cached_property
    def layers(self) -> pd.DataFrame:
        """One row per node."""
        return layer_table(self.graph, self.placement, self.quantities, self.results, self.metrics)

    @cached_property
    def changes(self) -> pd.DataFrame:
        """The nodes that moved most."""
        return change_table(self.graph, self.placement, self.metrics, self.metrics_before)
