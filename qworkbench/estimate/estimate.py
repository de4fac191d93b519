"""The estimate of a whole model: BPU groups, CPU ops, the Quantize and Dequantize between them, and the totals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qworkbench.errors import Cancelled, unknown_name
from qworkbench.estimate.rates import Rates
from qworkbench.estimate.schedule import LEVELS, Group, Level, Objective, Planner
from qworkbench.estimate.switches import boundary_bytes_of, switches
from qworkbench.estimate.work import Work, works
from qworkbench.graph.ir import Graph
from qworkbench.march.table import March
from qworkbench.placement.types import Placement

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["on", "op", "group", "tiles", "macs", "microseconds", "ddr_bytes", "share"]
OBJECTIVES: tuple[Objective, ...] = ("latency", "bandwidth")


@dataclass(frozen=True, eq=False)
class Estimate:
    """What a static model says of one state; an estimate, not a measurement.

    Attributes
    ----------
    level : "O0" | "O1" | "O2"
    objective : "latency" | "bandwidth"
    batch : int
        Samples of one inference.
    groups : tuple of Group
        What runs together on the BPU, in order.
    nodes : pandas.DataFrame
        One row per unit, per CPU op and per Quantize or Dequantize: where, its group, microseconds, DDR bytes, and its
        share of the time. A group's time is divided among its units by their arithmetic, its bytes by the tensors that
        enter and leave.
    microseconds : float
        Of one inference: subgraphs and CPU ops one after another.
    ddr_bytes : int
        Over the bus of the BPU.
    figures : tuple of (name, value, basis, text)
        What the estimate rests on.
    """

    level: Level
    objective: Objective
    batch: int
    groups: tuple[Group, ...]
    nodes: pd.DataFrame
    microseconds: float
    ddr_bytes: int
    figures: tuple[tuple[str, str, str, str], ...]

    @property
    def frames_per_second(self) -> float:
        """Samples per second, one inference after the other."""
        return self.batch * 1e6 / self.microseconds if self.microseconds else float("inf")

    @property
    def sentence(self) -> str:
        """The totals in one line."""
        cpu = self.nodes.loc[self.nodes["on"] == "CPU", "microseconds"].sum()
        return (
            f"estimate at {self.level} for {self.objective}: {self.microseconds / 1e3:.3f} ms per inference of batch "
            f"{self.batch} ({self.frames_per_second:.0f} per s), of which {cpu / 1e3:.3f} ms on the CPU; "
            f"{self.ddr_bytes / 1e6:.2f} MB of DDR traffic in {len(self.groups)} group{'s'[: len(self.groups) != 1]}"
        )

    def __repr__(self) -> str:
        return f"<{self.sentence}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        from qworkbench.view.tables import text_table

        printer.text(self.sentence if cycle else f"{self.sentence}\n\n{text_table(self.nodes)}")

    def _repr_html_(self) -> str:
        from html import escape

        from qworkbench.view.tables import html_table

        return f"<p>{escape(self.sentence)}</p>{html_table(self.nodes, caption='Estimated, not measured')}"


def estimate(
    graph: Graph,
    placement: Placement,
    march: March,
    *,
    level: str = "O2",
    objective: str = "latency",
    batch: int = 1,
    progress: Callable[[str, int, int], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Estimate:
    """Return the estimate of `graph` under `placement`.

    Parameters
    ----------
    graph, placement
        A placement of exactly this graph.
    march : March
        Its figures are the rates.
    level : "O0" | "O1" | "O2"
        How wide fusion, order and tiling are searched; O0 runs every unit alone.
    objective : "latency" | "bandwidth"
        What the search makes small, as ``compile_mode`` says.
    batch : int
        Samples of one inference.
    progress : callable, optional
        Called with (subgraph, done, total).
    cancelled : callable

    Raises
    ------
    UnknownNameError
        For an unknown level or objective.
    Cancelled
    """
    if level not in LEVELS:
        raise unknown_name("optimize_level", level, LEVELS)
    if objective not in OBJECTIVES:
        raise unknown_name("objective", objective, OBJECTIVES)
    chosen: Level = next(known for known in LEVELS if known == level)
    aim: Objective = next(known for known in OBJECTIVES if known == objective)
    rates = Rates.of(march)
    done = works(graph, placement, batch, int(march.figures["channel_granule"].value))
    leaves = _leaves(graph, placement)
    groups: list[Group] = []
    subgraphs = sorted({work.subgraph for work in done if work.subgraph is not None})
    for index in subgraphs:
        if cancelled():
            raise Cancelled("the estimate was cancelled")
        if progress is not None:
            progress(f"subgraph {index}", index, len(subgraphs))
        members = [work for work in done if work.subgraph == index]
        outside = {t.value for work in done if work.subgraph != index for t in work.reads}
        groups += Planner(members, leaves | outside, rates).best(chosen, aim, cancelled)
    frame = _table(graph, placement, done, groups, rates, batch)
    figures = tuple((name, f"{p.value:g}", p.basis, p.text) for name, p in march.figures.items())
    microseconds = float(frame["microseconds"].sum())
    traffic = sum(group.ddr_bytes for group in groups)
    return Estimate(chosen, aim, batch, tuple(groups), frame, microseconds, traffic, figures)


def _leaves(graph: Graph, placement: Placement) -> frozenset[str]:
    return frozenset(placement.canonical[value] for value in graph.outputs)


def _table(
    graph: Graph, placement: Placement, done: tuple[Work, ...], groups: list[Group], rates: Rates, batch: int
) -> pd.DataFrame:
    import pandas as pd

    where = {name: index for index, group in enumerate(groups) for name in group.units}
    by_name = {work.name: work for work in done}
    rows: list[dict[str, Any]] = []
    for work in done:
        if work.on == "CPU":
            rows.append(_row(work.name, "CPU", work.op, None, 1, work.macs, rates.on_cpu(work), 0))
            continue
        group = groups[where[work.name]]
        parts = [by_name[name] for name in group.units]
        arithmetic = sum(rates.compute(part) for part in parts)
        share = rates.compute(work) / arithmetic if arithmetic else 1 / len(parts)
        carried = [_outside(part, parts) for part in parts]
        own = _outside(work, parts) / sum(carried) if sum(carried) else 1 / len(parts)
        rows.append(
            _row(
                work.name,
                "BPU",
                work.op,
                where[work.name],
                group.tiles,
                work.macs,
                group.microseconds * share,
                round(group.ddr_bytes * own),
            )
        )
    for boundary in switches(placement):
        size = boundary_bytes_of(placement, boundary) * batch // max(graph.batch, 1)
        name = f"{boundary.source} -> {boundary.target}"
        rows.append(_row(name, "CPU", boundary.kind, None, 1, 0, size / rates.cpu_bytes, 0))
    if placement.subgraphs:
        time = rates.switch * placement.subgraphs
        rows.append(
            _row(
                "hand-over",
                "CPU",
                f"{placement.subgraphs} subgraph{'s'[: placement.subgraphs != 1]}",
                None,
                1,
                0,
                time,
                0,
            )
        )
    frame = pd.DataFrame(rows, columns=["node", *(c for c in COLUMNS if c != "share")])
    whole = float(frame["microseconds"].sum())
    frame["share"] = frame["microseconds"] / whole if whole else 0.0
    frame["group"] = frame["group"].astype("Int64")
    return frame.set_index("node")


def _outside(work: Work, group: list[Work]) -> int:
    """Return the bytes of `work` that cross the border of its group, weights included."""
    made = {t.value for part in group for t in part.writes}
    read = {t.value for part in group for t in part.reads}
    entering = sum(t.size for t in work.reads if t.value not in made)
    return entering + sum(t.size for t in work.writes if t.value not in read) + work.weight_bytes


def _row(
    name: str, on: str, op: str, group: int | None, tiles: int, macs: int, microseconds: float, traffic: int
) -> dict[str, Any]:
    return {
        "node": name,
        "on": on,
        "op": op,
        "group": group,
        "tiles": tiles,
        "macs": macs,
        "microseconds": microseconds,
        "ddr_bytes": traffic,
    }
