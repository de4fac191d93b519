"""What each architecture gives: ops, share on the BPU, subgraphs, seconds, output cosine; writes ``docs/models.md``.

    python benchmarks/models_table.py [--march MARCH] [--short]

``--short`` measures a few models and prints only. The models are those of the tests: published blocks with few and
narrow layers, random weights. Seconds are CPU seconds of one thread after a first model has loaded every kernel.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import qworkbench as q  # noqa: E402
from qworkbench.graph.vocabulary import OPS  # noqa: E402
from tests.models.architectures import ARCHITECTURES, Architecture  # noqa: E402
from tests.models.wide import ask_for_int16, move_int8_only, weights_alone  # noqa: E402

SHORT = ("MobileNetV3", "UNet", "ViT")
COLUMNS = (
    "model", "ops", "on BPU", "subgraphs", "run by torch", "capture s", "emulate s", "int8", "int16", "int16 only",
    "int8 weights", "without int16",
)  # fmt: skip

TEXT = """# Architectures

Made by `python benchmarks/models_table.py` for march {march}; the models are those of `tests/models/architectures`:
the blocks of the published nets, few and narrow layers, random weights. Rows marked (transformers) are that package's
own classes with tiny random configurations.

{table}

- **ops**: nodes after capture, without Dropout and Identity. **on BPU**: share of them that the BPU runs by default.
- **run by torch**: operators outside of the vocabulary, repeated on the CPU as the model called them; `Opaque` is a
  call for which there is no ONNX operator.
- **capture s**, **emulate s**: CPU seconds of one thread; emulation includes the distances of every node.
- **int8**, **int16**: smallest cosine of an output against float by default, and with int16 asked for on every node.
- **int16 only**: the same with those operators on the CPU that have no int16 on this march (last column; a Linear over
  more than two axes is a MatMul there). Weights stay int8 in all three: no published table of these marches takes
  int16 weights.
- **int8 weights**: the float model with nothing but its weights rounded to int8, one scale per output channel. Models
  whose "int16 only" is below 0.999 are above it when their weights are int8 numbers to begin with (tested): what is
  left there is the weights, and no wider activation wins it back. Nor does another scale: with that of least error
  instead of the largest weight, {searched}.

The cosines are those of untrained nets: they show that the arithmetic holds together, not what a trained net loses.
"""


def seconds(began: float) -> str:
    """Return the thread's CPU time since `began`."""
    return f"{time.thread_time() - began:.2f}"


def row(name: str, architecture: Architecture, march: str) -> tuple[str, ...]:
    """Measure one model."""
    model, example = architecture.build(), architecture.batch(1)
    began = time.thread_time()
    wb = q.Workbench(model, example, march=march)
    capture = seconds(began)
    wb.calibrate(architecture.calibration())
    began = time.thread_time()
    int8 = wb.run().table["cosine"].min()
    emulate = seconds(began)
    placement = wb.placement
    on_bpu, ops = placement.count("BPU"), placement.count("BPU") + placement.count("CPU")
    carried = sorted({node.op for node in wb.graph.nodes if node.op not in OPS})
    found = [name, str(ops), f"{on_bpu / ops:.0%}", str(placement.subgraphs), ", ".join(carried), capture, emulate]
    found.append(f"{int8:.5f}")
    if march == "bernoulli2":
        return (*found, "", "", "", "")
    ask_for_int16(wb)
    found.append(f"{wb.run().table['cosine'].min():.5f}")
    moved = sorted(move_int8_only(wb))
    weights = f"{weights_alone(architecture):.5f}"
    return (*found, f"{wb.run().table['cosine'].min():.5f}", weights, ", ".join(moved))


def markdown(rows: list[tuple[str, ...]]) -> str:
    """Return a table."""
    head = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"
    return "\n".join([head, *(f"| {' | '.join(cells)} |" for cells in rows)])


def main() -> None:
    """Print the table, and write the page unless asked for the short form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--march", default="bayes-e")
    parser.add_argument("--short", action="store_true", help=f"only {', '.join(SHORT)}, and no file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    names = [n for n, a in ARCHITECTURES.items() if not a.missing and (not options.short or n in SHORT)]
    row(names[0], ARCHITECTURES[names[0]], options.march)
    table = markdown([row(name, ARCHITECTURES[name], options.march) for name in names])
    print(table)
    if not options.short:
        resnet = ARCHITECTURES["ResNet-50"]
        pair = weights_alone(resnet), weights_alone(resnet, squared_error=True)
        searched = f"ResNet-50 goes from {pair[0]:.4f} to {pair[1]:.4f}"
        text = TEXT.format(march=options.march, table=table, searched=searched)
        (ROOT / "docs" / "models.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
