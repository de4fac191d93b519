"""Mixed precision: the smallest share of raised tensors that reaches a target, by bisection over sensitivity tables.

From each table (one per output) the worst k rows are raised, and the union of all is tried, as the guide proposes.
What a choice of ops means for a model is the caller's: this module only ranks, bisects and keeps the trials.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from qworkbench.analysis.mixed_result import MixedPrecision, Outcome
from qworkbench.errors import AnalysisError, Cancelled

Op = tuple[str, str]
NEEDED = ("op_name", "sensitive_type")


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
    measure: Callable[[Sequence[tuple[Op, ...]]], list[Outcome]],
    target: float | None,
    *,
    metric: str,
    larger_is_worse: bool,
    dtype: str = "int16",
    budget: float | None = None,
    unit: str = "1: all int8",
    ahead: int = 1,
    progress: Callable[[str, int, int], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    on_rows: Callable[[pd.DataFrame], None] | None = None,
) -> MixedPrecision:
    """Bisect for the smallest k whose top-k union meets `target`, or without a target the largest within `budget`.

    Assumes that raising more ops makes neither the metric worse nor the cost smaller; every trial is in the result, so
    that an exception shows. At most ``2 + log2(rows)`` trials.

    Parameters
    ----------
    ranked : sequence of sequence of (op, kind)
        Worst first.
    measure : callable
        Outcomes of several choices.
    target : float or None
    metric : str
    larger_is_worse : bool
    dtype : str
        What ops are raised to; a column of the trials.
    budget : float, optional
        Largest cost.
    unit : str
        Of the cost, for the figure.
    ahead : int
        Steps of the bisection that are measured together, for `measure` that works on several at once; trials that
        turn out not to be needed are dropped, so the result is the same.
    progress, cancelled : callable
    on_rows : callable, optional
        Receives the trials so far after each.

    Raises
    ------
    AnalysisError
        With neither target nor budget.
    Cancelled
    """
    if target is None and budget is None:
        raise AnalysisError("the search needs a target for the metric, or a budget for the cost")
    longest = max(len(ops) for ops in ranked)
    rows: list[dict[str, Any]] = []
    total = 2 + longest.bit_length()
    outcomes: dict[int, Outcome] = {}

    def good(outcome: Outcome) -> bool:
        if budget is not None and outcome.cost > budget:
            return False
        return target is None or (outcome.value <= target if larger_is_worse else outcome.value >= target)

    def outcome_of(count: int, guesses: Sequence[int] = ()) -> Outcome:
        if cancelled():
            raise Cancelled("the search for mixed precision was cancelled")
        if count not in outcomes:
            wanted = [k for k in dict.fromkeys((count, *guesses)) if k not in outcomes]
            outcomes.update(zip(wanted, measure([top_ops(ranked, k) for k in wanted]), strict=True))
        outcome = outcomes[count]
        rows.append(
            {
                "top_k": count,
                "ratio": count / longest,
                "ops": len(top_ops(ranked, count)),
                dtype: outcome.raised,
                metric: outcome.value,
                "cost": outcome.cost,
                "meets": good(outcome),
            }
        )
        if progress is not None:
            progress(f"top {count}: {outcome.value:.6g}", len(rows), max(total, len(rows)))
        if on_rows is not None:
            on_rows(pd.DataFrame(rows))
        return outcome

    ends = (longest, 0) if target is None else (0, longest)
    found = _nearest_good(*ends, outcome_of, good, ahead)
    tried = {row["top_k"]: outcomes[row["top_k"]] for row in rows}
    return MixedPrecision(
        pd.DataFrame(rows), metric, target, None if found is None else outcomes[found], budget, tried, unit
    )


Ask = Callable[..., Outcome]


def _nearest_good(best: int, safe: int, ask: Ask, good: Callable[[Outcome], bool], ahead: int) -> int | None:
    """Return the good number nearest to `best` by bisection towards `safe`; None where `safe` is not good either.

    The smallest that meets a target is nearest to none raised, the largest within a budget nearest to all raised.
    """
    if good(ask(best, (safe,) if ahead > 1 else ())):
        return best
    if not good(ask(safe)):
        return None
    while abs(safe - best) > 1:
        low, high = min(best, safe), max(best, safe)
        middle = (low + high) // 2
        if good(ask(middle, _guesses(low, middle, high, ahead))):
            safe = middle
        else:
            best = middle
    return safe


def _guesses(low: int, middle: int, high: int, ahead: int) -> tuple[int, ...]:
    """Return the two that the next step may ask for, whichever way this one goes."""
    return ((low + middle) // 2, (middle + high) // 2) if ahead > 1 else ()
