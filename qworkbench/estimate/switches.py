"""What switching between CPU and BPU costs, boundary by boundary, and which ops the CPU computes.

Each Quantize and Dequantize runs on the CPU and walks over its whole tensor (PTQ FAQ, "How does model segmentation
affect the performance?"), so its cost is proportional to the elements that cross. Floats and indices that the BPU
writes or reads itself cross as they are: a handover. Counts of elements and bytes only.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from qworkbench.placement.types import Boundary
from qworkbench.placement.units import is_marker

if TYPE_CHECKING:
    import pandas as pd

    from qworkbench.graph.ir import Graph
    from qworkbench.placement.types import Placement

COLUMNS = ["kind", "source", "target", "where", "elements", "bytes", "share", "note"]
_BYTES = {"int8": 1, "int16": 2, "int32": 4, "float16": 2, "float32": 4, "int64": 8}


def cost_table(graph: Graph, placement: Placement) -> pd.DataFrame:
    """Return one row per boundary, then one per CPU op.

    Columns
    -------
    kind
        ``quantize`` (CPU to BPU), ``dequantize`` (BPU to CPU), ``handover`` (either, not converted) or ``cpu_op``.
    source, target
        Units, or the model's inputs and outputs; for an op its name twice.
    where
        ``input``, ``output`` (of the model), ``middle``, or the operator of a CPU op.
    elements
        That cross, or that the op reads and writes, with the batch of the example.
    bytes
        Read plus written: codes on one side, float32 on the other; float32 on both for a CPU op. For a handover the
        bytes of the tensor, once.
    share
        Of all bytes in the table.
    note
        Why the op runs on the CPU; what is handed over.
    """
    import pandas as pd

    rows = [_boundary_row(graph, placement, b) for b in (*switches(placement), *handovers(graph, placement))]
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


def handovers(graph: Graph, placement: Placement) -> list[Boundary]:
    """Return the edges between CPU and BPU on which numbers keep their form: floats, indices."""
    producer = {value: unit for unit in placement.units for value in unit.outputs}
    converted = {(b.value, b.target) for b in switches(placement)}
    on = {unit.name: placement[unit.anchor].on for unit in placement.units}

    def side(value: str) -> str:
        return on[producer[value].name] if value in producer else "CPU"

    edges = [(value, unit.name, on[unit.name]) for unit in placement.units for value in dict.fromkeys(unit.inputs)]
    ends = zip(graph.outputs, graph.output_names, strict=True)
    edges += [(placement.canonical[value], name, "CPU") for value, name in ends if graph.is_activation(value)]
    found = []
    for value, target, where in edges:
        if graph.is_activation(value) and side(value) != where and (value, target) not in converted:
            source = producer[value].name if value in producer else value
            found.append(Boundary(value, source, target, "handover", math.prod(graph.shape(value))))
    return found


def boundary_bytes(graph: Graph, placement: Placement) -> int:
    """Return the bytes that all Quantize and Dequantize ops read and write, and those that are handed over."""
    crossing = (*switches(placement), *handovers(graph, placement))
    return sum(boundary_bytes_of(placement, boundary) for boundary in crossing)


def boundary_bytes_of(placement: Placement, boundary: Boundary) -> int:
    """Return the bytes that one Quantize, Dequantize or Requantize reads and writes, with the example's batch.

    Of a handover, what the tensor takes.
    """
    if boundary.kind == "handover":
        return boundary.elements * _BYTES[_handed(placement, boundary)]
    group = placement.group(boundary.value)
    codes = _BYTES[group.dtype] if group is not None else 4
    return boundary.elements * (codes + (codes if boundary.kind == "requantize" else 4))


def _handed(placement: Placement, boundary: Boundary) -> str:
    made = next((unit for unit in placement.units if boundary.value in unit.outputs), None)
    on_bpu = made is not None and placement[made.tail].on == "BPU"
    return placement[made.tail].dtype if made is not None and on_bpu else "float32"


def _boundary_row(graph: Graph, placement: Placement, boundary: Boundary) -> dict[str, Any]:
    where = "middle"
    if boundary.kind in ("quantize", "handover") and boundary.source in graph.inputs:
        where = "input"
    elif boundary.kind in ("dequantize", "handover") and boundary.target in graph.output_names:
        where = "output"
    size = boundary.elements
    note = f"{_handed(placement, boundary)}, handed over as it is" if boundary.kind == "handover" else ""
    return _row(
        boundary.kind, boundary.source, boundary.target, where, size, boundary_bytes_of(placement, boundary), note
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
