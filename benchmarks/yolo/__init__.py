"""Public YOLO architectures, built from their published layer lists with random weights: graphs and ONNX files."""

from __future__ import annotations

from benchmarks.yolo.models import MODELS, build
from benchmarks.yolo.onnx_file import write_onnx

__all__ = ["MODELS", "build", "write_onnx"]
