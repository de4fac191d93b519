"""The two searches over calibration methods, as the PTQ FAQ tells them; policy only.

How good a choice is comes from the caller as a function; nothing here knows graphs, plans or data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from qworkbench.calibration.method import DEFAULT_PERCENTILE, CalibrationMethod
from qworkbench.errors import CalibrationError, Cancelled, unknown_name

if TYPE_CHECKING:
    import pandas as pd

SEARCHES = ("default", "mix")
SIMILARITY = 0.995
SENSITIVE_SHARE = 0.2

Progress = Callable[[str, int, int], None]
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


def three_methods(percentile: float = DEFAULT_PERCENTILE) -> tuple[CalibrationMethod, ...]:
    """Return max, max-percentile and KL, the methods that both searches begin with."""
    return CalibrationMethod("max"), CalibrationMethod("max-percentile", percentile), CalibrationMethod("kl")


def default_search(
    measure: Callable[[CalibrationMethod], Score],
    measure_asymmetric: Callable[[CalibrationMethod], tuple[Score, Score]],
    *,
    percentile: float = DEFAULT_PERCENTILE,
    similarity: float = SIMILARITY,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    on_rows: OnRows | None = None,
) -> SearchResult:
    """Search as the FAQ "How to understand the default calibration method?" tells it.

    1. max, max-percentile 0.99995 and KL; the best one is taken if its output cosine reaches `similarity`.
    2. Else max-percentile with thresholds per channel is added; the best of four is taken if it reaches `similarity`.
    3. Else the best of step 2 is tried with asymmetric quantization, and the best of five is taken.

    Parameters
    ----------
    measure : callable
        Score of a method on the emulator.
    measure_asymmetric : callable
        Scores of a method in fake quantization: with symmetric thresholds, and with asymmetric ones. The board's form
        of the latter is not public, and the emulator has none.
    percentile, similarity : float
        0.99995 and 0.995 in the FAQ.
    progress : callable, optional
        Called with (candidate, done, total); the total grows as steps are added.
    cancelled : callable
        Asked between candidates.
    on_rows : callable, optional

    Raises
    ------
    Cancelled
    """
    tried = _Tried(on_rows)

    def attempt(method: CalibrationMethod, step: int, total: int) -> None:
        _tell(progress, cancelled, method.describe(), len(tried), total)
        tried.append(Candidate(method.describe(), step, method, measure(method)))

    for method in three_methods(percentile):
        attempt(method, 1, 3)
    best = _best(tried)
    if best.rank >= similarity:
        return _done("default", tried, f"step 1 stopped the search: {_reached(best, similarity)}", progress)
    attempt(CalibrationMethod("max-percentile", percentile, per_channel=True), 2, 4)
    best = _best(tried)
    if best.rank >= similarity:
        return _done("default", tried, f"step 2 stopped the search: {_reached(best, similarity)}", progress)
    name = f"{best.method.describe()}, asymmetric"
    _tell(progress, cancelled, name, len(tried), 5)
    symmetric, asymmetric = measure_asymmetric(replace(best.method, per_channel=False))
    note = (
        f"judged in fake quantization, where the same thresholds without asymmetry have cosine {symmetric.cosine:.6f}; "
        "the board's form is not public and the emulator has none"
    )
    tried.append(Candidate(name, 3, best.method, asymmetric, "fake-quant", note=note))
    why = f"no candidate of steps 1 and 2 reached {similarity:g}, so the best of all five counts"
    return _done("default", tried, why, progress)


def list_search(
    measure: Callable[[CalibrationMethod], Score],
    methods: Sequence[CalibrationMethod],
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    on_rows: OnRows | None = None,
) -> SearchResult:
    """Try `methods` one by one and take the best by output cosine, as a ``quant_config`` with lists asks for.

    Raises
    ------
    Cancelled
    """
    tried = _Tried(on_rows)
    for method in methods:
        _tell(progress, cancelled, method.describe(), len(tried), len(methods))
        tried.append(Candidate(method.describe(), 1, method, measure(method)))
    return _done("list", tried, f"it is the best of the {len(tried)} methods listed", progress)


def mix_search(
    measure: Callable[[CalibrationMethod, Mapping[str, CalibrationMethod]], Score],
    sensitive: Callable[[CalibrationMethod], Sequence[str]],
    effects: Callable[[CalibrationMethod, Sequence[str]], Mapping[str, float]],
    *,
    percentile: float = DEFAULT_PERCENTILE,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    on_rows: OnRows | None = None,
) -> SearchResult:
    """Search as the FAQ "How to understand the mix calibration method?" tells it.

    1. The nodes most sensitive to quantization are found.
    2. Each takes the best of KL, max and max-percentile; together they are the mix. All other nodes keep the method
       that is best for the whole model.
    3. Mix, KL, max and max-percentile are compared by the error accumulated up to the outputs; the best is taken.

    Parameters
    ----------
    measure : callable
        Score of a method, with other methods for some nodes.
    sensitive : callable
        Sensitive nodes under a method, worst first. What counts as sensitive is not public: the caller decides.
    effects : callable
        Output cosine with each of some nodes quantized alone, by a method.
    percentile, progress, cancelled, on_rows
        As in :func:`default_search`.

    Raises
    ------
    Cancelled
    """
    import pandas as pd

    methods = three_methods(percentile)
    tried = _Tried(on_rows)
    for method in methods:
        _tell(progress, cancelled, method.describe(), len(tried), 8)
        tried.append(Candidate(method.describe(), 3, method, measure(method, {})))
    base = _best(tried).method
    _tell(progress, cancelled, "sensitive nodes", 3, 8)
    nodes = list(sensitive(base))
    by_method: dict[CalibrationMethod, Mapping[str, float]] = {}
    for done, method in enumerate(methods, start=4):
        _tell(progress, cancelled, f"{len(nodes)} nodes by {method.describe()}", done, 8)
        by_method[method] = effects(method, nodes)
    # the base method is asked first, so that a node leaves it only for a better one
    order = sorted(methods, key=lambda method: method != base)
    choice = {node: max(order, key=lambda method: by_method[method].get(node, -2.0)) for node in nodes}
    others = {node: method for node, method in choice.items() if method != base}
    _tell(progress, cancelled, "mix", 7, 8)
    note = f"{len(others)} of {len(nodes)} sensitive nodes leave {base.describe()}"
    tried.append(Candidate("mix", 3, base, measure(base, others), nodes=others, note=note))
    rows = [
        {
            "node": node,
            **{method.describe(): by_method[method].get(node, float("nan")) for method in methods},
            "choice": choice[node].describe(),
        }
        for node in nodes
    ]
    columns = ["node", *(method.describe() for method in methods), "choice"]
    table = pd.DataFrame(rows, columns=columns).set_index("node")
    why = "the error accumulated up to the outputs decides"
    return _done("mix", tried, why, progress, table)


class _Tried(list[Candidate]):
    """Candidates in the order tried, told to `on_rows` as they come."""

    def __init__(self, on_rows: OnRows | None) -> None:
        super().__init__()
        self._on_rows = on_rows

    def append(self, candidate: Candidate) -> None:
        """Add `candidate` and tell."""
        super().append(candidate)
        if self._on_rows is not None:
            self._on_rows(tuple(self))


def _tell(progress: Progress | None, cancelled: Callable[[], bool], name: str, done: int, total: int) -> None:
    if cancelled():
        raise Cancelled("the search was cancelled; the thresholds are as before")
    if progress is not None:
        progress(name, done, total)


def _best(tried: Sequence[Candidate]) -> Candidate:
    return max(tried, key=lambda candidate: candidate.rank)


def _reached(best: Candidate, similarity: float) -> str:
    return f"{best.name} reached {best.score.cosine:.6f} >= {similarity:g}"


def _done(
    strategy: str, tried: list[Candidate], why: str, progress: Progress | None, nodes: pd.DataFrame | None = None
) -> SearchResult:
    winner = _best(tried)
    applied = _best([candidate for candidate in tried if candidate.judge == "emulator"])
    text = f"{winner.name} won with output cosine {winner.score.cosine:.6f}: {why}"
    if winner is not applied:
        text += f"; the emulator cannot represent it, so {applied.name} is applied ({applied.score.cosine:.6f})"
    if progress is not None:
        progress("done", len(tried), len(tried))
    return SearchResult(strategy, tuple(tried), winner, applied, text, nodes)
