"""What switching between CPU and BPU costs, boundary by boundary, and which ops the CPU computes.

Each Quantize and Dequantize runs on the CPU and walks over its whole tensor (PTQ FAQ, "How does model segmentation
affect the performance?"), so its cost is proportional to the elements that cross. Counts of elements and bytes only.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from qworkbench.placement.units import is_marker

if TYPE_CHECKING:
    import pandas as pd

    from qworkbench.graph.ir import Graph
    from qworkbench.placement.types import Boundary, Placement

COLUMNS = ["kind", "source", "target", "where", "elements", "bytes", "share", "note"]
_BYTES = {"int8": 1, "int16": 2, "int32": 4, "float32": 4}


def cost_table(graph: Graph, placement: Placement) -> pd.DataFrame:
    """Return one row per boundary, then one per CPU op.

    Columns
    -------
    kind
        ``quantize`` (CPU to BPU), ``dequantize`` (BPU to CPU) or ``cpu_op``.
    source, target
        Units, or the model's inputs and outputs; for an op its name twice.
    where
        ``input``, ``output`` (of the model), ``middle``, or the operator of a CPU op.
    elements
        That cross, or that the op reads and writes, with the batch of the example.
    bytes
        Read plus written: codes on one side, float32 on the other; float32 on both for a CPU op.
    share
        Of all bytes in the table.
    note
        Why the op runs on the CPU.
    """
    import pandas as pd

    rows = [_boundary_row(graph, placement, boundary) for boundary in switches(placement)]
    for unit in placement.units:
        if placement[unit.anchor].on != "CPU":
            continue
        for name in unit.members:
            node = graph.nodes[name]
            if is_marker(node.op):
                continue
            values = [v for v in (*node.inputs, *node.outputs) if v is not None and graph.is_activation(v)]
            elements = sum(math.prod(graph.shape(value)) for value in values)
            rows.append(_row("cpu_op", name, name, node.op, elements, 4 * elements, placement[name].reason.sentence))
    frame = pd.DataFrame(rows, columns=[c for c in COLUMNS if c != "share"])
    whole = float(frame["bytes"].sum())
    frame.insert(6, "share", frame["bytes"] / whole if whole else np.zeros(len(frame)))
    return frame


def switches(placement: Placement) -> list[Boundary]:
    """Return the boundaries between CPU and BPU; a requantize stays on the BPU."""
    return [boundary for boundary in placement.boundaries if boundary.kind != "requantize"]


def boundary_bytes(placement: Placement) -> int:
    """Return the bytes that all Quantize and Dequantize ops read and write."""
    return sum(boundary_bytes_of(placement, boundary) for boundary in switches(placement))


def boundary_bytes_of(placement: Placement, boundary: Boundary) -> int:
    """Return the bytes that one Quantize, Dequantize or Requantize reads and writes, with the example's batch."""
    group = placement.group(boundary.value)
    codes = _BYTES[group.dtype] if group is not None else 4
    return boundary.elements * (codes + (codes if boundary.kind == "requantize" else 4))


def _boundary_row(graph: Graph, placement: Placement, boundary: Boundary) -> dict[str, Any]:
    where = "middle"
    if boundary.kind == "quantize" and boundary.source in graph.inputs:
        where = "input"
    elif boundary.kind == "dequantize" and boundary.target in graph.output_names:
        where = "output"
    size = boundary.elements
    return _row(
        boundary.kind, boundary.source, boundary.target, where, size, boundary_bytes_of(placement, boundary), ""
    )


def _row(kind: str, source: str, target: str, where: str, elements: int, size: int, note: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "source": source,
        "target": target,
        "where": where,
        "elements": elements,
        "bytes": size,
        "note": note,
    }
