"""How long an edit takes, as a ratio to one float forward and to a full emulation in the same interleaved run.

    python benchmarks/edits.py [--short] [--rounds N] [--json FILE]

Every round times, one after the other: torch's fp32 forward (the peer), a full emulation with the distances of every
node (nothing cached but the float reference), and the answer to edits of several kinds late, in the middle and early
in the network: placement, plan, the steps that they reach, their distances, and the tables that a cell shows (outputs
and what changed most; the table of all layers is made when it is read). An edit that sends a
convolution to the CPU pays for that convolution in float. Medians over the rounds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import torch
from models.resnet18 import resnet18
from peers.report import arguments, prepare, report

import qworkbench as q
from qworkbench.workbench.edits.base import Edit
from qworkbench.workbench.run import Run

FORWARD, FULL = "torch fp32 forward", "full emulation + distances"
KINDS: Mapping[str, Callable[[str], Edit]] = {
    "to the CPU": lambda node: q.SetPlacement(node, "cpu"),
    "unit conv after": lambda node: q.InsertUnitConv(node, "after"),
    "fixed scale": lambda node: q.FixScale(node, 1 / 32),
    "int16": lambda node: q.SetDtype(node, "int16"),
}


def seconds(work: Callable[[], object]) -> float:
    """Return the thread's CPU time of one call."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


def shown(run: Run) -> None:
    """Make the tables that a cell shows of `run`."""
    _ = run.table, run.deltas


def round_of(
    wb: q.Workbench, model: torch.nn.Module, sample: torch.Tensor, edits: Mapping[str, Edit]
) -> dict[str, float]:
    """Time every item once."""
    found = {}
    with torch.no_grad():
        found[FORWARD] = seconds(lambda: model(sample))

    def full() -> None:
        wb._cache.clear()
        wb._measured.metrics.clear()
        shown(wb.run(sample))

    found[FULL] = seconds(full)
    for name, edit in edits.items():

        def answer(edit: Edit = edit) -> None:
            wb.edit(edit)
            shown(wb.run(sample))

        found[name] = seconds(answer)
        wb.undo()
        full()
    return found


def main() -> None:
    """Print one table, and JSON where asked for."""
    given = arguments(__doc__).parse_args()
    prepare(given.threads)
    size, rounds = (112, 3) if given.short else (224, 9)
    rounds = given.rounds or rounds

    model = resnet18()
    sample = torch.rand(1, 3, size, size)
    wb = q.Workbench(model, sample, calibration=torch.rand(4, 3, size, size))
    units = [unit.anchor for unit in wb.placement.units if unit.op == "Conv"]
    places = {"late": units[-1], "middle": units[len(units) // 2], "early": units[1]}
    edits = {
        f"{place}: {kind}": make(node)
        for place, node in places.items()
        for kind, make in KINDS.items()
        if not given.short or kind == "to the CPU"
    }
    wb.run(sample)
    round_of(wb, model, sample, edits)  # compiles and warms up
    times = [round_of(wb, model, sample, edits) for _ in range(rounds)]
    rows = []
    for name in times[0]:
        median = statistics.median(t[name] for t in times)
        row: dict[str, object] = {"item": name, "ms": round(median * 1e3, 1)}
        for column, peer in (("/torch fp32", FORWARD), ("/full", FULL)):
            row[column] = statistics.median(t[name] / t[peer] for t in times)
        rows.append(row)
    report(f"edits, ResNet-18 1x3x{size}x{size}, {given.threads} thread, {rounds} rounds", rows, given.json)


if __name__ == "__main__":
    main()
