"""Which units run together, in which order and in how many tiles: the search behind ``optimize_level``.

A schedule cuts an order of the units into groups of consecutive ones. What a group makes for itself stays on the chip,
so DDR carries only what enters it, what leaves it, and weights. Cut into tiles along H, a group needs less memory and
reads overlapping rows again. O0 runs every unit alone and waits for each transfer; from O1 on transfers overlap with
arithmetic. The best cut of an order is found exactly, by dynamic programming, and each level searches a superset of
the one below: O2 is never worse than O1, nor O1 than O0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from qworkbench.errors import Cancelled
from qworkbench.estimate.orders import orders
from qworkbench.estimate.rates import Rates
from qworkbench.estimate.work import Tensor, Work

Objective = Literal["latency", "bandwidth"]
Level = Literal["O0", "O1", "O2"]
LEVELS: tuple[Level, ...] = ("O0", "O1", "O2")


@dataclass(frozen=True, slots=True)
class Breadth:
    """How wide a level searches: longest group, tile counts, whether transfers overlap, how many orders."""

    longest: int
    tiles: tuple[int, ...]
    overlap: bool
    orders: int


BREADTH: dict[Level, Breadth] = {
    "O0": Breadth(1, (1,), False, 1),
    "O1": Breadth(4, (1, 2, 4, 8), True, 1),
    "O2": Breadth(16, (1, 2, 4, 8, 16, 32), True, 3),
}


@dataclass(frozen=True, slots=True)
class Group:
    """Units that run together.

    Attributes
    ----------
    units : tuple of str
    tiles : int
    microseconds, compute, transfer : float
    ddr_bytes, weight_bytes : int
        All bytes over the bus, weights included.
    on_chip : int
        The most bytes that are held at once.
    """

    units: tuple[str, ...]
    tiles: int
    microseconds: float
    compute: float
    transfer: float
    ddr_bytes: int
    weight_bytes: int
    on_chip: int


class Planner:
    """Cuts the units of one subgraph into groups.

    Parameters
    ----------
    works : sequence of Work
        Of one subgraph, in topological order.
    leaves : frozenset of str
        Values that are read outside the subgraph or are outputs of the model.
    """

    def __init__(self, works: Sequence[Work], leaves: frozenset[str], rates: Rates) -> None:
        self.works, self.leaves, self.rates = tuple(works), leaves, rates
        self.readers: dict[str, set[str]] = {}
        for work in works:
            for tensor in work.reads:
                self.readers.setdefault(tensor.value, set()).add(work.name)

    def best(
        self, level: Level, objective: Objective = "latency", cancelled: Callable[[], bool] = lambda: False
    ) -> tuple[Group, ...]:
        """Return the best groups that `level` finds.

        Raises
        ------
        Cancelled
        """
        breadth = BREADTH[level]
        found = [
            self._cut(order, breadth, objective, cancelled) for order in orders(self.works, self.leaves, breadth.orders)
        ]
        return min(found, key=lambda groups: total(groups, objective))

    def _cut(
        self, order: Sequence[Work], breadth: Breadth, objective: Objective, cancelled: Callable[[], bool]
    ) -> tuple[Group, ...]:
        """Return the best cut of one order into consecutive groups, exactly."""
        reach: list[tuple[int, Group] | None] = [None] * (len(order) + 1)
        cost: list[tuple[float, float]] = [(0.0, 0.0)] + [(float("inf"), float("inf"))] * len(order)
        for start in range(len(order)):
            if cancelled():
                raise Cancelled("the estimate was cancelled")
            for end in range(start + 1, min(start + breadth.longest, len(order)) + 1):
                group = self._group(order[start:end], breadth, objective)
                if group is None:
                    break
                step = _key(group, objective)
                whole = (cost[start][0] + step[0], cost[start][1] + step[1])
                if whole < cost[end]:
                    cost[end], reach[end] = whole, (start, group)
        groups: list[Group] = []
        at = len(order)
        while at:
            held = reach[at]
            assert held is not None
            groups.append(held[1])
            at = held[0]
        return tuple(reversed(groups))

    def _group(self, units: Sequence[Work], breadth: Breadth, objective: Objective) -> Group | None:
        """Return `units` as one group with its best tile count, or None where no tile count makes it fit."""
        made = [self.run(units, tiles, overlap=breadth.overlap) for tiles in breadth.tiles]
        fitting = [group for group in made if group is not None]
        return min(fitting, key=lambda group: _key(group, objective), default=None)

    def run(self, units: Sequence[Work], tiles: int, *, overlap: bool) -> Group | None:
        """Return the cost of `units` as one group in `tiles`, or None where that is impossible.

        A unit that does not fit by itself is streamed: its weights come again for each part that fits.
        """
        if tiles > 1 and not all(unit.tileable for unit in units):
            return None
        if tiles > 1 and min(t.rows for unit in units for t in unit.writes) < tiles:
            return None
        spread = _spread(units, tiles)
        inside = {t.value for unit in units for t in unit.writes}
        names = {unit.name for unit in units}
        entering: dict[str, float] = {}
        leaving = 0
        for unit in units:
            for tensor in unit.reads:
                if tensor.value not in inside:
                    entering[tensor.value] = tensor.size * spread.get(tensor.value, 1.0)
            for tensor in unit.writes:
                if tensor.value in self.leaves or self.readers.get(tensor.value, set()) - names:
                    leaving += tensor.size
        weights = sum(unit.weight_bytes for unit in units)
        room = _peak(units, tiles, spread)
        held = room + weights
        parts = 1
        if held > self.rates.on_chip:
            if len(units) > 1:
                return None
            parts = -(-held // self.rates.on_chip)
        traffic = int(sum(entering.values())) + leaving + weights * parts
        compute = sum(self.rates.compute(unit) * _redone(unit, spread) for unit in units)
        transfer = traffic / self.rates.ddr
        busy = max(compute, transfer) if overlap else compute + transfer
        return Group(
            units=tuple(unit.name for unit in units),
            tiles=tiles,
            microseconds=busy + self.rates.overhead * tiles,
            compute=compute,
            transfer=transfer,
            ddr_bytes=traffic,
            weight_bytes=weights,
            on_chip=min(held, self.rates.on_chip),
        )


def total(groups: Sequence[Group], objective: Objective) -> tuple[float, float]:
    """Return what a schedule costs, the objective first."""
    keys = [_key(group, objective) for group in groups]
    return sum(k[0] for k in keys), sum(k[1] for k in keys)


def _key(group: Group, objective: Objective) -> tuple[float, float]:
    pair = (group.microseconds, float(group.ddr_bytes))
    return pair if objective == "latency" else (pair[1], pair[0])


def _spread(units: Sequence[Work], tiles: int) -> dict[str, float]:
    """Return by how much each value grows when tiles overlap: rows needed by all tiles over rows that there are."""
    if tiles == 1:
        return {}
    needed: dict[str, float] = {}

    def rows_of(tensor: Tensor) -> float:
        return needed.get(tensor.value, tensor.rows / tiles)

    grown: dict[str, float] = {}
    for unit in reversed(units):
        out = max(rows_of(t) * 1.0 for t in unit.writes)
        share = max(rows_of(t) / t.rows for t in unit.writes)
        for tensor in unit.reads:
            rows = min(max(out * unit.stride + unit.kernel - unit.stride, tensor.rows * share), tensor.rows)
            needed[tensor.value] = max(needed.get(tensor.value, 0.0), rows)
            grown[tensor.value] = max(1.0, needed[tensor.value] * tiles / tensor.rows)
    return grown


def _redone(unit: Work, spread: dict[str, float]) -> float:
    return max((spread.get(t.value, 1.0) for t in unit.writes), default=1.0)


def _peak(units: Sequence[Work], tiles: int, spread: dict[str, float]) -> int:
    """Return the most bytes of tensors that one tile holds at once."""
    last = {t.value: i for i, unit in enumerate(units) for t in (*unit.reads, *unit.writes)}
    live: dict[str, float] = {}
    most = 0.0
    for i, unit in enumerate(units):
        for tensor in (*unit.reads, *unit.writes):
            live[tensor.value] = tensor.size / tiles * spread.get(tensor.value, 1.0)
        most = max(most, sum(live.values()))
        for value in [v for v in live if last[v] == i]:
            del live[value]
    return int(most)
