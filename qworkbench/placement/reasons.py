"""Decisions in words: one sentence, the facts that decided, and the cheapest ways to change them.

One small function per reason code, found by name through a table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from qworkbench.graph.node import Node
from qworkbench.placement.context import Context, Decision
from qworkbench.placement.types import Fact, Reason, Unit, Way
from qworkbench.placement.ways import helps, in_float16, set_placement, to_auto, to_cpu

RULES = {
    "constraints": "An op runs on the BPU only if it meets the march's constraints.",
    "kernel": "The converter places an op on the BPU, or on the CPU where its library has a kernel for it.",
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


def reason_for(context: Context, unit: Unit, decision: Decision, *, tail: str = "") -> Reason:
    """Return the reason of `unit`'s decision; `tail` is the high-precision dtype in which it leaves the BPU, if any."""
    reason = _tail(context, unit, tail) if tail else _WORDS[decision.code](context, unit, decision)
    row = context.supports[unit.anchor].row
    if decision.on == "BPU" and row.supported == "unknown":
        return replace(reason, sentence=f"{reason.sentence.rstrip('.')}; {unit.op} is {row.assumption}.")
    return reason


def fused_reason(unit: Unit, node: Node, whole: Reason) -> Reason:
    """Return the reason of a member of a fused unit."""
    ops = " + ".join(unit.members)
    # a unit around an Add carries the Add's name, so "inside" would point at the node itself
    where = f"together with {unit.anchor!r}" if node.name == unit.name else f"inside {unit.name!r}"
    text = f"{node.op} {node.name!r} runs {where}: {ops} are one operation on the BPU."
    rule = "Convolution, BatchNormalization, Add and ReLU(6) fuse."
    kept = tuple(way for way in whole.ways if any(edit.get("on") == "auto" for edit in way.edits))
    return Reason("fused", text, rule, whole.facts, kept or (to_cpu(node.name),))


def _active(context: Context, unit: Unit, _: Decision) -> Reason:
    known = context.supports[unit.anchor].row.supported != "unknown"
    text = f"{unit.op} {unit.anchor!r} is an active op"
    text += f" and meets every constraint of {context.march.name}." if known else "."
    return Reason("active", text, RULES["active"], _checked(context, unit), (to_cpu(unit.anchor),))


def _trained(context: Context, unit: Unit, _: Decision) -> Reason:
    text = f"{unit.op} {unit.anchor!r} was quantized in {context.graph.training.by}, so it runs on the BPU."
    refused = tuple(
        Fact(f"the op table of {context.march.name} asks for {result.rule}, here {result.text}", name)
        for name in unit.members
        for result in context.supports[name].results
        if not result.ok
    )
    return Reason("trained", text, RULES["trained"], refused, (to_cpu(unit.anchor),))


def _tail(context: Context, unit: Unit, dtype: str) -> Reason:
    how = "scale s_x * s_w[c]" if dtype == "int32" else "written as floats by the tensor unit"
    text = f"{unit.op} {unit.anchor!r} is the last op on the BPU: it leaves as {dtype} (high precision), {how}."
    return Reason(f"tail_{dtype}", text, RULES["tail"], _checked(context, unit), (to_cpu(unit.anchor),))


def _float16(context: Context, unit: Unit, _: Decision) -> Reason:
    asked = "float16" in (context.request(unit).input, context.request(unit).output)
    only = "int8" not in context.supports[unit.anchor].row.input_dtypes
    why = "as asked" if asked else "the only form it has" if only else f"the default of {context.march.name}"
    text = f"{unit.op} {unit.anchor!r} computes in float16 on the BPU ({why}), so it needs no threshold."
    integer = {"kind": "SetDtype", "node": unit.name, "output": "auto" if asked else "int8"}
    ways = () if only else (Way("take it back" if asked else "int8: quantize it, too", (integer,)),)
    return Reason("float16", text, RULES["float16"], _checked(context, unit), (*ways, to_cpu(unit.anchor)))


def _requested_tail(context: Context, unit: Unit, _: Decision) -> Reason:
    text = f"{unit.op} {unit.anchor!r} runs on the BPU to its end, as run_on_bpu asks: int8 leaves instead of int32."
    return Reason("requested_tail", text, RULES["user"], _checked(context, unit), (to_auto(context, unit),))


def _passive(context: Context, unit: Unit, decision: Decision) -> Reason:
    giver = decision.path[-1]
    via = "" if len(decision.path) == 1 else f" (through {', '.join(map(repr, decision.path[:-1]))})"
    text = f"{unit.op} {unit.anchor!r} is passive: it takes the threshold of {giver!r}, the active op behind it{via}."
    facts = (Fact(f"active consumer: {giver}", giver), *_checked(context, unit))
    return Reason("passive", text, RULES["threshold"], facts, (to_cpu(unit.anchor),))


def _requested_passive(context: Context, unit: Unit, decision: Decision) -> Reason:
    source = repr(decision.path[0]) if decision.path else "the model input"
    text = (
        f"{unit.op} {unit.anchor!r} is passive and runs on the BPU as run_on_bpu asks, with the threshold of {source}."
    )
    return Reason("requested_passive", text, RULES["request"], _checked(context, unit), (to_auto(context, unit),))


def _requested(context: Context, unit: Unit, _: Decision) -> Reason:
    text = f"{unit.op} {unit.anchor!r} is a manual op; it runs on the BPU because run_on_bpu asks for it."
    return Reason("requested", text, RULES["manual"], _checked(context, unit), (to_auto(context, unit),))


def _user_cpu(context: Context, unit: Unit, _: Decision) -> Reason:
    text = f"{unit.op} {unit.anchor!r} runs on the CPU because run_on_cpu asks for it."
    return Reason("user_cpu", text, RULES["user"], (), (to_auto(context, unit),))


def _manual(context: Context, unit: Unit, _: Decision) -> Reason:
    text = f"{unit.op} {unit.anchor!r} is a manual op: never quantized by default, since its accuracy risk is high."
    way = Way("run_on_bpu: quantize it by hand", (set_placement(unit.name, "bpu"),))
    return Reason("manual", text, RULES["manual"], _checked(context, unit), (way, *in_float16(context, unit)))


def _no_consumer(context: Context, unit: Unit, _: Decision) -> Reason:
    text = f"{unit.op} {unit.anchor!r} is passive and no active op on the BPU follows it, so it finds no threshold."
    return Reason(
        "passive_without_active_consumer", text, RULES["threshold"], _behind(context, unit), helps(context, unit)
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
    facts: tuple[Fact, ...] = (Fact(notes),) if notes else ()
    other = context.march.readings.get(unit.op)
    if other is None:
        return Reason("not_supported", text, RULES["constraints"], facts)
    facts += (Fact(f"assumed ({other.parameter}): {other.instead}"),)
    return Reason("not_supported", text, RULES["constraints"], facts, (Way(other.way),))


def _unknown_row(context: Context, unit: Unit, _: Decision) -> Reason:
    row = context.supports[unit.anchor].row
    asked = "run_on_bpu is refused: " if context.wish(unit) == "bpu" else ""
    text = f"{asked}{unit.op} {unit.anchor!r} is {row.assumption}."
    return Reason("unknown", text, RULES["constraints"], (Fact(row.notes),) if row.notes else ())


def _not_in_list(context: Context, unit: Unit, _: Decision) -> Reason:
    notes, name = context.supports[unit.anchor].row.notes, _as_written(context, unit)
    if not notes or unit.op == "Opaque":
        return Reason(
            "not_in_list", f"{name} is not in the op list of {context.march.name}; torch runs it.", RULES["constraints"]
        )
    text = f"{name} does not run on the BPU of {context.march.name}; torch runs it."
    return Reason("not_in_list", text, RULES["constraints"], (Fact(notes),))


def _no_kernel(context: Context, unit: Unit, _: Decision) -> Reason:
    text = (
        f"{_as_written(context, unit)} has no kernel on {context.march.name}, neither on the BPU nor on the CPU: the "
        "converter cannot place it. Only here torch runs it."
    )
    ways = (
        Way("write it with other ops in the model (einsum: transpose, reshape and matmul), or end the model there"),
    )
    return Reason("no_kernel", text, RULES["kernel"], (), ways)


def _as_written(context: Context, unit: Unit) -> str:
    return f"{context.graph.nodes[unit.anchor].source_op or unit.op} at {unit.anchor!r}"


def _not_a_feature(context: Context, unit: Unit, _: Decision) -> Reason:
    values = context.graph.values
    whole = [v for v in unit.inputs if not values[v].dtype.startswith(("float", "bfloat"))]
    if len(whole) < len(unit.inputs) and not any(values[v].dtype.startswith("complex") for v in whole):
        read = " and ".join(f"{values[v].dtype} from {v!r}" for v in whole)
        text = f"{unit.op} {unit.anchor!r} reads {read} beside its feature map; such an op is taken to stay on the CPU."
        fact = Fact("whether the BPU takes indices or conditions that are not constant is not public")
        return Reason("not_a_feature", text, RULES["constraints"], (fact,))
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
        ways = tuple(way for way in helps(context, unit) if "run_on_bpu" not in way.text)
        return Reason("refused", text, RULES["request"], _behind(context, unit), (*ways, to_auto(context, unit)))

    return words


def _behind(context: Context, unit: Unit) -> tuple[Fact, ...]:
    consumers = context.consumers
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
    "no_kernel": _no_kernel,
    "not_a_feature": _not_a_feature,
    "mask": _mask,
    "dynamic_weight": _dynamic_weight,
    "refused_joint_threshold": _refused("it joins several tensors, which need one joint threshold"),
    "refused_after_cpu": _refused("{before!r} in front of it is on the CPU"),
    "refused_by_march": _refused("this march is assumed not to offer run_on_bpu for passive ops"),
}
