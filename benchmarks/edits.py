"""How long an edit takes, as a ratio to one plain float forward of the same model in the same interleaved run.

    python benchmarks/edits.py [--short] [--json FILE]

Every round times, one after the other: torch's fp32 forward (the peer), a full emulation with the distances of every
node from an empty cache, and the answer to an edit late, in the middle and early in the network (placement, plan, the
steps that it reaches, their distances). Medians over the rounds; one thread each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from models.resnet18 import resnet18

import qworkbench as q


def seconds(work: Callable[[], object]) -> float:
    """Return the thread's CPU time of one call."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


def round_of(wb: q.Workbench, model: torch.nn.Module, sample: torch.Tensor, edits: dict[str, str]) -> dict[str, float]:
    """Time every item once."""
    found = {}
    with torch.no_grad():
        found["torch fp32 forward"] = seconds(lambda: model(sample))

    def full() -> None:
        wb.forget()
        wb.run(sample)

    found["full emulation + distances"] = seconds(full)
    for place, node in edits.items():

        def answer(node: str = node) -> None:
            wb.edit(q.SetPlacement(node, "cpu"))
            wb.run(sample)

        found[f"edit {place}: {node} to the CPU"] = seconds(answer)
        wb.undo()
        wb.run(sample)
        wb.forget()
        wb.run(sample)
    return found


def main() -> None:
    """Print one table, and JSON where asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="three rounds at 112 x 112")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    given = parser.parse_args()
    torch.set_num_threads(1)
    size, rounds = (112, 3) if given.short else (224, 9)

    model = resnet18()
    sample = torch.rand(1, 3, size, size)
    wb = q.Workbench(model, sample, calibration=torch.rand(4, 3, size, size))
    units = [unit.anchor for unit in wb.placement.units if unit.op == "Conv"]
    edits = {"late": units[-1], "middle": units[len(units) // 2], "early": units[1]}
    wb.run(sample)
    round_of(wb, model, sample, edits)  # compiles and warms up
    times = [round_of(wb, model, sample, edits) for _ in range(rounds)]

    peer = statistics.median(t["torch fp32 forward"] for t in times)
    print(f"ResNet-18, 1x3x{size}x{size}, {rounds} rounds, one thread, median CPU time\n")
    rows = []
    for name in times[0]:
        median = statistics.median(t[name] for t in times)
        ratio = statistics.median(t[name] / t["torch fp32 forward"] for t in times)
        rows.append({"item": name, "ms": median * 1e3, "ratio": ratio})
        print(f"{name:<42} {median * 1e3:8.1f} ms   {ratio:6.2f} x the forward")
    if given.json:
        given.json.write_text(json.dumps({"peer_ms": peer * 1e3, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
