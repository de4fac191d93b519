"""Whole networks: emulation, and emulation with the distances of every node, as ratios to the forward of others.

    python benchmarks/networks.py [--short] [--threads N] [--rounds N] [--batch N] [--json FILE]

``emulate`` computes every step of the plan from an empty cache, its fingerprints known; ``+ distances`` runs the whole
answer of a workbench (steps, distances of every node, tables) with the float reference kept, as after any edit. Peers:
torch fp32, onnxruntime fp32, onnxruntime int8 (QDQ, uint8 x int8 per channel). The ratio is the median over interleaved
rounds. ``floor`` is the time that the network's multiply-adds take at the measured peak of the dot instruction, over
onnxruntime int8's: the lowest ``/ort int8`` that the instructions allow, but for Winograd's transforms.
``distances/torch`` sets the distances of all coded nodes alone against torch's own expressions for them. A second table
tells which kinds of steps the time goes to.
``int16`` is the emulation with every activation in int16 that bayes-e computes so, the usual bound of what more bits
bring. ``on BPU`` tells how much of the network the emulator computes in integers; the rest runs in torch.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch
from peers import ort
from peers.distances import Pair, by_torch, ours
from peers.peak import peak
from peers.report import arguments, prepare, report
from peers.steps import by_kind
from peers.timing import floor, interleaved, ratio
from torch.utils.flop_counter import FlopCounterMode

import qworkbench as q
from benchmarks.models.efficientnet_b0 import efficientnet_b0
from benchmarks.models.mobilenetv2 import mobilenetv2
from benchmarks.models.resnet18 import resnet18
from benchmarks.models.resnet50 import resnet50
from benchmarks.models.vit_small import vit_small
from benchmarks.yolo import build, write_onnx
from qworkbench.emulator.cache import ResultCache
from qworkbench.emulator.execute import execute, fingerprints
from qworkbench.emulator.plan import Plan
from qworkbench.graph.execute import run_float
from qworkbench.graph.feeds import feeds_of

NETWORKS: dict[str, tuple[Callable[[], torch.nn.Module] | None, int]] = {
    "ResNet-18": (resnet18, 224),
    "ResNet-50": (resnet50, 224),
    "MobileNetV2": (mobilenetv2, 224),
    "EfficientNet-B0": (efficientnet_b0, 224),
    "YOLOv8n-like": (None, 640),
    "ViT-small": (vit_small, 224),
}
SHORT = ("ResNet-18", "MobileNetV2")


def written(name: str, model: torch.nn.Module | None, sample: torch.Tensor, folder: Path) -> Path:
    """Write the network as ONNX."""
    if model is None:
        return write_onnx(build("yolov8n", size=sample.shape[-1]), folder / f"{name}.onnx")
    target = folder / f"{name}.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (sample,), str(target), dynamo=False, opset_version=17)
    return target


def compared(wb: q.Workbench, plan: Plan, feeds: dict[str, np.ndarray], sample: torch.Tensor) -> list[Pair]:
    """Return float reference, codes and scale of every node that has codes with one scale."""
    wb.run(sample)
    reference = next(iter(reversed(wb._measured.references.values())))
    twins = [one for one in wb._stages.compared(wb.config, plan) if one.twin in reference]
    arrays = execute(plan, feeds, {one.key for one in twins}, ResultCache()).arrays
    coded = [one for one in twins if arrays[one.key].dtype in (np.int8, np.int16)]
    return [(reference[one.twin], arrays[one.key], float(plan.quantities[one.key].single)) for one in coded]


def wide(wb: q.Workbench) -> Plan:
    """Return the plan with int16 wherever it is had."""
    wb.edit(q.SetMarch("bayes-e"))
    for name in [unit.anchor for unit in wb.placement.units if wb.placement[unit.anchor].on == "BPU"]:
        for wanted in ({"input": "int16", "output": "int16"}, {"output": "int16"}):
            with suppress(q.QWorkbenchError):
                wb.edit(q.SetDtype(name, **wanted))
                break
    return wb._stages.plan(wb.config)


def network(
    name: str, batch: int, size: int, rounds: int, threads: int, most: float | None, folder: Path
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Time one network everywhere; return its row, and the rows of its kinds of steps."""
    make, _ = NETWORKS[name]
    model = None if make is None else make()
    torch.manual_seed(1)
    sample = torch.rand(batch, 3, size, size)
    source = written(name, model, sample, folder)
    wb = q.Workbench(source if model is None else model, sample, calibration=torch.rand(2, 3, size, size)[:batch])
    plan = wb._stages.plan(wb.config)
    given = feeds_of(wb.base_graph, sample)
    feeds = {key: tensor.numpy() for key, tensor in given.items()}

    prints = fingerprints(plan, feeds)
    other = q.Workbench(source if model is None else model, sample, calibration=sample)
    plan16 = wide(other)
    prints16 = fingerprints(plan16, feeds)

    def emulate() -> None:
        execute(plan, feeds, set(plan.outputs), ResultCache(), prints=prints)

    def emulate16() -> None:
        execute(plan16, feeds, set(plan16.outputs), ResultCache(), prints=prints16)

    def answer() -> None:
        wb._cache.clear()
        wb._measured.forget()
        wb.run(sample)

    forward = (lambda: run_float(wb.base_graph, given)) if model is None else (lambda: model(sample))
    entries = ort.loaded(source).graph.input
    ort_feeds = {entries[0].name: sample.numpy()}
    candidates: dict[str, Any] = {
        "emulate": emulate,
        "int16": emulate16,
        "answer": answer,
        "torch": forward,
        "onnxruntime": ort.bound(ort.session(source, threads), ort_feeds),
    }
    small = ort.quantized_file(source, folder / f"{name}.int8.onnx", ort_feeds)
    candidates["onnxruntime int8"] = ort.bound(ort.session(small, threads), ort_feeds)
    pairs = compared(wb, plan, feeds, sample)
    candidates["distances"], candidates["torch distances"] = ours(pairs), by_torch(pairs)
    with torch.no_grad():
        times = interleaved(candidates, rounds, threads=threads, least=0.0)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        forward()
    operations = float(counter.get_total_flops())
    placed = [wb.placement[unit.anchor].on for unit in wb.placement.units]
    row = {
        "network": f"{name} {batch}x3x{size}",
        "steps": len(plan.steps),
        "on BPU": f"{100 * placed.count('BPU') / len(placed):.0f} %",
        "emulate ms": round(statistics.median(times["emulate"]) * 1e3, 2),
        "/ort int8": ratio(times, "emulate", ["onnxruntime int8"]),
        "floor": floor(times, ["onnxruntime int8"], operations, most and most * threads),
        "/ort fp32": ratio(times, "emulate", ["onnxruntime"]),
        "/torch fp32": ratio(times, "emulate", ["torch"]),
        "+ distances ms": round(statistics.median(times["answer"]) * 1e3, 2),
        "/torch fp32 ": ratio(times, "answer", ["torch"]),
        "distances/torch": ratio(times, "distances", ["torch distances"]),
        "int16 ms": round(statistics.median(times["int16"]) * 1e3, 2),
        "int16/torch": ratio(times, "int16", ["torch"]),
    }
    return row, by_kind(name, plan, feeds, prints, rounds, threads)


def main() -> None:
    """Print one table, and JSON where asked for."""
    parser = arguments(__doc__)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--only", action="append", choices=list(NETWORKS))
    given = parser.parse_args()
    prepare(given.threads)
    rounds = given.rounds or (3 if given.short else 9)
    names = given.only or (SHORT if given.short else NETWORKS)
    rows, steps, most = [], [], peak()
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            size = 112 if given.short else NETWORKS[name][1]
            row, kinds = network(name, given.batch, size, rounds, given.threads, most, Path(folder))
            rows.append(row)
            steps += kinds
    title = f"networks, batch {given.batch}, {given.threads} thread{'s'[: given.threads > 1]}, {rounds} rounds"
    report(title, rows, given.json, peak=most, threads=given.threads)
    beside = given.json and given.json.with_name(f"{given.json.stem}-steps.json")
    report(f"steps of {title}", steps, beside, threads=given.threads)


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
