"""How each ONNX operator becomes nodes of the vocabulary, one module per kind of operator.

A handler reads a :class:`~qworkbench.graph.onnx_frontend.importer.Call` and returns the values of its outputs; it
raises ``UnsupportedError`` for a form that the vocabulary cannot say, and the node is then carried through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qworkbench.graph.onnx_frontend.call import Call
from qworkbench.graph.onnx_frontend.handlers import (
    elementwise,
    movement,
    norms,
    quantized,
    reductions,
    resampling,
    windows,
)

HANDLERS: dict[str, Callable[[Call], Any]] = {
    **elementwise.HANDLERS,
    **movement.HANDLERS,
    **norms.HANDLERS,
    **quantized.HANDLERS,
    **reductions.HANDLERS,
    **resampling.HANDLERS,
    **windows.HANDLERS,
}
"""Handlers by operator name of the default domain."""

MICROSOFT: dict[str, Callable[[Call], Any]] = {
    **{op: HANDLERS[op] for op in ("DequantizeLinear", "Gelu")},
    **{op: made for op, made in quantized.HANDLERS.items() if op.startswith("Q")},
}
"""Handlers by operator name of the domain ``com.microsoft``."""
