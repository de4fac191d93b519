"""The two searches over calibration methods, as the PTQ FAQ tells them; policy only.

How good a choice is comes from the caller as a function; nothing here knows graphs, plans or data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from qworkbench.calibration.candidates import Candidate, OnRows, Score, SearchResult, Tried
from qworkbench.calibration.method import DEFAULT_PERCENTILE, CalibrationMethod
from qworkbench.errors import Cancelled

if TYPE_CHECKING:
    import pandas as pd

SEARCHES = ("default", "mix")
SIMILARITY = 0.995
SENSITIVE_SHARE = 0.2

Progress = Callable[[str, int, int], None]


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
    tried = Tried(on_rows)

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
    tried = Tried(on_rows)
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
    tried = Tried(on_rows)
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
