"""How the static estimate ranks models against published compiler figures: RDK X5 (bayes-e), 640 x 640, O3.

The published latencies are those that the vendor's compiler printed for its own model zoo, BPU part only. The estimate
leaves the host out, too. What is shown is the ratio of both, at each level: an estimate is good for comparing states
of a model, not for its absolute value.

    python -m benchmarks.latency
"""

from __future__ import annotations

import argparse

import pandas as pd

from benchmarks.yolo import MODELS, build
from qworkbench.estimate.estimate import estimate
from qworkbench.march import get_march
from qworkbench.placement.place import place

PUBLISHED_US = {
    "yolov5nu": 3320,
    "yolov8n": 3964,
    "yolov8n_cls": 495,
    "yolov8n_seg": 5106,
    "yolov9t": 4009,
    "yolov10n": 5754,
    "yolo11n": 5168,
    "yolo11n_cls": 818,
    "yolo12n": 35639,
    "yolo13n": 41232,
}


def main() -> None:
    """Print one row per model, and the rank correlation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", default=[name for name in MODELS if name in PUBLISHED_US])
    given = parser.parse_args()
    march = get_march("bayes-e")
    rows = {}
    for name in given.models:
        graph = build(name)
        placement = place(graph, march)
        row: dict[str, float] = {"published_us": PUBLISHED_US[name]}
        for level in ("O0", "O1", "O2"):
            found = estimate(graph, placement, march, level=level)
            on_bpu = found.nodes[found.nodes["on"] == "BPU"]
            row[f"{level}_us"] = round(float(on_bpu["microseconds"].sum()))
            row["gmacs"] = float(on_bpu["macs"].sum()) / 1e9
        row["O2 / published"] = row["O2_us"] / row["published_us"]
        rows[name] = row
    frame = pd.DataFrame(rows).T
    print(frame.round(3).to_string())
    print(f"rank correlation of O2 and published: {frame['O2_us'].rank().corr(frame['published_us'].rank()):.3f}")


if __name__ == "__main__":
    main()
