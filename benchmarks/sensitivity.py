"""How long a sensitivity table takes, in units of one plain fp32 forward per sample, beside the naive way.

    python benchmarks/sensitivity.py [--short] [--json FILE] [--skip-float64] [--only NAME]

The naive way is one full fake-quantized torch forward per quantizer and sample; ours shares the float prefix. Both
measure every quantizer (outputs and weights apart) over the same samples, one after the other in this process, one
thread, CPU time. Agreement is the Spearman rank correlation of our table with the naive way in float64.

Other tools are timed in the same rounds where they are installed (``benchmarks/peers/layerwise.py`` says what each of
them measures, which is never the same table); what they cost is also given per item that they report.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from models.mobilenetv2 import mobilenetv2
from models.resnet18 import resnet18
from peers.layerwise import PEERS

import qworkbench as q
from qworkbench.analysis.quantizers import Quantizer, quantizers_of
from qworkbench.graph.execute import run_node


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the CPU time of one call, and its result; the process is held to one processor and thread."""
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


class Arrivals:
    """Notes when rows come, on the clock that runs from its making."""

    def __init__(self) -> None:
        self.began = time.process_time()
        self.seconds: list[float] = []

    def __call__(self, _: pd.DataFrame) -> None:
        """Note the time."""
        self.seconds.append(time.process_time() - self.began)


class Naive:
    """The captured model in plain torch, every forward complete, with at most one quantizer on."""

    def __init__(self, wb: q.Workbench, dtype: torch.dtype) -> None:
        self.graph, self.placement, self.dtype = wb.graph, wb.placement, dtype
        names = [value for value, entry in self.graph.values.items() if entry.kind not in ("input", "activation")]
        self.constants = {name: self.graph.tensor(name).detach() for name in names}
        for name, tensor in self.constants.items():
            if tensor.is_floating_point():
                self.constants[name] = tensor.to(dtype)

    def forward(self, x: torch.Tensor, quantizer: Quantizer | None = None) -> torch.Tensor:
        """Return the output of one forward."""
        kind = None if quantizer is None else quantizer.kind
        values = {self.graph.inputs[0]: x}
        if quantizer is not None and kind == "activation" and quantizer.value in values:
            values[quantizer.value] = quantizer.apply(x)
        for node in self.graph.nodes:
            tensors = [None if v is None else values[v] if v in values else self.constants[v] for v in node.inputs]
            if quantizer is not None and kind == "weight" and node.name == quantizer.name:
                tensors[1] = self.weight(quantizer)
            for name, tensor in zip(node.outputs, run_node(self.graph, node, tensors, len(x)), strict=True):
                on = quantizer is not None and kind == "activation" and quantizer.value == name
                values[name] = quantizer.apply(tensor) if on and quantizer is not None else tensor
        return values[self.graph.outputs[0]]

    def weight(self, quantizer: Quantizer) -> torch.Tensor:
        """Return the fake-quantized weight before batch normalisation."""
        weight = torch.from_numpy(quantizer.weight()).to(self.dtype)
        bn = self.placement.unit_of(quantizer.name).bn
        if bn is None:
            return weight
        node = self.graph.nodes[bn]
        gamma, var = self.constants[str(node.inputs[1])], self.constants[str(node.inputs[4])]
        return weight / (gamma / torch.sqrt(var + node.attrs["epsilon"])).reshape(-1, 1, 1, 1)

    def table(self, quantizers: Sequence[Quantizer], samples: torch.Tensor) -> list[float]:
        """Return the L1 of every quantizer."""
        x = samples.to(self.dtype)
        with torch.no_grad():
            float_outputs = [self.forward(x[i : i + 1]) for i in range(len(x))]
            return [
                float(np.mean([(self.forward(x[i : i + 1], k) - y).abs().mean() for i, y in enumerate(float_outputs)]))
                for k in quantizers
            ]


def prepared(model: torch.nn.Module, samples: torch.Tensor, folder: Path) -> dict[str, tuple[int, Callable[[], Any]]]:
    """Return the peers that are here, ready to run; name those that are not."""
    found = {}
    for peer in PEERS:
        place = folder / peer.name.replace(" ", "-")
        place.mkdir()
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                found[peer.name] = peer.prepare(model, samples, place)
        except ImportError as error:
            print(f"skipped: {peer.name} ({error})")
    return found


def measure(name: str, model: torch.nn.Module, samples: torch.Tensor, rounds: int, float64: bool) -> dict[str, Any]:
    """Time everything for one model, interleaved."""
    wb = q.Workbench(model, samples[:1], calibration=samples)
    quantizers = quantizers_of(wb.graph, wb.placement, wb._stages.plan(wb.config), "half_even")
    naive = Naive(wb, torch.float32)
    folder = tempfile.TemporaryDirectory()
    peers = prepared(model, samples, Path(folder.name))
    wb.sensitivity(samples[:1])
    outputs = [k.name for k in quantizers if k.kind == "activation" and k.unit is not None]
    middle, last = outputs[len(outputs) // 2], outputs[-1]
    found: dict[str, list[float]] = {}

    def note(item: str, work: Callable[[], Any], unit: float) -> Any:
        took, result = seconds(work)
        found.setdefault(item, []).append(took / unit)
        return result

    table = estimate = pd.DataFrame()
    kept = 0
    for _ in range(rounds):
        with torch.no_grad():
            unit, _ = seconds(lambda: [model(samples[i : i + 1]) for i in range(len(samples))])
        wb.forget()
        arrivals = Arrivals()
        table = note("exact table", partial(wb.sensitivity, samples, on_rows=arrivals), unit)
        first = arrivals.seconds
        found.setdefault("first ranking", []).append(first[0] / unit)
        note("same table again", lambda: wb.sensitivity(samples), unit)
        for place, node in (("middle", middle), ("end", last)):
            group = wb.placement.group(wb.placement.unit_of(node).outputs[0])
            scale = wb._stages.plan(wb.config).quantities[f"{group.values[0]}@{group.dtype}"].single
            wb.edit(q.FixScale(node, float(scale) * 1.01))
            note(f"one toggle refreshed, {place}", partial(wb.sensitivity, samples), unit)
            wb.undo()
        estimate = note("gradient preview", partial(wb.sensitivity_preview, samples), unit)
        kept = wb._effects.references.nbytes
        for place, node in (("middle", middle), ("last", last)):
            wb.forget()
            note(f"one op alone, {place}", partial(wb.sensitivity, samples, nodes=[node]), unit)
        note("naive table", lambda: naive.table(quantizers, samples), unit)
        for peer, (_, work) in peers.items():
            with contextlib.redirect_stdout(io.StringIO()):
                note(peer, work, unit)
        found.setdefault("forward ms", []).append(unit / len(samples) * 1e3)
    ratios = {item: float(np.median(values)) for item, values in found.items()}
    folder.cleanup()
    ratios["exact table, per row"] = ratios["exact table"] / len(quantizers)
    for peer, (items, _) in peers.items():
        ratios[f"{peer}, per item ({items})"] = ratios[peer] / items
    result: dict[str, Any] = {"model": name, "quantizers": len(quantizers), "samples": len(samples), **ratios}
    if float64:
        exact = Naive(wb, torch.float64).table(quantizers, samples)
        ours = table.set_index(["op_name", "sensitive_type"]).L1
        mine = [ours[k.name, k.kind] for k in quantizers]
        result["spearman"] = float(pd.Series(mine).corr(pd.Series(exact), method="spearman"))
    both = table.merge(estimate, on=["op_name", "sensitive_type", "output"], suffixes=("", "_estimate"))
    result["spearman of the preview"] = float(both.L1.corr(both.L1_estimate, method="spearman"))
    result["float values kept MB"] = kept / 2**20
    result["peak rss MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return result


def main() -> None:
    """Print one block per model, and JSON where asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="one round, two samples of 96 x 96")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    parser.add_argument("--skip-float64", action="store_true", help="leave out the rank correlation")
    parser.add_argument("--only", choices=["ResNet-18", "MobileNetV2"])
    given = parser.parse_args()
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # some peers choose their own number of threads
    size, count, rounds = (96, 2, 1) if given.short else (224, 8, 3)
    results = []
    for name, make in (("ResNet-18", resnet18), ("MobileNetV2", mobilenetv2)):
        if given.only not in (None, name):
            continue
        model = make()
        samples = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1))
        result = measure(name, model, samples, rounds, not given.skip_float64)
        results.append(result)
        print(f"{name}, {count} x 3x{size}x{size}, {result['quantizers']} quantizers, medians of {rounds} rounds")
        for item, value in result.items():
            if isinstance(value, float):
                print(f"  {item:<46} {value:10.4f}")
        print()
    for peer in PEERS:
        print(f"{peer.name} measures: {peer.measures}.")
    if given.json:
        given.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
