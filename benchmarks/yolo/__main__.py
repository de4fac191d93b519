"""``python -m benchmarks.yolo FOLDER [MODEL ...]`` writes ONNX files of the models, or of some."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.yolo import MODELS, build, write_onnx


def main() -> None:
    """Parse the command line and write the files."""
    parser = argparse.ArgumentParser(description="write ONNX files of public YOLO architectures with random weights")
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", nargs="*", default=list(MODELS), metavar="MODEL", help=f"of {', '.join(MODELS)}")
    given = parser.parse_args()
    unknown = sorted(set(given.models) - set(MODELS))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(MODELS)}")
    given.folder.mkdir(parents=True, exist_ok=True)
    for name in given.models:
        print(write_onnx(build(name), given.folder / f"{name}.onnx"))


if __name__ == "__main__":
    main()
