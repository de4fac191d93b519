"""What calibration costs per sample, as a ratio to one plain fp32 torch forward in the same interleaved run.

    python benchmarks/calibration.py [--short] [--model NAME] [--json FILE]

Every round times, one after the other: torch's fp32 forward of one sample (the peer), the same with torch's min-max
observers on every module, one calibration pass per sample (it serves every method, per tensor and per channel), ONNX
Runtime's entropy calibrator (first round only, it is slow), and the thresholds of all tensors by each method from what
the pass kept. Medians over the rounds of the thread's CPU time; one thread each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from models.mobilenetv2 import mobilenetv2
from models.resnet18 import resnet18
from torch import nn
from torch.ao.quantization import MinMaxObserver

import qworkbench as q
from qworkbench.calibration.method import METHODS, CalibrationMethod
from qworkbench.calibration.observe import batches_of, collect
from qworkbench.toolchain.onnx_export import to_onnx

try:
    from onnxruntime.quantization import calibrate
except ImportError:
    calibrate = None

MODELS: dict[str, Callable[[], nn.Module]] = {"ResNet-18": resnet18, "MobileNetV2": mobilenetv2}


def seconds(work: Callable[[], object]) -> float:
    """Return the thread's CPU time of one call."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


def with_observers(model: nn.Module, batches: list[torch.Tensor]) -> None:
    """Run torch's own min-max observers on the output of every module that computes something."""
    leaves = [m for m in model.modules() if not list(m.children())]
    observers = [MinMaxObserver() for _ in leaves]
    hooks = [
        leaf.register_forward_hook(lambda _m, _x, y, observer=observer: observer(y))
        for leaf, observer in zip(leaves, observers, strict=True)
    ]
    try:
        with torch.no_grad():
            for x in batches:
                model(x)
    finally:
        for hook in hooks:
            hook.remove()


def onnxruntime_entropy(graph: Any, batches: list[torch.Tensor]) -> Callable[[], object] | None:
    """Return the work of ONNX Runtime's entropy calibrator on the same data; None where it is not installed."""
    if calibrate is None:
        return None

    class Reader(calibrate.CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(batches)

        def get_next(self) -> dict[str, Any] | None:
            x = next(self.left, None)
            return None if x is None else {graph.inputs[0]: x.numpy()}

    def work() -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = to_onnx(graph, Path(folder) / "model.onnx")
            calibrator = calibrate.create_calibrator(
                str(path),
                calibrate_method=calibrate.CalibrationMethod.Entropy,
                augmented_model_path=str(Path(folder) / "augmented.onnx"),
            )
            calibrator.collect_data(Reader())
            calibrator.compute_data()

    return work


def measure(name: str, size: int, rounds: int, count: int) -> dict[str, Any]:
    """Print one table and return it."""
    model = MODELS[name]().eval()
    batches = [torch.rand(1, 3, size, size) for _ in range(count)]
    graph = q.capture(model, batches[0])
    learned = collect(graph, batches)  # compiles and warms up
    for method in METHODS:
        learned.thresholds(CalibrationMethod(method, per_channel=True))

    entropy = onnxruntime_entropy(graph, batches)
    times: list[dict[str, float]] = []
    kept = [learned]
    for index in range(rounds):
        found: dict[str, float] = {}
        with torch.no_grad():
            found["torch fp32 forward"] = statistics.mean(seconds(lambda x=x: model(x)) for x in batches)
        found["torch min-max observers"] = seconds(lambda: with_observers(model, batches)) / count
        found["one pass, every method"] = seconds(lambda: kept.__setitem__(0, collect(graph, batches))) / count
        array = torch.cat(batches)
        found["the same, samples in one array"] = seconds(lambda x=array: collect(graph, batches_of(x))) / count
        if entropy is not None and index == 0:
            found["ONNX Runtime entropy, one method"] = seconds(entropy) / count
        for method in METHODS:
            choice = CalibrationMethod(method)
            found[f"all thresholds by {method}"] = seconds(lambda choice=choice: kept[0].thresholds(choice))
        times.append(found)

    held = sum(sketch.nbytes for sketch in learned.sketches.values())
    print(f"{name}, 1x3x{size}x{size}, {rounds} rounds of {count} samples, one thread, median CPU time")
    print(f"{len(learned.sketches)} tensors, {held / 1e6:.0f} MB kept, whatever the number of samples")
    rows = []
    for item in times[0]:
        those = [t for t in times if item in t]
        median = statistics.median(t[item] for t in those)
        ratio = statistics.median(t[item] / t["torch fp32 forward"] for t in those)
        rows.append({"item": item, "ms": median * 1e3, "ratio": ratio})
        print(f"  {item:<36} {median * 1e3:8.1f} ms   {ratio:6.2f} x the forward")
    print()
    return {"model": name, "kept_bytes": held, "rows": rows}


def main() -> None:
    """Print one table per model, and JSON where asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="three rounds of two samples at 112 x 112")
    parser.add_argument("--model", choices=MODELS, help="only this one")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    given = parser.parse_args()
    torch.set_num_threads(1)
    size, rounds, count = (112, 3, 2) if given.short else (224, 3, 32)
    found = [measure(name, size, rounds, count) for name in MODELS if given.model in (None, name)]
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
