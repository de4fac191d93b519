"""The main job, without a browser: load, place, calibrate, emulate, compare, edit, and see what each edit moved.

Run by ``make demo``; the quickstart notebook is the same as a lesson. Writes ``demo/report.html``, ``demo/graph.svg``
and ``demo/graph.png``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import pandas as pd
import torch
from digits import Digits, DigitsNet, accuracy, load_digits, train

import qworkbench as q
from qworkbench.magics.results import Picture
from qworkbench.march import MARCHES
from qworkbench.placement.compare import placement_changes
from qworkbench.view.tables import text_table
from qworkbench.workbench.edits import Edit


def best_node_for_int16(wb: q.Workbench, images: torch.Tensor, *, count: int = 8) -> tuple[Edit, pd.DataFrame]:
    """Give each of the worst int8 nodes int16 in turn, emulate, and take it back; return the best and all figures.

    Where ops write float16, it is their int8 input that is tried.
    """
    run = wb.run(images)
    on_bpu = run.layers[run.layers["on"] == "BPU"]
    part = "dtype" if (on_bpu["dtype"] == "int8").any() else "input_dtype"
    layers = on_bpu[on_bpu[part] == "int8"]
    rows = []
    for name in layers.dropna(subset=["cosine"]).sort_values("cosine").index[:count]:
        placed = wb.edit(int16(name, part))
        tried = wb.run(images)
        wb.undo()
        change = ((tried.table["l1"] - run.table["l1"]) / run.table["l1"]).min()
        effect = "takes effect" if getattr(placed[name], part) == "int16" else placed[name].notes[0]
        rows.append({"node": name, "cosine": layers.loc[name, "cosine"], "best change of L1": change, "int16": effect})
    wb.run(images)
    frame = pd.DataFrame(rows).set_index("node").sort_values("best change of L1")
    frame["best change of L1"] = [f"{change:+.1%}" for change in frame["best change of L1"]]
    return int16(str(frame.index[0]), part), frame


def int16(name: str, part: str) -> q.SetDtype:
    """Return the edit that gives the output or the input of a node int16."""
    return q.SetDtype(name, "int16") if part == "dtype" else q.SetDtype(name, input="int16")


class Log:
    """Accuracy and distances before and after each edit, one row per step and output."""

    def __init__(self, wb: q.Workbench, digits: Digits) -> None:
        self.wb, self.digits = wb, digits
        self.rows: list[dict[str, object]] = []
        self.step("as placed")

    def step(self, what: str) -> None:
        """Run the held-out images and note every figure."""
        began = time.perf_counter()
        run = self.wb.run(self.digits.test_images)
        seconds = time.perf_counter() - began
        right = accuracy(run.result["probability"], self.digits.test_labels)
        for name, row in run.table.iterrows():
            self.rows.append(
                {
                    "step": what,
                    "output": name,
                    "cosine": row["cosine"],
                    "delta_cosine": row["delta_cosine"],
                    "l1": row["l1"],
                    "delta_l1": row["delta_l1"],
                    "accuracy": f"{right:.2%}" if name == "probability" else "",
                    "computed": f"{len(run.computed)} of {run.steps}",
                    "seconds": round(seconds, 3),
                }
            )

    def edit(self, *edits: Edit) -> None:
        """Make `edits`, print what moved, run."""
        before = self.wb.placement
        self.wb.edit(*edits)
        print(f"\n> {self.wb.journal[-1]}")
        for line in placement_changes(before, self.wb.placement):
            print(f"    {line}")
        self.step(self.wb.journal[-1])

    def table(self) -> pd.DataFrame:
        """Return the rows."""
        return pd.DataFrame(self.rows).set_index("step")


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"))
    parser.add_argument("--march", choices=MARCHES, default="bayes-e")
    given = parser.parse_args()
    out: Path = given.out
    out.mkdir(parents=True, exist_ok=True)

    print("Training a small CNN on scikit-learn's digits ...")
    digits = load_digits()
    net: DigitsNet = train(digits)
    with torch.no_grad():
        right = accuracy(net(digits.test_images)["probability"], digits.test_labels)
    print(f"float accuracy on {len(digits.test_labels)} held-out images: {right:.2%}\n")

    wb = q.Workbench(net, digits.test_images[:1], calibration=digits.train_images[:256], march=given.march)
    print(wb.view()["sentence"])
    for node in wb.placement.values():
        if node.on == "CPU":
            print(f"\n{wb.why(node.name)}")

    log = Log(wb, digits)
    log.edit(q.SetPlacement("softmax", "bpu"))
    log.edit(q.InsertUnitConv("concat", "after"))
    best, tried = best_node_for_int16(wb, digits.test_images)
    print("\nThe worst nodes, each tried in int16 (the emulator runs them, nothing is guessed):\n")
    print(text_table(tried))
    log.edit(best)
    log.edit(q.FixScale("quant", 1 / 128))

    print("\nBefore and after each edit, on the held-out images:\n")
    print(text_table(log.table()))
    assert wb.last_run is not None
    print("\nWorst nodes now:\n")
    worst_rows = wb.last_run.layers.dropna(subset=["cosine"]).sort_values("cosine")
    print(text_table(worst_rows[["op", "on", "dtype", "scale", "cosine", "l1"]].head(5)))

    print(f"\n{wb.estimate().sentence}")

    picture = Picture(wb.view())
    (out / "graph.svg").write_text(picture.svg, encoding="utf-8")
    (out / "graph.png").write_bytes(picture.png)
    wb.report(out / "report.html")
    wb.save(out / "state.qwb.json")
    print(f"\nwrote {out}/report.html, {out}/graph.svg, {out}/graph.png, {out}/state.qwb.json")
    print("Open the same thing in JupyterLab: make lab  (then tutorials/00_quickstart.ipynb)")


if __name__ == "__main__":
    main()
