"""How time and memory grow with the number of nodes, the batch and the number of samples.

    python benchmarks/scaling.py [--short] [--json FILE]

A chain of convolutions of 16 channels for the nodes, a small residual network for batch and samples. ``answer`` is a
run from empty caches with the distances of every node, ``edit`` the answer to one edit in the middle; the plan's
building is in both. Python collects its garbage before the edit: that pause, half a second for 5,000 nodes, comes once
in a dozen edits. Memory is the peak of the process while it answers, beyond what it held before.
"""

from __future__ import annotations

import gc
import resource
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch
from peers.report import arguments, prepare, report
from torch import nn

import qworkbench as q
from benchmarks.models.resnet18 import resnet18

CHANNELS = 16


class Chain(nn.Module):
    """`nodes` nodes: convolutions, each with a ReLU behind it."""

    def __init__(self, nodes: int) -> None:
        super().__init__()
        layers = [[nn.Conv2d(CHANNELS, CHANNELS, 3, 1, 1), nn.ReLU()] for _ in range(nodes // 2)]
        self.layers = nn.Sequential(*(layer for pair in layers for layer in pair))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Keep the shape."""
        return self.layers(x)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(name: str, model: nn.Module, sample: torch.Tensor, calibration: Any) -> dict[str, Any]:
    """Time capture, calibration, a whole answer and the answer to an edit."""
    began = time.perf_counter()
    wb = q.Workbench(model.eval(), sample)
    captured = time.perf_counter()
    wb.calibrate(calibration)
    calibrated = time.perf_counter()
    held = _peak()
    wb.run(sample)
    wb.forget()
    started = time.perf_counter()
    wb.run(sample)
    answered = time.perf_counter()
    convs = [unit.anchor for unit in wb.placement.units if unit.op == "Conv"]
    gc.collect()
    began_edit = time.perf_counter()
    wb.edit(q.SetPlacement(convs[len(convs) // 2], "cpu"))
    wb.run(sample)
    done = time.perf_counter()
    return {
        "case": name,
        "nodes": len(wb.graph.nodes),
        "capture s": round(captured - began, 3),
        "calibrate s": round(calibrated - captured, 3),
        "answer ms": round((answered - started) * 1e3, 1),
        "edit ms": round((done - began_edit) * 1e3, 1),
        "memory MB": round(_peak() - held, 1),
    }


def main() -> None:
    """Print one table, and JSON where asked for."""
    given = arguments(__doc__).parse_args()
    prepare(given.threads)
    small = torch.rand(1, CHANNELS, 16, 16)
    counts = (50, 200) if given.short else (50, 200, 1000, 5000)
    rows = [measured(f"chain of {nodes} nodes", Chain(nodes), small, small) for nodes in counts]
    net = resnet18()
    for batch in (1, 4) if given.short else (1, 4, 16, 64):
        images = torch.rand(batch, 3, 64, 64)
        rows.append(measured(f"ResNet-18 at 64, batch {batch}", net, images, images))
    for samples in (8, 16) if given.short else (8, 64, 512):
        one = torch.rand(1, 3, 64, 64)
        data = [torch.rand(1, 3, 64, 64) for _ in range(samples)]
        rows.append(measured(f"ResNet-18 at 64, {samples} samples", net, one, data))
    report(f"scaling, {given.threads} thread{'s'[: given.threads > 1]}, wall clock", rows, given.json)


if __name__ == "__main__":
    main()
