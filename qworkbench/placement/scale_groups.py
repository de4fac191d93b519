"""Rule 6: which tensors share a scale, whose threshold it is, and where a Requantize is needed.

Passive ops that move integers keep input scale = output scale and form same-scale groups. A group that active ops read
takes the largest threshold of all its tensors that anything but a passive op reads: a Split cuts no part off because an
active op reads another one. Without an active reader it takes the scale of the Concat it flows into; without that, the
threshold of its first tensor, which is the input that run_on_bpu promises to a passive op. A Concat brings every input
to the scale of its output: directly where nothing else fixed the input's scale, by a Requantize on that edge otherwise.
Inferred from the vendor tool's printed tables, where every row obeys it (they do not show whether the largest or the
active op's own threshold rules a Split); where a tensor flows into several Concats the nearest decides (it is also the
one with the largest threshold in every printed case). What a user fixes comes before what the model declares, and that
before any threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType

from qworkbench.errors import EditError
from qworkbench.graph.vocabulary import family
from qworkbench.numerics.stored import StoredScale
from qworkbench.placement.context import Context, Decision
from qworkbench.placement.declared import Declared, ruling
from qworkbench.placement.sharing import share_between_calls
from qworkbench.placement.types import ScaleGroup, Unit

SAME_SCALE_POOLS = ("MaxPool", "GlobalMaxPool")
_NOTHING = ScaleGroup((), (), "")


@cache
def keeps_scale(op: str) -> bool:
    """Tell whether `op` hands integers through, so that its output scale is its input scale."""
    return family(op) in ("movement", "resize") or op in SAME_SCALE_POOLS


@dataclass(slots=True)
class _Draft:
    values: tuple[str, ...]
    readers: tuple[str, ...] = ()  # values that an active BPU unit reads
    others: tuple[str, ...] = ()  # values that a Concat, the CPU or the model's caller reads
    targets: tuple[tuple[int, int], ...] = ()  # (hops, draft id) of Concat outputs they flow into

    @property
    def threshold_from(self) -> tuple[str, ...] | None:
        """The values whose thresholds decide; None where the scale is that of the Concat they flow into."""
        if self.readers:
            return tuple(dict.fromkeys((*self.readers, *self.others))) if self.others else self.readers
        return None if self.targets else (self.values[0],)

    @property
    def nearest(self) -> int:
        """The draft of the nearest Concat's output."""
        return min(self.targets, key=lambda target: (target[0], -target[1]))[1]


@dataclass(frozen=True)
class ScaleGroups:
    """The groups, the group of each canonical value, and the Concat edges that need a Requantize."""

    groups: tuple[ScaleGroup, ...]
    group_of: Mapping[str, int]
    requantized: Mapping[tuple[str, str], int]


@dataclass(frozen=True, eq=False)
class Drafts:
    """Groups before any scale is fixed, as drafts and resolved, the group of each value, the Concats on the BPU."""

    drafts: list[_Draft]
    draft_of: Mapping[str, int]
    concats: list[Unit]
    groups: list[ScaleGroup]


def drafts_of(
    context: Context,
    decisions: Mapping[str, Decision],
    dtypes: Mapping[str, str],
    canonical: Mapping[str, str],
    ordered: tuple[str, ...],
    former: dict[str, ScaleGroup],
) -> Drafts:
    """Return what no scale moves of the groups of every canonical value that is int8 / int16 in `dtypes`.

    `ordered` are the values of the graph that depend on its inputs, in topological order; `former` keeps groups by
    their first value, so that one that is as it was is the same object.
    """
    quantized = [value for value in ordered if dtypes.get(value) in ("int8", "int16")]
    drafts, draft_of, hops = _union(context, decisions, quantized)
    concats = _collect(context, decisions, drafts, draft_of, hops, canonical)
    groups: list[ScaleGroup] = [_NOTHING] * len(drafts)
    for index in reversed(range(len(drafts))):
        draft = drafts[index]
        values, dtype, read = draft.values, dtypes[draft.values[0]], draft.threshold_from
        if read is None:
            groups[index] = replace(groups[draft.nearest], values=values, dtype=dtype)
            continue
        known = former.get(values[0])
        if known is None or known.threshold_from != read or known.values != values or known.dtype != dtype:
            known = former[values[0]] = ScaleGroup(values, read, dtype)
        groups[index] = known
    return Drafts(drafts, MappingProxyType(draft_of), concats, groups)


def scale_groups(
    context: Context, whole: Drafts, canonical: Mapping[str, str], declared: Mapping[str, StoredScale]
) -> ScaleGroups:
    """Form the scale groups of `whole`; `declared` are the scales of the model's own that are in force.

    Raises
    ------
    EditError
        When two fixed scales meet in one group.
    """
    draft_of, concats, groups = whole.draft_of, whole.concats, list(whole.groups)
    fixed, stated = _fixed(context, whole, canonical, declared)
    if fixed or stated:
        _fix(groups, whole.drafts, fixed, stated)
    if context.overrides.share_modules:
        groups = share_between_calls(context, groups, draft_of)
    requantized: dict[tuple[str, str], int] = {}
    for unit in concats:
        target = draft_of[unit.outputs[0]]
        for value in unit.inputs:
            source = draft_of[value]
            if source != target and not _same(groups[source], groups[target]):
                requantized[value, unit.name] = target
    return ScaleGroups(tuple(groups), draft_of, requantized)


def _same(a: ScaleGroup, b: ScaleGroup) -> bool:
    return (a.threshold_from, a.fixed_scale, a.dtype) == (b.threshold_from, b.fixed_scale, b.dtype)


def _union(
    context: Context, decisions: Mapping[str, Decision], quantized: list[str]
) -> tuple[list[_Draft], dict[str, int], dict[str, int]]:
    """Join input and outputs of every scale-keeping BPU unit; drafts come in topological order of their first value."""
    root: dict[str, str] = {}
    hops: dict[str, int] = {}
    for unit in context.units:
        if keeps_scale(unit.op) and decisions[unit.name].on == "BPU" and context.writes_codes(unit):
            source = unit.inputs[0]
            for value in unit.outputs:
                root[value] = root.get(source, source)
                hops[value] = hops.get(source, 0) + 1
    drafts: list[_Draft] = []
    draft_of: dict[str, int] = {}
    for value in quantized:
        index = draft_of.get(root.get(value, value))
        if index is None:
            draft_of[value] = len(drafts)
            drafts.append(_Draft((value,)))
        else:
            draft_of[value] = index
            drafts[index].values += (value,)
    return drafts, draft_of, hops


def _collect(
    context: Context,
    decisions: Mapping[str, Decision],
    drafts: list[_Draft],
    draft_of: Mapping[str, int],
    hops: Mapping[str, int],
    canonical: Mapping[str, str],
) -> list[Unit]:
    """Note on each draft who reads it and which Concats it flows into; return the Concats on the BPU."""
    concats = []
    for value in (canonical[v] for v in context.graph.outputs):
        if value in draft_of:
            drafts[draft_of[value]].others += (value,)
    for unit in context.units:
        reads = decisions[unit.name].on == "BPU" and context.reads_codes(unit)
        joins = reads and family(unit.op) == "concat"
        if joins:
            concats.append(unit)
        for value in unit.inputs:
            index = draft_of.get(value)
            if index is None:
                continue
            draft = drafts[index]
            if joins or not reads:
                draft.others += (value,)
            if joins:
                draft.targets += ((hops.get(value, 0), draft_of[unit.outputs[0]]),)
            elif reads and not keeps_scale(unit.op) and value not in draft.readers:
                draft.readers += (value,)
    return concats


def _fixed(
    context: Context, whole: Drafts, canonical: Mapping[str, str], declared: Mapping[str, StoredScale]
) -> tuple[dict[int, tuple[str, float]], dict[int, list[Declared]]]:
    """Map draft ids to the fixed scale that the user put on a node (any fused member) or model input.

    And to what the model declares on any of the values.
    """
    by_member, draft_of = context.table.by_member, whole.draft_of
    found: dict[int, tuple[str, float]] = {}
    stated: dict[int, list[Declared]] = {}
    for name, scale in context.overrides.scales.items():
        if name in by_member:
            value = by_member[name].outputs[0]
        elif name in context.graph.nodes:
            value = canonical[context.graph.nodes[name].output]
        else:
            value = canonical.get(name, name)
        if value not in draft_of:
            continue
        index = draft_of[value]
        if name in declared:
            stated.setdefault(index, []).append(Declared(name, value, declared[name]))
            continue
        other = found.get(index)
        if other is not None and other[1] != scale:
            raise EditError(
                f"fixed scales of {other[0]!r} ({other[1]:.6g}) and {name!r} ({scale:.6g}) contradict: passive ops "
                "between them keep one scale; clear one of the two"
            )
        found[index] = (name, scale)
    return found, stated


def _fix(
    groups: list[ScaleGroup],
    drafts: list[_Draft],
    fixed: Mapping[int, tuple[str, float]],
    declared: Mapping[int, list[Declared]],
) -> None:
    """Put fixed scales into `groups`, from the outputs backwards, since a group may take the scale of one behind it."""
    follow = {index for index, draft in enumerate(drafts) if draft.targets and not draft.readers}
    for index in sorted({*fixed, *declared, *follow}, reverse=True):
        draft, values, dtype = drafts[index], drafts[index].values, groups[index].dtype
        if index in fixed:
            name, scale = fixed[index]
            groups[index] = ScaleGroup(values, (), dtype, scale, name)
        elif index in declared:
            rules = ruling(declared[index], draft.readers)
            groups[index] = ScaleGroup(values, (), dtype, rules.stored.symmetric(dtype), rules.stub)
        else:
            groups[index] = replace(groups[draft.nearest], values=values, dtype=dtype)
