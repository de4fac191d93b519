"""What a search for mixed precision found: every trial, the choice, its edits, the curve of accuracy over cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd

from qworkbench.errors import AnalysisError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one choice gives: `value` of the metric, relative `cost`, its edits, the int16 tensors in effect."""

    value: float
    cost: float
    edits: tuple[Any, ...]
    raised: int


@dataclass(frozen=True, eq=False)
class MixedPrecision:
    """What :func:`qworkbench.analysis.mixed.search` found.

    Attributes
    ----------
    trials : pandas.DataFrame
        One row per trial in the order of the search: top_k, ratio, ops (asked for), int16 or float16 (tensors in
        effect), the metric, cost (1 is all int8), meets.
    metric : str
    target : float or None
    chosen : Outcome or None
        The cheapest choice that meets the target, or the best within the budget; None where there is none.
    budget : float or None
        Largest relative cost.
    outcomes : dict of int to Outcome
        Every trial of the search by its top_k.
    unit : str
        Of the cost.
    """

    trials: pd.DataFrame
    metric: str
    target: float | None
    chosen: Outcome | None
    budget: float | None = None
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    unit: str = "1: all int8"

    @property
    def edits(self) -> tuple[Any, ...]:
        """The edits to apply in one step: ``wb.edit(*result.edits)``; empty where nothing has to be raised.

        Raises
        ------
        AnalysisError
            When the target was not reached.
        """
        if self.chosen is None:
            best = self.trials[self.metric].iloc[-1] if len(self.trials) else float("nan")
            raise AnalysisError(
                f"no share reaches {self.wanted}, all of it gives {best:.6g}; look at the layers (compare_layers), or "
                "ask for less"
            )
        return self.chosen.edits

    @property
    def wanted(self) -> str:
        """Target and budget in words."""
        target = "" if self.target is None else f"{self.metric} {self.target:g}"
        cost = "" if self.budget is None else f"cost {self.budget:g}"
        return " within ".join(part for part in (target, cost) if part)

    def figure(self) -> Figure:
        """Return the curve of accuracy over cost, with the target and the choice marked."""
        from qworkbench.analysis.plots import cost_figure

        chosen = None if self.chosen is None else (self.chosen.cost, self.chosen.value)
        return cost_figure(self.trials, self.metric, self.target, chosen, self.unit)

    def __repr__(self) -> str:
        if self.chosen is None:
            found = "not reached"
        else:
            value, raised = f"{self.metric} {self.chosen.value:.6g}", self.chosen.raised
            tensors = (
                "nothing raised" if not self.chosen.edits else f"{raised} tensor{'' if raised == 1 else 's'} raised"
            )
            found = f"reached: {value} with {tensors}, cost {self.chosen.cost:.3f}"
        return (
            f"<MixedPrecision: {self.wanted} {found}, {len(self.trials)} trial{'' if len(self.trials) == 1 else 's'}>"
        )

    def _repr_html_(self) -> str:
        from qworkbench.view.tables import html_table

        return f"<p>{escape(repr(self).strip('<>'))}</p>{html_table(self.trials, caption='Trials')}"
