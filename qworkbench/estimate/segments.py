"""The BPU segments of a placement: what each holds, which tensors cross its border, and which CPU ops split it off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qworkbench.estimate.switches import boundary_bytes_of, switches
from qworkbench.placement.types import Placement

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["units", "first", "last", "enters", "leaves", "bytes_in", "bytes_out", "split_by", "why"]


def segment_table(placement: Placement) -> pd.DataFrame:
    """Return one row per BPU segment, in topological order.

    Columns
    -------
    units, first, last
        How many units it holds, and which come first and last.
    enters, leaves
        Tensors that are quantized on their way in, and dequantized on their way out.
    bytes_in, bytes_out
        That those Quantize and Dequantize ops read and write.
    split_by
        The CPU ops that feed this segment, and those between it and one that follows.
    why
        The reason of the first of them.
    """
    import pandas as pd

    of_unit = {unit.name: placement[unit.anchor].subgraph for unit in placement.units}
    rows = []
    for index in range(placement.subgraphs):
        names = [unit.name for unit in placement.units if of_unit[unit.name] == index]
        entering = [b for b in switches(placement) if b.kind == "quantize" and of_unit.get(b.target) == index]
        leaving = [b for b in switches(placement) if b.kind == "dequantize" and of_unit.get(b.source) == index]
        splitting = _splitting(placement, index)
        rows.append(
            {
                "segment": index,
                "units": len(names),
                "first": names[0],
                "last": names[-1],
                "enters": ", ".join(dict.fromkeys(b.value for b in entering)),
                "leaves": ", ".join(dict.fromkeys(b.value for b in leaving)),
                "bytes_in": sum(boundary_bytes_of(placement, b) for b in entering),
                "bytes_out": sum(boundary_bytes_of(placement, b) for b in leaving),
                "split_by": ", ".join(splitting),
                "why": placement[placement.unit_of(splitting[0]).anchor].reason.sentence if splitting else "",
            }
        )
    return pd.DataFrame(rows, columns=["segment", *COLUMNS]).set_index("segment")


def _splitting(placement: Placement, index: int) -> list[str]:
    """Return the CPU units that feed segment `index`, or lie behind it and lead to another."""
    maker = {value: unit for unit in placement.units for value in unit.outputs}
    behind: dict[str, bool] = {}
    for unit in placement.units:
        before = [maker[v] for v in unit.inputs if v in maker]
        behind[unit.name] = any(placement[p.anchor].subgraph == index or behind[p.name] for p in before)
    leads: dict[str, bool] = {}
    readers: dict[str, list[str]] = {}
    for unit in placement.units:
        for value in unit.inputs:
            readers.setdefault(value, []).append(unit.name)
    segment = {unit.name: placement[unit.anchor].subgraph for unit in placement.units}
    for unit in reversed(placement.units):
        after = [name for value in unit.outputs for name in readers.get(value, ())]
        leads[unit.name] = any(segment[n] not in (None, index) or (segment[n] is None and leads[n]) for n in after)
    found = []
    for unit in placement.units:
        into = any(segment[n] == index for v in unit.outputs for n in readers.get(v, ()))
        if segment[unit.name] is None and ((behind[unit.name] and leads[unit.name]) or into):
            found.append(unit.name)
    return found
