"""Rule 3, the tail: only a convolution leaves the BPU in high precision, and such a convolution fuses nothing.

Source: the PTQ FAQ ("Why some OPs supported by BPU at the tail part of the model running on CPU?"). A unit is a tail
when no BPU unit lies downstream of it. Sigmoid-like activations at the end stay on the BPU (seen in logs, where they
are printed as a two-layer table with int16 input). High precision is int32 with a Dequantize on the CPU, or float32 on
the marches whose tensor unit writes floats; what leaves in float16 needs no such rule.
"""

from __future__ import annotations

from collections.abc import Mapping

from qworkbench.placement.context import Context, Decision
from qworkbench.placement.types import Unit
from qworkbench.placement.units import Keep


def tail_units(context: Context, decisions: Mapping[str, Decision]) -> frozenset[str]:
    """Return the names of the BPU units that end the model's BPU part.

    With the march's ``tail_scope`` "model" no BPU unit lies anywhere downstream of them, with "segment" none reads
    them.
    """
    table = context.table
    if context.march.parameters["tail_scope"].value != "model":
        return frozenset(
            unit.name
            for unit in table.units
            if decisions[unit.name].on == "BPU"
            and not any(decisions[reader.name].on == "BPU" for reader in table.behind(unit))
        )
    # upwards from the ends, through what runs on the CPU with nothing on the BPU behind it
    tails: set[str] = set()
    unclear: dict[str, int] = {}
    waiting = list(table.ends)
    while waiting:
        unit = waiting.pop()
        if decisions[unit.name].on == "BPU":
            tails.add(unit.name)
            continue
        for before in {table.makers[value] for value in unit.inputs if value in table.makers}:
            left = unclear.get(before.name)
            unclear[before.name] = left = (len(set(table.behind(before))) if left is None else left) - 1
            if not left:
                waiting.append(before)
    return frozenset(tails)


def tail_cuts(context: Context, decisions: Mapping[str, Decision]) -> tuple[dict[str, Keep], frozenset[str]]:
    """Return what the tail rule changes next: groups to cut down to their anchor, and nodes that go to the CPU."""
    cuts: dict[str, Keep] = {}
    to_cpu: set[str] = set()
    tails = tail_units(context, decisions)
    for unit in (context.table.by_member[name] for name in tails):
        if not context.writes_codes(unit) or _kept_by_user(context, unit):
            continue
        if unit.fused and emits_accumulator(context, unit.op):
            cuts[unit.name] = "anchor"
            to_cpu.update(name for name in (unit.add, unit.activation) if name is not None)
        elif unit.op in ("Relu", "Clip") or unit.name in context.loose:
            # an Add that would be cut off its convolution does not come to the BPU because that one leaves it
            to_cpu.add(unit.name)
    return cuts, frozenset(to_cpu)


def emits_accumulator(context: Context, op: str) -> bool:
    """Tell whether `op` may leave the BPU with its accumulator, as int32 or float32, on this march."""
    return op in context.march.parameter("tail_ops")


def _kept_by_user(context: Context, unit: Unit) -> bool:
    """Tell whether training, run_on_bpu of what would be cut, or a dtype or scale of the unit keeps it on the BPU."""
    overrides = context.overrides
    cut = {name for name in (unit.add, unit.activation) if name is not None} or {unit.name}
    if cut <= context.graph.training.integer:
        return True
    if any(overrides.on.get(name) == "bpu" for name in cut):
        return True
    asked = [overrides.dtypes.get(name) for name in (unit.name, *cut)]
    return any(a and a.output for a in asked) or context.pinned(unit)
