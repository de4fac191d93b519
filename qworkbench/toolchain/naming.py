"""Names as the vendor's tool prints them: tensors, inserted nodes, and the cut at fifty characters.

Source: the tables that the tool prints for public models.
"""

from __future__ import annotations

from qworkbench.graph.ir import Graph

WIDTH = 50


def shortened(name: str, width: int = WIDTH) -> str:
    """Return `name`, or ``...`` and its tail where it has more than `width` characters."""
    return name if len(name) <= width else f"...{name[len(name) - width + 3 :]}"


def tensor_name(graph: Graph, value: str) -> str:
    """Return what the ONNX file calls a tensor; for other sources ``<node>_output_<i>``, as exporters write it."""
    known, producer = graph.tensor_names.get(value), graph.producer(value)
    if known is not None or producer is None:
        return known or value
    return f"{producer.name}_output_{producer.outputs.index(value)}"


def requantize_name(graph: Graph, value: str) -> str:
    """Return the name of the HzRequantize that reads `value`."""
    return f"{tensor_name(graph, value)}_calibrated_Requantize"


def preprocess_name(value: str) -> str:
    """Return the name of the preprocess node of model input `value`."""
    return f"HZ_PREPROCESS_FOR_{value}"
