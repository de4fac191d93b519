"""Partial quantization: the model with quantization off in a region, and the smallest region that explains the loss.

Runs the float program with every quantizer on but some: what the guide does by disabling fake quantization for part of
the model, and by halving that part. Placement and scales stay as they are, so nothing but the region changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import pandas as pd

from qworkbench.analysis.fake_quantized import FakeQuantized
from qworkbench.errors import AnalysisError, Cancelled

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Region:
    """The smallest region found by :func:`bisect`.

    Attributes
    ----------
    members : tuple of (str, str)
        (op, "activation" | "weight") whose quantization is to blame, in topological order.
    metric : str
    quantized, repaired : float
        Distance of the worst output with all quantization on, and with it off in the region only.
    explained : float
        Share of the loss that the region explains, 0 to 1.
    trials : pandas.DataFrame
        off (quantizers switched off), first, last (ops of the part), the metric, explained.
    """

    members: tuple[tuple[str, str], ...]
    metric: str
    quantized: float
    repaired: float
    explained: float
    trials: pd.DataFrame

    @property
    def ops(self) -> tuple[str, ...]:
        """The ops of the region."""
        return tuple(dict.fromkeys(name for name, _ in self.members))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} ({kind})" for name, kind in self.members[:6])
        more = f" and {len(self.members) - 6} more" if len(self.members) > 6 else ""
        explain = "explains" if len(self.members) == 1 else "explain"
        return (
            f"<Region: {shown}{more} {explain} {self.explained:.1%} of the loss; {self.metric} {self.quantized:.6g} -> "
            f"{self.repaired:.6g} with them in float, {len(self.trials)} trials>"
        )

    def _repr_html_(self) -> str:
        from html import escape

        from qworkbench.view.tables import html_table

        return f"<p>{escape(repr(self).strip('<>'))}</p>{html_table(self.trials, caption='Trials')}"


def partial(model: FakeQuantized, patterns: Sequence[str]) -> pd.DataFrame:
    """Return, per output, the distance from float with quantization on, off in the region, and on there only.

    Parameters
    ----------
    model : FakeQuantized
    patterns : sequence of str
        Names of ops, or patterns such as ``"head.*"``.

    Returns
    -------
    pandas.DataFrame
        Index output; columns all_on, region_off, only_region.
    """
    off = model.region(patterns)
    rest = frozenset(range(len(model.quantizers))) - off
    columns = {"all_on": model.distances(()), "region_off": model.distances(off), "only_region": model.distances(rest)}
    return pd.DataFrame(columns).rename_axis("output")


def bisect(
    model: FakeQuantized,
    share: float = 0.9,
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    on_rows: Callable[[pd.DataFrame], None] | None = None,
) -> Region:
    """Halve the model until the smallest region is left whose quantization explains `share` of the loss.

    First the end, then the beginning of an interval in topological order is bisected; then ever smaller pieces of the
    interval that turn out not to be needed are given back. Needs about 2 log2(n) forwards, and a few per member.

    Parameters
    ----------
    model : FakeQuantized
    share : float
        In (0, 1]: the part of the distance that switching the region off has to take back.
    progress : callable, optional
        Called with (text, done, estimated total).
    cancelled : callable
    on_rows : callable, optional
        Receives the trials so far after each.

    Raises
    ------
    AnalysisError
        When there is no loss to explain, or `share` is out of range.
    Cancelled
    """
    if not 0 < share <= 1:
        raise AnalysisError(f"share must be above 0 and at most 1, got {share}; it is the part of the loss to explain")
    count = len(model.quantizers)
    metric = model.metric
    everything = range(count)
    worst, best = model.worst(()), model.worst(everything)
    loss = metric.badness(worst) - metric.badness(best)
    if not loss > 0:
        raise AnalysisError(f"there is no loss to explain: {metric.name} is {worst:.6g} with all quantization on")
    rows: list[dict[str, object]] = []
    known: dict[frozenset[int], float] = {}

    def explained(off: Collection[int]) -> float:
        key = frozenset(off)
        if key not in known:
            if cancelled():
                raise Cancelled("the search for a region was cancelled")
            value = model.worst(key)
            known[key] = (metric.badness(worst) - metric.badness(value)) / loss
            names = [model.quantizers[i].name for i in sorted(key)] or [""]
            rows.append(
                {"off": len(key), "first": names[0], "last": names[-1], metric.name: value, "explained": known[key]}
            )
            if progress is not None:
                progress(f"{len(key)} off: {known[key]:.1%}", len(rows), max(2 * count.bit_length() + 4, len(rows)))
            if on_rows is not None:
                on_rows(pd.DataFrame(rows))
        return known[key]

    low, stop = 0, count
    while stop - low > 1:  # explained(range(stop)) >= share
        middle = (low + stop) // 2
        low, stop = (low, middle) if explained(range(middle)) >= share else (middle, stop)
    start, high = 0, stop
    while high - start > 1:
        middle = (start + high) // 2
        start, high = (middle, high) if explained(range(middle, stop)) >= share else (start, middle)
    region = _thinned(list(range(start, stop)), lambda off: explained(off) >= share)
    repaired = model.worst(region)
    return Region(
        tuple((model.quantizers[i].name, model.quantizers[i].kind) for i in region),
        metric.name,
        worst,
        repaired,
        explained(region),
        pd.DataFrame(rows),
    )


def _thinned(region: list[int], enough: Callable[[list[int]], bool]) -> list[int]:
    """Give back pieces of `region`, large ones first, as long as the rest is enough."""
    size = len(region) // 2
    while size >= 1:
        place = 0
        while place < len(region) and len(region) > size:
            rest = region[:place] + region[place + size :]
            if enough(rest):
                region = rest
            else:
                place += size
        size //= 2
    return region
