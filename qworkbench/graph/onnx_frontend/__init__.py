"""The ONNX front end: a file becomes the same graph that the torch front end captures.

:func:`read_onnx` reads, :func:`verify_onnx` compares with onnxruntime, :func:`open_onnx` does both. Needs the ``onnx``
extra when it is used, not when it is imported.
"""

from __future__ import annotations

from qworkbench.graph.onnx_frontend.opening import open_onnx
from qworkbench.graph.onnx_frontend.pipeline import read_onnx
from qworkbench.graph.onnx_frontend.verify import verify_onnx

__all__ = ["open_onnx", "read_onnx", "verify_onnx"]
