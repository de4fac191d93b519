"""What a search over calibration methods tried: candidates with their scores, and which of them won.

Knows neither how a search goes nor how a candidate is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from qworkbench.calibration.method import CalibrationMethod
from qworkbench.errors import CalibrationError, unknown_name

if TYPE_CHECKING:
    import pandas as pd

Judge = Literal["emulator", "fake-quant"]
OnRows = Callable[[tuple["Candidate", ...]], None]
"""Receives the candidates so far after each."""


@dataclass(frozen=True, slots=True)
class Score:
    """Distances of the outputs from float: the lowest cosine, the largest L1 among them."""

    cosine: float
    l1: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """One choice that was tried: where in the search, by whom judged, how good."""

    name: str
    step: int
    method: CalibrationMethod
    score: Score
    judge: Judge = "emulator"
    nodes: Mapping[str, CalibrationMethod] = field(default_factory=dict)
    note: str = ""

    @property
    def rank(self) -> float:
        """The cosine, with NaN as the worst."""
        return self.score.cosine if self.score.cosine == self.score.cosine else -2.0


@dataclass(frozen=True, eq=False)
class SearchResult:
    """Every candidate of a search, and which one won.

    Attributes
    ----------
    strategy : "default" | "mix" | "list"
    candidates : tuple of Candidate
        In the order tried.
    winner : Candidate
        The best by output cosine; the earlier one of equals.
    applied : Candidate
        The best one that the emulator can represent: the winner, unless that is asymmetric.
    why : str
        One sentence.
    node_table : DataFrame or None
        Mix only: the cosine of each sensitive node by each method, and the choice.
    """

    strategy: str
    candidates: tuple[Candidate, ...]
    winner: Candidate
    applied: Candidate
    why: str
    node_table: pd.DataFrame | None = None

    @property
    def table(self) -> pd.DataFrame:
        """One row per candidate: step, cosine, l1, judged by, chosen, note."""
        chosen = {id(self.winner): "winner", id(self.applied): "applied"}
        if self.winner is self.applied:
            chosen = {id(self.winner): "winner, applied"}
        return table_of(self.candidates, chosen)

    def candidate(self, name: str) -> Candidate:
        """Return the candidate called `name`; the part before ":" is enough where only one begins with it (``kl``).

        Raises
        ------
        UnknownNameError
        CalibrationError
            For one that the emulator cannot represent.
        """
        known = {candidate.name: candidate for candidate in self.candidates}
        begun = [full for full in known if full.partition(":")[0] == name]
        name = begun[0] if len(begun) == 1 else name
        if name not in known:
            raise unknown_name("candidate of the search", name, known)
        if known[name].judge != "emulator":
            raise CalibrationError(f"{name!r} cannot be applied: the emulator has no asymmetric thresholds")
        return known[name]

    def __repr__(self) -> str:
        from qworkbench.view.tables import text_table

        return f"{text_table(self.table)}\n{self.why}"

    def _repr_html_(self) -> str:
        from html import escape

        from qworkbench.view.tables import html_table

        return f"{html_table(self.table, caption=f'Search {self.strategy}')}<p>{escape(self.why)}</p>"


def table_of(candidates: Sequence[Candidate], chosen: Mapping[int, str] = MappingProxyType({})) -> pd.DataFrame:
    """Return one row per candidate; `chosen` says by id which of them won and was applied."""
    import pandas as pd

    rows = [
        {
            "candidate": c.name,
            "step": c.step,
            "cosine": c.score.cosine,
            "l1": c.score.l1,
            "judged_by": c.judge,
            "chosen": chosen.get(id(c), ""),
            "note": c.note,
        }
        for c in candidates
    ]
    return pd.DataFrame(rows).set_index("candidate")


class Tried(list[Candidate]):
    """Candidates in the order tried, told to `on_rows` as they come."""

    def __init__(self, on_rows: OnRows | None) -> None:
        super().__init__()
        self._on_rows = on_rows

    def append(self, candidate: Candidate) -> None:
        """Add `candidate` and tell."""
        super().append(candidate)
        if self._on_rows is not None:
            self._on_rows(tuple(self))
