"""Which dtype each tensor carries on the BPU: the march's default, the user's int16 requests, the tail's int32.

A request updates the neighbours it needs (a table op has the same dtype on both sides, passive ops hand dtypes
through); one that a neighbour cannot take falls back to int8 and leaves a note. Source: the ``node_info`` option of
the PTQ configuration, which names exactly this behaviour.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from qworkbench.graph.vocabulary import family
from qworkbench.placement.context import Context, Decision
from qworkbench.placement.forms import refusal
from qworkbench.placement.scale_groups import keeps_scale
from qworkbench.placement.tail import emits_accumulator
from qworkbench.placement.types import DtypeRequest, Unit
from qworkbench.placement.units import is_marker

INDEX_OPS = ("ArgMax", "ArgMin", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
CLAMPS = ("Relu", "Clip")


@dataclass
class Dtypes:
    """What each canonical value carries on the BPU.

    Attributes
    ----------
    values : dict of str to str
        Dtype of the codes that integer ops read or write.
    made : dict of str to str
        Dtype in which the producer leaves a value: as in `values`, or ``float16``, ``float32``.
    weights : dict of str to str
        Per unit.
    notes : dict of str to list of str
        Per unit (or quantization stub): requests that were not followed, and why.
    """

    values: dict[str, str] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def note(self, unit: str, text: str) -> None:
        """Remember that a request of `unit` was not followed."""
        self.notes.setdefault(unit, []).append(text)


def resolve_dtypes(
    context: Context, decisions: Mapping[str, Decision], tails: frozenset[str], canonical: Mapping[str, str]
) -> Dtypes:
    """Return the dtypes of every value on the BPU."""
    result = without_tails(context, decisions)
    members, table = context.table.by_member, context.table
    asked = _requests(context, decisions, tails)
    named = (context.graph.nodes[name] for name in context.overrides.dtypes)
    for stub in sorted((node for node in named if is_marker(node.op)), key=lambda node: table.order[node.name]):
        if context.overrides.dtypes[stub.name].output == "int16":
            asked.setdefault(canonical[stub.output], []).append((stub.name, f"output of {stub.name!r}"))
    for values in _classes(context, decisions, asked, result.values):
        wishers = [wisher for value in values for wisher in asked.get(value, ())]
        obstacle = _obstacle(context, decisions, values, result.values)
        if obstacle is None:
            for value in values:
                result.values[value] = "int16"
                maker = table.makers.get(value)
                if maker is not None and decisions[maker.name].on == "BPU" and context.writes_codes(maker):
                    result.made[value] = "int16"
            continue
        for wisher, name in wishers:
            if name:
                result.note(wisher, f"int16 asked for the {name}, but {obstacle}; it stays int8")
    for unit in (members[name] for name in tails):
        if _high_precision(context, unit):
            for value in unit.outputs:
                result.made.pop(value, None)
            result.values.pop(unit.outputs[0], None)
            result.made[unit.outputs[0]] = str(context.march.parameter("tail_dtype"))
    for unit in table.in_order(context.wished.values()):
        if unit.name in result.weights:
            result.weights[unit.name] = _weight(context, unit, result)
    _unanswered(context, decisions, result)
    return result


def without_tails(context: Context, decisions: Mapping[str, Decision]) -> Dtypes:
    """Return what the units carry without any wish for a dtype, and with nothing that leaves in high precision."""
    plain, table = context.plain, context.table
    result = Dtypes(dict(plain.values), dict(plain.made), dict(plain.weights))
    passive = (
        unit
        for name, unit in plain.waiting.items()
        if name in decisions and decisions[name].on != plain.decisions[name].on and table.by_member.get(name) is unit
    )
    moved = {**context.touched, **{unit.name: unit for unit in passive}}
    for unit in context.gone:
        result.weights.pop(unit.name, None)
        for value in unit.outputs:
            result.made.pop(value, None)
    for value in {v for unit in (*context.gone, *moved.values()) for v in (*unit.inputs, *unit.outputs)}:
        dtype = _carried(context, decisions, value)
        if dtype is None:
            result.values.pop(value, None)
        else:
            result.values[value] = dtype
    for name, unit in moved.items():
        on_bpu = decisions[name].on == "BPU"
        for value in unit.outputs:
            if on_bpu:
                result.made[value] = result.values[value] if context.writes_codes(unit) else "float16"
            else:
                result.made.pop(value, None)
        trained = unit.anchor in context.graph.training.weight_scales
        if on_bpu and (trained or context.supports[unit.anchor].row.weight_dtypes):
            result.weights[name] = "int8" if context.reads_codes(unit) else "float16"
        else:
            result.weights.pop(name, None)
    return result


def _carried(context: Context, decisions: Mapping[str, Decision], value: str) -> str | None:
    """Return the dtype of the codes of `value`; None where no integer op makes or reads it."""
    maker = context.table.makers.get(value)
    if maker is not None and decisions[maker.name].on == "BPU" and context.writes_codes(maker):
        return "int64" if maker.op in INDEX_OPS else "int8"
    readers = context.table.readers.get(value, ())
    return "int8" if any(decisions[u.name].on == "BPU" and context.reads_codes(u) for u in readers) else None


def _unanswered(context: Context, decisions: Mapping[str, Decision], result: Dtypes) -> None:
    """Answer the requests that no tensor on the BPU can follow: of ops on the CPU, and for float16."""
    for unit in context.table.in_order(context.wished.values()):
        wish = context.request(unit)
        if decisions[unit.name].on == "CPU":
            asked = {part: dtype for part, dtype in wish.parts().items() if dtype is not None}
            for dtype in dict.fromkeys(asked.values()):
                parts = " and ".join(part for part in asked if asked[part] == dtype)
                text = f"{dtype} asked for {parts} of {unit.name!r}, but it runs on the CPU in float32"
                result.note(unit.name, f"{text}; it takes effect on the BPU only")
            continue
        text = refusal(context.march, unit.op, unit.name, context.forms[unit.name], wish) or ""
        if text:
            result.note(unit.name, text)


def _requests(
    context: Context, decisions: Mapping[str, Decision], tails: frozenset[str]
) -> dict[str, list[tuple[str, str]]]:
    """Map values to the (unit, wording) pairs that want them in int16; defaults have no wording."""
    asked: dict[str, list[tuple[str, str]]] = {}
    tail_tables = bool(context.march.parameters["tail_lut_int16"].value)
    at_tail = {name: context.table.by_member[name] for name in tails}
    for unit in context.table.in_order({**context.wished, **at_tail}.values()):
        if decisions[unit.name].on != "BPU":
            continue
        wish = context.request(unit)
        if family(unit.op) == "concat" and "int16" in (wish.input, wish.output, *dict(wish.slots).values()):
            # a Concat joins codes of one form, so a wish for one side is a wish for both
            wish = DtypeRequest("int16", wish.weight, "int16")
        if wish.output == "int16" and unit.op not in INDEX_OPS and context.writes_codes(unit):
            for value in unit.outputs:
                asked.setdefault(value, []).append((unit.name, f"output of {unit.name!r}"))
        for slot, value in enumerate(unit.inputs if context.reads_codes(unit) else ()):
            if wish.of_input(slot) == "int16":
                which = f"input {slot}" if dict(wish.slots).get(slot) else "input"
                asked.setdefault(value, []).append((unit.name, f"{which} of {unit.name!r}"))
        is_tail_table = unit.name in tails and is_table(unit)
        if tail_tables and is_tail_table and context.writes_codes(unit) and "int8" not in (wish.output, wish.input):
            asked.setdefault(unit.outputs[0], []).append((unit.name, ""))
    return asked


def is_table(unit: Unit) -> bool:
    """Tell whether `unit` runs as a lookup table (Relu and Clip are clamps, not tables)."""
    return family(unit.op) == "lut" and unit.op not in CLAMPS


def _classes(
    context: Context, decisions: Mapping[str, Decision], asked: Iterable[str], dtypes: Mapping[str, str]
) -> list[list[str]]:
    """Return the values that share a dtype with one that is asked for, class by class, in the order of the units."""
    makers, readers = context.table.makers, context.table.readers
    taken: set[str] = set()
    classes: list[list[str]] = []
    for first in asked:
        if first in taken or first not in dtypes:
            continue
        found, waiting = {first}, [first]
        while waiting:
            value = waiting.pop()
            maker = makers.get(value)
            around = [unit for unit in readers.get(value, ()) if unit.inputs[0] == value]
            for unit in around if maker is None else (*around, maker):
                if decisions[unit.name].on == "BPU" and _ties(context, unit):
                    new = {unit.inputs[0], *unit.outputs} - found
                    found |= new
                    waiting += new
        taken |= found
        classes.append(list(found))
    if len(taken) > 1:
        rank = _ranks(context, decisions)
        classes = sorted((sorted(values, key=rank.__getitem__) for values in classes), key=lambda c: rank[c[0]])
    return classes


def _ties(context: Context, unit: Unit) -> bool:
    """Tell whether the first input and the outputs of `unit` share a dtype."""
    return (keeps_scale(unit.op) or is_table(unit)) and context.writes_codes(unit)


def _ranks(context: Context, decisions: Mapping[str, Decision]) -> dict[str, int]:
    """Return the order in which integer ops on the BPU meet the values."""
    met: dict[str, int] = {}
    for unit in context.units:
        if decisions[unit.name].on == "BPU":
            read = unit.inputs if context.reads_codes(unit) else ()
            for value in (*read, *(unit.outputs if context.writes_codes(unit) else ())):
                met.setdefault(value, len(met))
    return met


def _obstacle(
    context: Context, decisions: Mapping[str, Decision], values: list[str], dtypes: Mapping[str, str]
) -> str | None:
    """Name the first op on the BPU that cannot make or read `values` in int16."""
    wanted = set(values)
    march = context.march.name
    dual = bool(context.march.parameter("dual_int16"))
    makers, readers = context.table.makers, context.table.readers
    around = {makers[value] for value in values if value in makers}
    around.update(unit for value in values for unit in readers.get(value, ()))
    for unit in context.table.in_order(unit for unit in around if decisions[unit.name].on == "BPU"):
        if unit.anchor in context.graph.training.integer:
            continue  # it was trained with this dtype
        # what is fused into an anchor disappears in its rescale; the anchor's row decides
        row = context.supports[unit.anchor].row
        made = unit.outputs if context.writes_codes(unit) else ()
        read = unit.inputs if context.reads_codes(unit) else ()
        if wanted & set(made) and "int16" not in row.output_dtypes:
            return f"{unit.name!r} ({unit.op}) gives int8 only on {march}"
        if wanted & set(read) and "int16" not in row.input_dtypes:
            return f"{unit.name!r} ({unit.op}) takes int8 only on {march}"
        if unit.op == "MatMul" and wanted & set(read) and not dual:
            others = set(read) - wanted
            if not others or any(dtypes.get(value) == "int16" for value in others):
                return f"{unit.name!r} (MatMul) takes int16 on one side only on {march} (dual_int16 is off)"
    return None


def _high_precision(context: Context, unit: Unit) -> bool:
    return (
        emits_accumulator(context, unit.op)
        and (not unit.fused or {unit.add, unit.activation} - {None} <= context.graph.training.integer)
        and unit.outputs[0] not in context.graph.training.kept
        and context.reads_codes(unit)
        and context.request(unit).output is None
        and not context.pinned(unit)
    )


def _weight(context: Context, unit: Unit, result: Dtypes) -> str:
    if not context.reads_codes(unit):
        return "float16"
    asked = context.request(unit).weight
    legal = context.supports[unit.anchor].row.weight_dtypes
    where = context.march.name
    if asked is None or asked == "int8" or unit.anchor in context.graph.training.integer:
        return asked or "int8"
    if asked not in legal:
        text = f"{asked} weights asked for {unit.name!r}, but {unit.op} takes {' or '.join(legal)} weights"
        result.note(unit.name, f"{text} on {where}; they stay int8")
        return "int8"
    if asked == "int16" and result.values[unit.inputs[0]] == "int16" and not context.march.parameter("dual_int16"):
        text = f"int16 weights asked for {unit.name!r}, whose input is int16, too; {where} takes int16 on one side only"
        result.note(unit.name, f"{text} (dual_int16 is off); they stay int8")
        return "int8"
    return asked
