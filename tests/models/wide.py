"""The widest configuration of a workbench: int16 wherever the march takes it, and what stands in its way."""

from __future__ import annotations

import qworkbench as q
from qworkbench.march import get_march


def ask_for_int16(wb: q.Workbench) -> None:
    """Ask for int16 on every node; the march decides where it is followed."""
    wb.edit(*(q.SetDtype(name, output="int16", input="int16") for name in wb.graph.nodes.names()))


def int8_only(wb: q.Workbench) -> dict[str, str]:
    """Return the operator of every unit on the BPU that takes or gives no int16 on the march, by its node's name."""
    march = get_march(wb.march)
    found = {}
    for unit in wb.placement.units:
        placed = wb.placement[unit.anchor]
        row = march.row_for(wb.graph, wb.graph.nodes[unit.anchor])
        if placed.on == "BPU" and not ("int16" in row.input_dtypes and "int16" in row.output_dtypes):
            found[unit.anchor] = row.op
    return found


def int8_left(wb: q.Workbench) -> list[str]:
    """Return the nodes on the BPU that read or make int8."""
    return [p.name for p in wb.placement.values() if p.on == "BPU" and "int8" in (p.dtype, p.input_dtype)]


def move_int8_only(wb: q.Workbench) -> set[str]:
    """Send what has no int16 to the CPU, until every op that stays on the BPU runs in int16; return the operators."""
    moved: dict[str, str] = {}
    while found := int8_only(wb):
        wb.edit(*(q.SetPlacement(name, "cpu") for name in found))
        moved.update(found)
    return set(moved.values())
