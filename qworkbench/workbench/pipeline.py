"""One run of a tuning pipeline: what was tried, what it cost, the search for the smallest share of int16 that will do.

Which steps a pipeline has is said in :mod:`.recipes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from qworkbench.analysis.mixed import Op
from qworkbench.analysis.mixed_result import MixedPrecision
from qworkbench.errors import Cancelled
from qworkbench.workbench.debugging import sensitivity_of
from qworkbench.workbench.edits import Edit
from qworkbench.workbench.mixing import applied, mixed_of
from qworkbench.workbench.trials import Trials, cost_of, tensors_in

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure

    from qworkbench.analysis.sensitivity_memo import SensitivityMemo
    from qworkbench.workbench.config import Config
    from qworkbench.workbench.stages import Stages


@dataclass(frozen=True, eq=False)
class Recipe:
    """What a pipeline found.

    Attributes
    ----------
    name, march, metric : str
    target : float
    trials : pandas.DataFrame
        Every configuration in the order of the pipeline: stage, top_k, int16, float16 (tensors in effect), the metric,
        cost (1 is all int8), meets.
    edits : tuple of Edit
        From the workbench as it was to the cheapest configuration that meets the target, or the best that was tried.
    reached : bool
    notes : tuple of str
        What the pipeline decided, and what the march cannot do.
    """

    name: str
    march: str
    metric: str
    target: float
    trials: pd.DataFrame
    edits: tuple[Edit, ...]
    reached: bool
    notes: tuple[str, ...]

    def figure(self) -> Figure:
        """Return accuracy over relative cost of every trial, with the target."""
        from qworkbench.analysis.plots import cost_figure

        return cost_figure(self.trials, self.metric, self.target)

    def __repr__(self) -> str:
        found = "reached" if self.reached else "not reached"
        return (
            f"<Recipe {self.name} on {self.march}: {self.metric} {self.target:g} {found}, {len(self.trials)} trials, "
            f"{len(self.edits)} edit{'' if len(self.edits) == 1 else 's'}>"
        )

    def __str__(self) -> str:
        return "\n".join([repr(self).strip("<>"), *self.notes, "", self.trials.to_string(index=False)])

    def _repr_html_(self) -> str:
        from html import escape

        from qworkbench.view.tables import html_table

        said = "<br>".join(escape(text) for text in (repr(self).strip("<>"), *self.notes))
        return f"<p>{said}</p>{html_table(self.trials, caption='Trials')}"


class Pipeline:
    """The steps that pipelines share: measure a configuration, rank on it, search on it.

    Parameters
    ----------
    stages, config
        Of the workbench; `config` is where the edits start.
    feeds : Mapping of str to Tensor
    target : float
    memo : SensitivityMemo
    progress, cancelled, on_rows : callable
    **options
        See :class:`qworkbench.workbench.trials.Trials`.
    """

    def __init__(
        self,
        stages: Stages,
        config: Config,
        feeds: dict[str, torch.Tensor],
        target: float,
        memo: SensitivityMemo,
        progress: Callable[[str, int, int], None] | None,
        cancelled: Callable[[], bool],
        options: Mapping[str, Any],
        on_rows: Callable[[pd.DataFrame], None] | None = None,
    ) -> None:
        self.stages, self.feeds, self.target, self.memo = stages, feeds, target, memo
        self.trials = Trials(stages, config, feeds, **options)
        self.options, self.progress, self.cancelled, self.on_rows = options, progress, cancelled, on_rows
        self.rows: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self.best: tuple[float, tuple[Edit, ...]] | None = None
        self.graph = stages.graph(config)
        self.start = config

    def config(self, edits: Sequence[Edit]) -> Config:
        """Return the configuration after `edits`."""
        return applied(self.start, edits)

    def measure(self, stage: str, edits: tuple[Edit, ...]) -> bool:
        """Try `edits`, note the trial, and tell whether it meets the target."""
        if self.cancelled():
            raise Cancelled("the recipe was cancelled")
        config = self.config(edits)
        return self._note(stage, "", self.trials.value(config), config, edits)

    def search(
        self, stage: str, base: tuple[Edit, ...], ops: Callable[[Op], bool], dtype: str
    ) -> tuple[Edit, ...] | None:
        """Return `base` with the fewest ops raised to `dtype` that meet the target, None where all of them miss it."""
        config = self.config(base)
        table = sensitivity_of(self.stages, config, self.feeds, self.memo, cancelled=self.cancelled)
        pairs = zip(table["op_name"].astype(str), table["sensitive_type"].astype(str), strict=True)
        table = table[[ops(pair) for pair in pairs]]
        if table.empty:
            self.notes.append(f"{stage}: no op is left to raise to {dtype}")
            return None
        kinds = tuple(dict.fromkeys(table["sensitive_type"]))
        found: MixedPrecision = mixed_of(
            self.stages, config, self.feeds, table, self.target, kinds=kinds, dtype=dtype,
            cancelled=self.cancelled, **self.options,
        )  # fmt: skip
        for row in found.trials.to_dict("records"):
            self._row(stage, row["top_k"], row[found.metric], row["cost"], row[dtype], dtype, bool(row["meets"]))
        for outcome in found.outcomes.values():
            self._keep(outcome.value, (*base, *outcome.edits))
        return None if found.chosen is None else (*base, *found.edits)

    def _note(self, stage: str, top: Any, value: float, config: Config, edits: tuple[Edit, ...]) -> bool:
        meets = self.trials.meets(value, self.target)
        self._row(
            stage, top, value, cost_of(self.stages, config), tensors_in(self.stages, config, "int16"), "int16", meets
        )
        self.rows[-1]["float16"] = tensors_in(self.stages, config, "float16")
        self._keep(value, edits)
        return meets

    def _row(self, stage: str, top: Any, value: float, cost: float, raised: int, dtype: str, meets: bool) -> None:
        row = {"stage": stage, "top_k": top, "int16": "", "float16": "", self.trials.name: value, "cost": cost}
        self.rows.append({**row, dtype: raised, "meets": meets})
        if self.progress is not None:
            self.progress(f"{stage}: {value:.6g}", len(self.rows), 0)
        if self.on_rows is not None:
            self.on_rows(pd.DataFrame(self.rows))

    def _keep(self, value: float, edits: tuple[Edit, ...]) -> None:
        sign = -1.0 if self.trials.larger_is_worse else 1.0
        if self.best is None or sign * value > sign * self.best[0]:
            self.best = value, edits
