"""Mixed precision: the smallest share of int16 tensors that reaches a target, by bisection over sensitivity tables.

From each table (one per output) the worst k rows are raised, and the union of all is tried, as the guide proposes.
What a choice of ops means for a model is the caller's: this module only ranks, bisects and keeps the trials.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from qworkbench.errors import AnalysisError, Cancelled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Op = tuple[str, str]
NEEDED = ("op_name", "sensitive_type")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one choice gives: `value` of the metric, relative `cost`, its edits, the int16 tensors in effect."""

    value: float
    cost: float
    edits: tuple[Any, ...]
    raised: int


@dataclass(frozen=True, eq=False)
class MixedPrecision:
    """What :func:`search` found.

    Attributes
    ----------
    trials : pandas.DataFrame
        One row per trial in the order of the search: top_k, ratio, ops (asked for), int16 (tensors in effect), the
        metric, cost (1 is all int8, 2 all multiply-accumulates on int16), meets.
    metric : str
    target : float
    chosen : Outcome or None
        The cheapest choice that meets the target; None where even the highest precision misses it.
    """

    trials: pd.DataFrame
    metric: str
    target: float
    chosen: Outcome | None

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
                f"no share of int16 reaches {self.metric} {self.target:g}, all of it gives {best:.6g}; look at the "
                "layers (compare_layers), or set a lower target"
            )
        return self.chosen.edits

    def figure(self) -> Figure:
        """Return the curve of accuracy over cost, with the target and the choice marked."""
        from matplotlib.figure import Figure

        made = Figure(figsize=(6, 3.5), layout="constrained")
        axes = made.subplots()
        curve = self.trials.sort_values("cost")
        axes.plot(curve["cost"], curve[self.metric], "o-", color="#4477aa")
        axes.axhline(self.target, color="#aa3377", linestyle="--", label=f"target {self.target:g}")
        if self.chosen is not None:
            axes.plot([self.chosen.cost], [self.chosen.value], "o", color="#228833", markersize=10, label="chosen")
        axes.set_xlabel("relative cost (1: all int8)")
        axes.set_ylabel(self.metric)
        axes.legend()
        return made

    def __repr__(self) -> str:
        if self.chosen is None:
            found = "not reached"
        else:
            found = f"reached with {self.chosen.raised} int16 tensors at cost {self.chosen.cost:.3f}"
        return f"<MixedPrecision: {self.metric} {self.target:g} {found}, {len(self.trials)} trials>"

    def _repr_html_(self) -> str:
        return f"<p>{repr(self).strip('<>')}</p>{self.trials.to_html()}"


def ranked_ops(tables: pd.DataFrame | Sequence[pd.DataFrame], kinds: Sequence[str]) -> list[list[Op]]:
    """Return (op, sensitive_type) pairs, worst first, one list per table and output; only of `kinds`.

    Raises
    ------
    AnalysisError
        When a table is not a sensitivity table, or none has a row of `kinds`.
    """
    given = [tables] if isinstance(tables, pd.DataFrame) else list(tables)
    found = []
    for table in given:
        missing = [column for column in NEEDED if column not in table.columns]
        if missing:
            raise AnalysisError(f"a sensitivity table lacks column {missing[0]!r}; pass what sensitivity() returned")
        parts = [part for _, part in table.groupby("output", sort=False)] if "output" in table.columns else [table]
        for part in parts:
            pairs = zip(part["op_name"].astype(str), part["sensitive_type"].astype(str), strict=True)
            found.append([pair for pair in dict.fromkeys(pairs) if pair[1] in kinds])
    if not any(found):
        raise AnalysisError(f"no row of the sensitivity tables is of type {' or '.join(kinds)}")
    return found


def top_ops(ranked: Sequence[Sequence[Op]], top: int | float) -> tuple[Op, ...]:
    """Return the union of the worst of each list: `top` rows for an int, that share of each list for a float."""
    if isinstance(top, float) and not 0.0 <= top <= 1.0:
        raise AnalysisError(f"a ratio must be from 0.0 to 1.0, got {top}; a whole number counts rows")
    if top < 0:
        raise AnalysisError(f"the number of rows must not be negative, got {top}")
    union: dict[Op, None] = {}
    for ops in ranked:
        count = round(top * len(ops)) if isinstance(top, float) else top
        union.update(dict.fromkeys(ops[:count]))
    return tuple(union)


def search(
    ranked: Sequence[Sequence[Op]],
    measure: Callable[[tuple[Op, ...]], Outcome],
    target: float,
    *,
    metric: str,
    larger_is_worse: bool,
    progress: Callable[[str, int, int], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> MixedPrecision:
    """Bisect for the smallest k whose top-k union meets `target`.

    Assumes that raising more ops does not make the metric worse; every trial is in the result, so that an exception
    shows. At most ``2 + log2(rows)`` trials.

    Raises
    ------
    Cancelled
    """
    longest = max(len(ops) for ops in ranked)
    rows: list[dict[str, Any]] = []
    total = 2 + longest.bit_length()
    outcomes: dict[int, Outcome] = {}

    def meets(count: int) -> bool:
        if cancelled():
            raise Cancelled("the search for mixed precision was cancelled")
        ops = top_ops(ranked, count)
        outcome = outcomes[count] = measure(ops)
        good = outcome.value <= target if larger_is_worse else outcome.value >= target
        rows.append(
            {
                "top_k": count,
                "ratio": count / longest,
                "ops": len(ops),
                "int16": outcome.raised,
                metric: outcome.value,
                "cost": outcome.cost,
                "meets": good,
            }
        )
        if progress is not None:
            progress(f"top {count}: {outcome.value:.6g}", len(rows), max(total, len(rows)))
        return good

    chosen: int | None = None
    if meets(0):
        chosen = 0
    elif meets(longest):
        low, chosen = 0, longest
        while chosen - low > 1:
            middle = (low + chosen) // 2
            if meets(middle):
                chosen = middle
            else:
                low = middle
    return MixedPrecision(pd.DataFrame(rows), metric, target, None if chosen is None else outcomes[chosen])
