"""What calibration costs per sample, as a ratio to one plain fp32 torch forward in the same interleaved run.

    python benchmarks/calibration.py [--short] [--json FILE]

Every round times, one after the other: torch's fp32 forward of one sample (the peer), one calibration pass per sample
(it serves every method), and the thresholds of all tensors by each method from what that pass kept. Medians over the
rounds; one thread each.
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
from qworkbench.calibration.method import METHODS, CalibrationMethod
from qworkbench.calibration.observe import collect


def seconds(work: Callable[[], object]) -> float:
    """Return the thread's CPU time of one call."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


def main() -> None:
    """Print one table, and JSON where asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="three rounds of two samples at 112 x 112")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    given = parser.parse_args()
    torch.set_num_threads(1)
    size, rounds, count = (112, 3, 2) if given.short else (224, 7, 4)

    model = resnet18()
    batches = [torch.rand(1, 3, size, size) for _ in range(count)]
    graph = q.capture(model, batches[0])
    learned = collect(graph, batches)  # compiles and warms up
    for method in METHODS:
        learned.thresholds(CalibrationMethod(method))

    times: list[dict[str, float]] = []
    for _ in range(rounds):
        found: dict[str, float] = {}
        with torch.no_grad():
            found["torch fp32 forward"] = statistics.mean(seconds(lambda x=x: model(x)) for x in batches)
        kept = []
        found["one pass, every method"] = seconds(lambda kept=kept: kept.append(collect(graph, batches))) / count
        for method in METHODS:
            choice = CalibrationMethod(method)
            found[f"all thresholds by {method}"] = seconds(lambda kept=kept, choice=choice: kept[0].thresholds(choice))
        times.append(found)

    held = sum(
        s.table.nbytes + (0 if s.channel_counts is None else s.channel_counts.nbytes) for s in learned.sketches.values()
    )
    print(f"ResNet-18, 1x3x{size}x{size}, {rounds} rounds of {count} samples, one thread, median CPU time")
    print(f"{len(learned.sketches)} tensors, {held / 1e6:.0f} MB kept, whatever the number of samples\n")
    rows = []
    for name in times[0]:
        median = statistics.median(t[name] for t in times)
        ratio = statistics.median(t[name] / t["torch fp32 forward"] for t in times)
        rows.append({"item": name, "ms": median * 1e3, "ratio": ratio})
        print(f"{name:<36} {median * 1e3:8.1f} ms   {ratio:6.2f} x the forward")
    if given.json:
        given.json.write_text(json.dumps({"kept_bytes": held, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
