"""Which dtype each tensor carries on the BPU: the march's default, the user's int16 requests, the tail's int32.

A request updates the neighbours it needs (a table op has the same dtype on both sides, passive ops hand dtypes
through); one that a neighbour cannot take falls back to int8 and leaves a note. Source: the ``node_info`` option of
the PTQ configuration, which names exactly this behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from qworkbench.graph.vocabulary import family
from qworkbench.placement.context import Context, Decision
from qworkbench.placement.scale_groups import keeps_scale
from qworkbench.placement.tail import emits_int32
from qworkbench.placement.types import DtypeRequest, Unit

INDEX_OPS = ("ArgMax", "ArgMin", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
CLAMPS = ("Relu", "Clip")


@dataclass
class Dtypes:
    """Dtype per canonical value that lives on the BPU, weight dtype per unit, notes per unit."""

    values: dict[str, str] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def note(self, unit: str, text: str) -> None:
        """Remember that a request of `unit` was not followed."""
        self.notes.setdefault(unit, []).append(text)


def resolve_dtypes(context: Context, decisions: Mapping[str, Decision], tails: frozenset[str]) -> Dtypes:
    """Return the dtypes of every value on the BPU."""
    result = Dtypes()
    on_bpu = [unit for unit in context.units if decisions[unit.name].on == "BPU"]
    for unit in on_bpu:
        for value in unit.inputs:
            result.values.setdefault(value, "int8")
        for value in unit.outputs:
            result.values[value] = "int64" if unit.op in INDEX_OPS else "int8"
    asked = _requests(context, on_bpu, tails)
    ties = _ties(on_bpu)
    for values in _classes(result.values, ties):
        wishers = [wisher for value in values for wisher in asked.get(value, ())]
        if not wishers:
            continue
        obstacle = _obstacle(context, on_bpu, values)
        if obstacle is None:
            for value in values:
                result.values[value] = "int16"
            continue
        for wisher, name in wishers:
            if name:
                result.note(wisher, f"int16 asked for the {name}, but {obstacle}; it stays int8")
    for unit in on_bpu:
        if unit.name in tails and _int32(context, unit):
            result.values[unit.outputs[0]] = "int32"
        if context.supports[unit.anchor].row.weight_dtypes or unit.anchor in context.graph.training.weight_scales:
            result.weights[unit.name] = _weight(context, unit, result)
    return result


def request_of(context: Context, unit: Unit) -> DtypeRequest:
    """Merge what the user asked for any member of `unit`."""
    merged = DtypeRequest()
    for name in dict.fromkeys((*unit.members, unit.name)):
        asked = context.overrides.dtypes.get(name)
        if asked is not None:
            merged = DtypeRequest(
                asked.input or merged.input, asked.weight or merged.weight, asked.output or merged.output
            )
    return merged


def _requests(context: Context, on_bpu: list[Unit], tails: frozenset[str]) -> dict[str, list[tuple[str, str]]]:
    """Map values to the (unit, wording) pairs that want them in int16; defaults have no wording."""
    asked: dict[str, list[tuple[str, str]]] = {}
    tail_tables = bool(context.march.parameters["tail_lut_int16"].value)
    for unit in on_bpu:
        wish = request_of(context, unit)
        if family(unit.op) == "concat" and "int16" in (wish.input, wish.output):
            # a Concat joins codes of one form, so a wish for one side is a wish for both
            wish = DtypeRequest("int16", wish.weight, "int16")
        if wish.output == "int16" and unit.op not in INDEX_OPS:
            for value in unit.outputs:
                asked.setdefault(value, []).append((unit.name, f"output of {unit.name!r}"))
        if wish.input == "int16":
            for value in unit.inputs:
                asked.setdefault(value, []).append((unit.name, f"input of {unit.name!r}"))
        is_tail_table = unit.name in tails and is_table(unit)
        if tail_tables and is_tail_table and "int8" not in (wish.output, wish.input):
            asked.setdefault(unit.outputs[0], []).append((unit.name, ""))
    return asked


def is_table(unit: Unit) -> bool:
    """Tell whether `unit` runs as a lookup table (Relu and Clip are clamps, not tables)."""
    return family(unit.op) == "lut" and unit.op not in CLAMPS


def _ties(on_bpu: list[Unit]) -> list[tuple[str, ...]]:
    return [(unit.inputs[0], *unit.outputs) for unit in on_bpu if keeps_scale(unit.op) or is_table(unit)]


def _classes(values: Mapping[str, str], ties: list[tuple[str, ...]]) -> list[list[str]]:
    leader = {value: value for value in values}

    def find(value: str) -> str:
        while leader[value] != value:
            leader[value] = leader[leader[value]]
            value = leader[value]
        return value

    for first, *rest in ties:
        for value in rest:
            leader[find(value)] = find(first)
    found: dict[str, list[str]] = {}
    for value in values:
        found.setdefault(find(value), []).append(value)
    return list(found.values())


def _obstacle(context: Context, on_bpu: list[Unit], values: list[str]) -> str | None:
    """Name the first op on the BPU that cannot make or read `values` in int16."""
    wanted = set(values)
    march = context.march.name
    for unit in on_bpu:
        if unit.anchor in context.graph.training.integer:
            continue  # it was trained with this dtype
        # what is fused into an anchor disappears in its rescale; the anchor's row decides
        row = context.supports[unit.anchor].row
        if wanted & set(unit.outputs) and "int16" not in row.output_dtypes:
            return f"{unit.name!r} ({unit.op}) gives int8 only on {march}"
        if wanted & set(unit.inputs) and "int16" not in row.input_dtypes:
            return f"{unit.name!r} ({unit.op}) takes int8 only on {march}"
    return None


def _int32(context: Context, unit: Unit) -> bool:
    return (
        emits_int32(context, unit.op)
        and not unit.fused
        and unit.outputs[0] not in context.graph.training.kept
        and request_of(context, unit).output is None
        and not context.pinned(unit)
    )


def _weight(context: Context, unit: Unit, result: Dtypes) -> str:
    asked = request_of(context, unit).weight
    legal = context.supports[unit.anchor].row.weight_dtypes
    if asked is None or asked in legal or unit.anchor in context.graph.training.integer:
        return asked or "int8"
    text = f"{asked} weights asked for {unit.name!r}, but {unit.op} takes {' or '.join(legal)} weights"
    result.note(unit.name, f"{text} on {context.march.name}; they stay int8")
    return "int8"
