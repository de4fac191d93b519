"""How long an edit takes, as a ratio to one float forward and to a full emulation in the same interleaved run.

    python benchmarks/edits.py [--network NAME] [--short] [--rounds N] [--json FILE]

Every round times, one after the other: torch's fp32 forward (the peer), a full emulation with the distances of every
node (nothing cached but plan and float reference), and the answer to edits of several kinds late, in the middle and
early in the network. Every edit is one that this workbench has never seen: placements, plans and everything that they
were made of are forgotten before it, and made again for the state before it. An answer is placement, plan, the steps
that the edit reaches, their distances, and the figures that a cell shows (outputs, and what changed most).

The columns behind the ratios say where the time of an edit goes, in ms, from rounds of their own: ``place`` (the edit
itself), ``plan``, ``steps`` (of which ``again`` is the unavoidable: those same steps run again with everything
prepared), ``distances``, and the ``rest`` (looking at weights and inputs, finding what is cached, figures).
``cone/full`` is ``steps`` and ``distances``, what is computed and compared again, over the full emulation; ``floor``
what the integer multiply-adds of these steps alone take at the measured peak of the dot instruction, over the same.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from models.mobilenetv2 import mobilenetv2
from models.resnet18 import resnet18
from peers.peak import peak
from peers.report import arguments, prepare, report

import qworkbench as q
from qworkbench.emulator import execute
from qworkbench.emulator.plan import Step
from qworkbench.workbench.comparing import Comparing
from qworkbench.workbench.edits.base import Edit
from qworkbench.workbench.run import Run
from qworkbench.workbench.stages import Stages

FORWARD, FULL = "torch fp32 forward", "full emulation + distances"
NETWORKS: Mapping[str, Callable[[], torch.nn.Module]] = {"resnet18": resnet18, "mobilenetv2": mobilenetv2}
KINDS: Mapping[str, Callable[[str], Edit]] = {
    "to the CPU": lambda node: q.SetPlacement(node, "cpu"),
    "unit conv after": lambda node: q.InsertUnitConv(node, "after"),
    "fixed scale": lambda node: q.FixScale(node, 1 / 32),
    "int16": lambda node: q.SetDtype(node, "int16"),
}
PARTS = ("place", "plan", "steps", "distances")


def seconds(work: Callable[[], object]) -> float:
    """Return the thread's CPU time of one call."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


def shown(run: Run) -> None:
    """Make the figures that a cell shows of `run`."""
    _ = run.tables.output_figures, run.tables.change_figures


class Bench:
    """One network on a workbench, and edits of it."""

    def __init__(self, name: str, size: int) -> None:
        self.model = NETWORKS[name]()
        self.sample = torch.rand(1, 3, size, size)
        self.wb = q.Workbench(self.model, self.sample, calibration=torch.rand(4, 3, size, size))
        units = [unit.anchor for unit in self.wb.placement.units if unit.op == "Conv"]
        self.places = {"late": units[-1], "middle": units[len(units) // 2], "early": units[1]}

    def forward(self) -> None:
        """Run torch."""
        with torch.no_grad():
            self.model(self.sample)

    def full(self) -> None:
        """Emulate everything and measure every node."""
        self.wb._cache.clear()
        self.wb._measured.forget()
        shown(self.wb.run(self.sample))

    def answer(self, edit: Edit) -> None:
        """Answer `edit`."""
        self.wb.edit(edit)
        shown(self.wb.run(self.sample))

    def unseen(self) -> None:
        """Forget every placement and plan, and run the state in force."""
        self.wb._stages.forget()
        self.full()

    def round(self, edits: Mapping[str, Edit]) -> dict[str, float]:
        """Time every item once."""
        found = {FORWARD: seconds(self.forward), FULL: seconds(self.full)}
        for name, edit in edits.items():
            self.unseen()
            found[name] = seconds(lambda edit=edit: self.answer(edit))  # type: ignore[misc]
            self.wb.undo()
        self.unseen()
        return found

    def parts(self, edit: Edit) -> dict[str, float]:
        """Return where the time of one edit goes; the clock is read at every step."""
        self.unseen()
        with clocks() as spent:
            whole = seconds(lambda: self.answer(edit))
        found = {part: spent[part] for part in PARTS}
        found["rest"] = whole - sum(found.values())
        self.wb.undo()
        self.wb.run(self.sample)
        self.wb.redo()
        for key in spent["computed"]:
            self.wb._cache._held.pop(key, None)
        with clocks() as again:
            self.wb.run(self.sample)
        self.wb.undo()
        return {**found, "again": again["steps"], "work": sum(map(work_of, spent["ran"]))}


def work_of(step: Step) -> int:
    """Return the multiply-accumulates of a step that kernels computed, 0 of any other."""
    return max((prepared.work for prepared in step.made.values()), default=0)


@contextmanager
def clocks() -> Iterator[dict[str, Any]]:
    """Read the clock around what an answer consists of; ``computed`` collects the fingerprints of steps that ran."""
    spent: dict[str, Any] = defaultdict(float)
    spent["computed"], spent["ran"] = [], []
    inside: list[float] = []  # what the parts within each part that is under way took

    def around(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.thread_time()
            inside.append(0.0)
            try:
                return function(*args, **kwargs)
            finally:
                took = time.thread_time() - began
                spent[part] += took - inside.pop()
                if inside:
                    inside[-1] += took

        return timed

    def put(self: Any, fingerprint: bytes, result: Any) -> None:
        spent["computed"].append(fingerprint)
        kept(self, fingerprint, result)

    def run(self: Any, step: Step) -> None:
        spent["ran"].append(step)
        computed(self, step)

    kept, computed = execute.ResultCache.put, around("steps", execute.Runner.run)
    with (
        mock.patch.object(q.Workbench, "edit", around("place", q.Workbench.edit)),
        mock.patch.object(Stages, "_build", around("plan", Stages._build)),
        mock.patch.object(execute.Runner, "run", run),
        mock.patch.object(execute.Runner, "flush", around("steps", execute.Runner.flush)),
        mock.patch.object(Comparing, "take", around("distances", Comparing.take)),
        mock.patch.object(Comparing, "finish", around("distances", Comparing.finish)),
        mock.patch.object(execute.ResultCache, "put", put),
    ):
        yield spent


def main() -> None:
    """Print one table, and JSON where asked for."""
    parser = arguments(__doc__)
    parser.add_argument("--network", choices=NETWORKS, default="resnet18")
    given = parser.parse_args()
    prepare(given.threads)
    size, rounds = (112, 3) if given.short else (224, 9)
    rounds = given.rounds or rounds
    bench = Bench(given.network, size)
    edits = {
        f"{place}: {kind}": make(node)
        for place, node in bench.places.items()
        for kind, make in KINDS.items()
        if not given.short or kind == "fixed scale"
    }
    most = peak()
    bench.round(edits)  # compiles and warms up
    times = [bench.round(edits) for _ in range(rounds)]
    parts = {name: [bench.parts(edit) for _ in range(max(3, rounds // 2))] for name, edit in edits.items()}
    rows = []
    for name in times[0]:
        row: dict[str, object] = {"item": name, "ms": statistics.median(t[name] for t in times) * 1e3}
        for column, peer in (("/torch fp32", FORWARD), ("/full", FULL)):
            row[column] = statistics.median(t[name] / t[peer] for t in times)
        row["cone/full"] = row["floor"] = None
        if name in parts:
            full = statistics.median(t[FULL] for t in times)
            row["cone/full"] = statistics.median(p["steps"] + p["distances"] for p in parts[name]) / full
            row["floor"] = 2e-9 * parts[name][0]["work"] / most / full if most else None
        for part in ("place", "plan", "steps", "again", "distances", "rest"):
            row[part] = statistics.median(p[part] for p in parts[name]) * 1e3 if name in parts else None
        rows.append(row)
    title = f"edits, {given.network} 1x3x{size}x{size}, {given.threads} thread, {rounds} rounds"
    report(title, rows, given.json)


if __name__ == "__main__":
    main()
