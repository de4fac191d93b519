"""Decisions in words: one sentence, the facts that decided, and the cheapest ways to change them.

One small function per reason code, found by name through a table. Ways are edit dictionaries of the kinds
``SetPlacement``, ``InsertUnitConv`` ...; this module does not know who applies them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from qworkbench.graph.ir import Node
from qworkbench.numerics.stored import StoredScale
from qworkbench.placement.context import Context, Decision
from qworkbench.placement.types import Fact, Reason, ScaleGroup, Unit, Way

RULES = {
    "constraints": "An op runs on the BPU only if it meets the march's constraints.",
    "threshold": "A passive op takes the threshold of the active op behind it; one that reaches none stays on the CPU.",
    "manual": "Manual ops stay on the CPU unless run_on_bpu asks for them.",
    "active": "Active ops are quantized wherever the constraints allow it.",
    "tail": "Only a convolution (a Gemm becomes one) leaves the BPU in high precision, and then it fuses nothing.",
    "user": "The user decides.",
    "trained": "What training (or the whole of a stage) computes on integers stays so; the table of ops is not asked.",
    "request": "run_on_bpu works for manual ops and for passive ops that can be given a threshold.",
    "declared": "A quantized file's scales are fixed scales, made symmetric. Where several meet in one scale group, "
    "the largest of those that active ops read rules; what the user fixes comes before them.",
    "float16": "An op that computes in float16 is not quantized: it needs no threshold (inferred).",
    "mask": "What holds minus infinity (or a number below -10000) stays in float.",
    "marker": "Removed at inference: it computes nothing on the device.",
}


GEMMS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def set_placement(node: str, on: str) -> dict[str, Any]:
    """Return the edit that sends `node` to "bpu", "cpu" or back to "auto"."""
    return {"kind": "SetPlacement", "node": node, "on": on}


def unit_conv(node: str, where: str) -> dict[str, Any]:
    """Return the edit that inserts a unit conv "before" or "after" `node`."""
    return {"kind": "InsertUnitConv", "node": node, "where": where}


def reason_for(context: Context, unit: Unit, decision: Decision, *, tail: str = "") -> Reason:
    """Return the reason of `unit`'s decision; `tail` is the high-precision dtype in which it leaves the BPU, if any."""
    reason = _tail(context, unit, tail) if tail else _WORDS[decision.code](context, unit, decision)
    row = context.supports[unit.anchor].row
    if decision.on == "BPU" and row.supported == "unknown":
        return replace(reason, sentence=f"{reason.sentence.rstrip('.')}; {unit.op} is {row.assumption}.")
    return reason


def marker_reason(
    node: Node, stored: StoredScale | None = None, group: ScaleGroup | None = None, inside: str | None = None
) -> Reason:
    """Return the reason of a node that is removed at inference, or is a quantization stub.

    Parameters
    ----------
    node : Node
    stored : StoredScale, optional
        The scale in force that a quantizing stub declares.
    group : ScaleGroup, optional
        The scale group of the tensor that it is about; None where that is float or int32.
    inside : str, optional
        The fused unit in which that tensor lies.
    """
    if stored is not None:
        return _declared(node, stored, group, inside)
    if node.op in ("QuantizeLinear", "DequantizeLinear"):
        verb = "Quantize" if node.op == "QuantizeLinear" else "Dequantize"
        text = f"{node.name!r} marks where the model is quantized; it becomes the {verb} at the border of the BPU."
        return Reason("stub", text, RULES["marker"])
    return Reason("removed", f"{node.op} {node.name!r} is removed at inference.", RULES["marker"])


def _declared(node: Node, stored: StoredScale, group: ScaleGroup | None, inside: str | None) -> Reason:
    said = f"{node.name!r} declares {stored.describe()}"
    low, high = stored.range()
    facts = [Fact(f"its codes stand for {low:.6g} to {high:.6g}")]
    if inside is not None:
        text = f"{said}; the tensor lies inside the fused {inside!r} and never becomes codes."
    elif group is None:
        text = f"{said}; the tensor is float here, so the scale is not used."
    elif group.fixed_by == node.name:
        text = f"{said}: the fixed scale of its scale group is {group.fixed_scale:.6g} ({group.dtype}, symmetric)."
    else:
        text = f"{said}, but its scale group keeps {group.fixed_scale:.6g}, fixed by {group.fixed_by!r}."
        facts.append(Fact(f"passive ops tie it to {group.fixed_by}", group.fixed_by))
    clear = Way("let calibration decide", ({"kind": "ClearScale", "node": node.name},))
    return Reason("declared", text, RULES["declared"], tuple(facts), (clear,))


def fused_reason(unit: Unit, node: Node, whole: Reason) -> Reason:
    """Return the reason of a member of a fused unit."""
    ops = " + ".join(unit.members)
    # a unit around an Add carries the Add's name, so "inside" would point at the node itself
    where = f"together with {unit.anchor!r}" if node.name == unit.name else f"inside {unit.name!r}"
    text = f"{node.op} {node.name!r} runs {where}: {ops} are one operation on the BPU."
    rule = "Convolution, BatchNormalization, Add and ReLU(6) fuse."
    kept = tuple(way for way in whole.ways if any(edit.get("on") == "auto" for edit in way.edits))
    return Reason("fused", text, rule, whole.facts, kept or (_to_cpu(node.name),))


def _active(context: Context, unit: Unit, _: Decision) -> Reason:
    known = context.supports[unit.anchor].row.supported != "unknown"
    text = f"{unit.op} {unit.anchor!r} is an active op"
    text += f" and meets every constraint of {context.march.name}." if known else "."
    return Reason("active", text, RULES["active"], _checked(context, unit), (_to_cpu(unit.anchor),))


def _trained(context: Context, unit: Unit, _: Decision) -> Reason:
    text = f"{unit.op} {unit.anchor!r} was quantized in {context.graph.training.by}, so it runs on the BPU."
    refused = tuple(
        Fact(f"the op table of {context.march.name} asks for {result.rule}, here {result.text}", name)
        for name in unit.members
        for result in context.supports[name].results
        if not result.ok
    )
    return Reason("trained", text, RULES["trained"], refused, (_to_cpu(unit.anchor),))


def _tail(context: Context, unit: Unit, dtype: str) -> Reason:
    how = "scale s_x * s_w[c]" if dtype == "int32" else "written as floats by the tensor unit"
    text = f"{unit.op} {unit.anchor!r} is the last op on the BPU: it leaves as {dtype} (high precision), {how}."
    return Reason(f"tail_{dtype}", text, RULES["tail"], _checked(context, unit), (_to_cpu(unit.anchor),))


def _float16(context: Context, unit: Unit, _: Decision) -> Reason:
    asked = "float16" in (context.request(unit).input, context.request(unit).output)
    only = "int8" not in context.supports[unit.anchor].row.input_dtypes
    why = "as asked" if asked else "the only form it has" if only else f"the default of {context.march.name}"
    text = f"{unit.op} {unit.anchor!r} computes in float16 on the BPU ({why}), so it needs no threshold."
    integer = {"kind": "SetDtype", "node": unit.name, "output": "auto" if asked else "int8"}
    ways = () if only else (Way("take it back" if asked else "int8: quantize it, too", (integer,)),)
    return Reason("float16", text, RULES["float16"], _checked(context, unit), (*ways, _to_cpu(unit.anchor)))


def _requested_tail(context: Context, unit: Unit, _: Decision) -> Reason:
    text = f"{unit.op} {unit.anchor!r} runs on the BPU to its end, as run_on_bpu asks: int8 leaves instead of int32."
    return Reason("requested_tail", text, RULES["user"], _checked(context, unit), (_to_auto(context, unit),))


def _passive(context: Context, unit: Unit, decision: Decision) -> Reason:
    giver = decision.path[-1]
    via = "" if len(decision.path) == 1 else f" (through {', '.join(map(repr, decision.path[:-1]))})"
    text = f"{unit.op} {unit.anchor!r} is passive: it takes the threshold of {giver!r}, the active op behind it{via}."
    facts = (Fact(f"active consumer: {giver}", giver), *_checked(context, unit))
    return Reason("passive", text, RULES["threshold"], facts, (_to_cpu(unit.anchor),))


def _requested_passive(context: Context, unit: Unit, decision: Decision) -> Reason:
    source = repr(decision.path[0]) if decision.path else "the model input"
    text = (
        f"{unit.op} {unit.anchor!r} is passive and runs on the BPU as run_on_bpu asks, with the threshold of {source}."
    )
    return Reason("requested_passive", text, RULES["request"], _checked(context, unit), (_to_auto(context, unit),))


def _requested(context: Context, unit: Unit, _: Decision) -> Reason:
    text = f"{unit.op} {unit.anchor!r} is a manual op; it runs on the BPU because run_on_bpu asks for it."
    return Reason("requested", text, RULES["manual"], _checked(context, unit), (_to_auto(context, unit),))


def _user_cpu(context: Context, unit: Unit, _: Decision) -> Reason:
    text = f"{unit.op} {unit.anchor!r} runs on the CPU because run_on_cpu asks for it."
    return Reason("user_cpu", text, RULES["user"], (), (_to_auto(context, unit),))


def _manual(context: Context, unit: Unit, _: Decision) -> Reason:
    text = f"{unit.op} {unit.anchor!r} is a manual op: never quantized by default, since its accuracy risk is high."
    way = Way("run_on_bpu: quantize it by hand", (set_placement(unit.name, "bpu"),))
    return Reason("manual", text, RULES["manual"], _checked(context, unit), (way, *_in_float16(context, unit)))


def _no_consumer(context: Context, unit: Unit, _: Decision) -> Reason:
    text = f"{unit.op} {unit.anchor!r} is passive and no active op on the BPU follows it, so it finds no threshold."
    return Reason(
        "passive_without_active_consumer", text, RULES["threshold"], _behind(context, unit), _helps(context, unit)
    )


def _behind_tail(context: Context, unit: Unit, _: Decision) -> Reason:
    leaves = context.march.parameter("tail_dtype")
    text = f"{unit.op} {unit.anchor!r} ends the model: on the CPU it lets the convolution before it leave as {leaves}."
    if unit.name in context.loose:
        text = f"{unit.op} {unit.anchor!r} ends the model and stays on the CPU, where its convolution was sent."
    fuse = "keep it on the BPU" if unit.name in context.loose else "fuse it again"
    way = Way(f"run_on_bpu: {fuse}, int8 leaves the BPU (some accuracy lost)", (set_placement(unit.name, "bpu"),))
    return Reason("tail", text, RULES["tail"], (), (way,))


def _constraint(context: Context, unit: Unit, _: Decision) -> Reason:
    broken = [(name, result) for name in unit.members for result in context.supports[name].results if not result.ok]
    first = broken[0][1].text if broken else context.supports[unit.anchor].row.notes
    asked = "run_on_bpu is refused: " if context.wish(unit) == "bpu" else ""
    text = f"{asked}{unit.op} {unit.anchor!r} breaks a constraint of {context.march.name}: {first}."
    facts = tuple(Fact(f"{result.text} (allowed: {result.rule})", name) for name, result in broken)
    wanted = (f"{r.rule} = yes" if r.rule.isidentifier() else r.rule for _, r in broken)
    ways = tuple(Way(f"change the model so that {rule}") for rule in wanted)
    return Reason("constraint", text, RULES["constraints"], facts, ways)


def _not_supported(context: Context, unit: Unit, _: Decision) -> Reason:
    notes = context.supports[unit.anchor].row.notes
    asked = "run_on_bpu is refused: " if context.wish(unit) == "bpu" else ""
    text = f"{asked}{unit.op} {unit.anchor!r} does not run on the BPU of {context.march.name}."
    return Reason("not_supported", text, RULES["constraints"], (Fact(notes),) if notes else ())


def _unknown_row(context: Context, unit: Unit, _: Decision) -> Reason:
    row = context.supports[unit.anchor].row
    asked = "run_on_bpu is refused: " if context.wish(unit) == "bpu" else ""
    text = f"{asked}{unit.op} {unit.anchor!r} is {row.assumption}."
    return Reason("unknown", text, RULES["constraints"], (Fact(row.notes),) if row.notes else ())


def _not_in_list(context: Context, unit: Unit, _: Decision) -> Reason:
    node = context.graph.nodes[unit.anchor]
    text = (
        f"{node.source_op or unit.op} at {unit.anchor!r} is not in the op list of {context.march.name}; torch runs it."
    )
    return Reason("not_in_list", text, RULES["constraints"])


def _not_a_feature(_context: Context, unit: Unit, _: Decision) -> Reason:
    what = "indices, constants or complex numbers, not on a feature map"
    text = f"{unit.op} {unit.anchor!r} works on {what}; nothing to quantize."
    return Reason("not_a_feature", text, RULES["constraints"])


def _mask(context: Context, unit: Unit, decision: Decision) -> Reason:
    asked = "run_on_bpu is refused: " if context.wish(unit) == "bpu" else ""
    brings = decision.path[0]
    if brings in unit.members:
        text = f"{asked}{unit.op} {unit.anchor!r} brings in minus infinity as a mask; no scale holds it beside scores."
    else:
        text = f"{asked}{unit.op} {unit.anchor!r} reads minus infinity from the mask at {brings!r}; no scale holds it."
    ways = (Way("use a mask of finite numbers in the model, as small as the scores allow (-20 suits most)"),)
    return Reason("mask", text, RULES["mask"], (Fact(f"mask: {brings}", brings),), ways)


def _dynamic_weight(_context: Context, unit: Unit, _: Decision) -> Reason:
    text = f"{unit.op} {unit.anchor!r} computes its weight at run time; the BPU needs constant weights."
    return Reason("dynamic_weight", text, RULES["constraints"])


def _refused(why: str) -> Callable[[Context, Unit, Decision], Reason]:
    def words(context: Context, unit: Unit, decision: Decision) -> Reason:
        detail = why.format(before=decision.path[0] if decision.path else "")
        text = f"run_on_bpu is refused: {unit.op} {unit.anchor!r} is passive, no active op follows it, and {detail}."
        ways = tuple(way for way in _helps(context, unit) if "run_on_bpu" not in way.text)
        return Reason("refused", text, RULES["request"], _behind(context, unit), (*ways, _to_auto(context, unit)))

    return words


def _helps(context: Context, unit: Unit) -> tuple[Way, ...]:
    """Return what gives a passive op a threshold: run_on_bpu where it works, a unit conv behind it."""
    ways = []
    if len(unit.inputs) == 1 and context.march.parameters["run_on_bpu_passive"].value:
        text = "run_on_bpu: it takes the threshold of its own input"
        ways.append(Way(text, (set_placement(unit.name, "bpu"),)))
    if len(unit.outputs) == 1 and len(context.graph.values[unit.outputs[0]].shape) == 4:
        ways.append(Way("insert a unit conv after it: an active op behind it", (unit_conv(unit.name, "after"),)))
    return (*ways, *_in_float16(context, unit))


def _in_float16(context: Context, unit: Unit) -> tuple[Way, ...]:
    """Return the way to the BPU without quantization, where the march has one."""
    able = "float16" in context.supports[unit.anchor].row.input_dtypes
    if context.march.parameter("float16") == "none" or not able or unit.op in GEMMS:
        return ()
    edit = {"kind": "SetDtype", "node": unit.name, "output": "float16"}
    return (Way("float16: the BPU computes it without quantizing it", (edit,)),)


def _behind(context: Context, unit: Unit) -> tuple[Fact, ...]:
    consumers = context.consumers()
    found = [c for value in unit.outputs for c in consumers.get(value, ())]
    if not found:
        return (Fact("its output is an output of the model"),)
    return tuple(Fact(f"{c.name} ({c.op}) behind it is on the CPU", c.name) for c in dict.fromkeys(found))


def _checked(context: Context, unit: Unit) -> tuple[Fact, ...]:
    """Return what the march could not decide, so that nothing is assumed silently."""
    results = context.supports[unit.anchor].results
    row = context.supports[unit.anchor].row
    inner = (Fact("its inner integer arithmetic is not public: in and out are quantized, the gates are float"),)
    return (
        *(Fact(f"not known, assumed fine: {r.rule}") for r in results if not r.known),
        *((Fact(f"{unit.op}: {row.assumption}"),) if row.assumption else ()),
        *(inner if unit.op == "LSTM" else ()),
    )


def _to_cpu(name: str) -> Way:
    return Way("run_on_cpu: compute it in float", (set_placement(name, "cpu"),))


def _to_auto(context: Context, unit: Unit) -> Way:
    """Take back the wish, on the members that carry it."""
    asked = tuple(set_placement(name, "auto") for name in unit.members if name in context.overrides.on)
    return Way("let the rules decide again", asked)


_WORDS: Mapping[str, Callable[[Context, Unit, Decision], Reason]] = {
    "active": _active,
    "trained": _trained,
    "requested_tail": _requested_tail,
    "passive": _passive,
    "requested_passive": _requested_passive,
    "requested": _requested,
    "user_cpu": _user_cpu,
    "manual": _manual,
    "passive_without_active_consumer": _no_consumer,
    "tail": _behind_tail,
    "float16": _float16,
    "unknown_row": _unknown_row,
    "constraint": _constraint,
    "not_supported": _not_supported,
    "not_in_list": _not_in_list,
    "not_a_feature": _not_a_feature,
    "mask": _mask,
    "dynamic_weight": _dynamic_weight,
    "refused_joint_threshold": _refused("it joins several tensors, which need one joint threshold"),
    "refused_after_cpu": _refused("{before!r} in front of it is on the CPU"),
    "refused_by_march": _refused("this march is assumed not to offer run_on_bpu for passive ops"),
}
