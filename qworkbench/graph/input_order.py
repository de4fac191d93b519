"""The order of a model's inputs at each stage of the vendor's tool, and feeding by it.

The order may change at every stage (PTQ FAQ, "Is it normal for the order of model inputs to change ..."); which order
a tool chose is only known from the tool (``hb_model_info``), so until the user notes it the original one stands.
Feeding by name needs no order at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qworkbench.errors import CalibrationError, EditError, unknown_name
from qworkbench.graph.ir import Graph

STAGES = ("original", "quantized", "compiled")


def input_orders(graph: Graph, noted: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Return the order of inputs at each stage; one that nobody noted is the original one."""
    return {stage: noted.get(stage, graph.inputs) for stage in STAGES}


def check_order(graph: Graph, names: Sequence[str]) -> None:
    """Raise unless `names` are the inputs of `graph`, each once.

    Raises
    ------
    UnknownNameError, EditError
    """
    for name in names:
        if name not in graph.inputs:
            raise unknown_name("input", name, graph.inputs)
    if sorted(names) != sorted(graph.inputs):
        raise EditError(f"an input order names each of {', '.join(graph.inputs)} once, got {', '.join(names)}")


def by_name(order: Sequence[str], tensors: Sequence[Any]) -> dict[str, Any]:
    """Return `tensors`, given in `order`, by input name.

    Raises
    ------
    CalibrationError
        Another number of tensors than inputs.
    """
    if len(order) != len(tensors):
        raise CalibrationError(f"the model takes {len(order)} inputs ({', '.join(order)}), got {len(tensors)} tensors")
    return dict(zip(order, tensors, strict=True))
