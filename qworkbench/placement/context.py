"""Rules 1, 2 and 4: which units may run on the BPU, and where a passive one finds its threshold.

Source: the article on active, passive and manual quantization (an op runs on the BPU only if it meets the constraints
and finds a threshold in its context) and the tables of the vendor's tool, in which every passive op carries the
threshold of the active op behind it. Decides codes and neighbours; :mod:`qworkbench.placement.reasons` words them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from qworkbench.graph.ir import Graph
from qworkbench.graph.vocabulary import family
from qworkbench.march.table import March, Support
from qworkbench.placement.forms import Form, form_of
from qworkbench.placement.types import DtypeRequest, Overrides, Unit
from qworkbench.placement.unit_table import UnitTable
from qworkbench.placement.units import is_marker

NO_REQUEST = DtypeRequest()


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided for a unit: `on`, a reason code, and the neighbours that decided.

    ``path`` leads from the unit to the active consumer that gives its threshold (both ends excluded and included).
    """

    on: Literal["BPU", "CPU"]
    code: str
    path: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Plain:
    """What the rules say of the units of some table where nobody wishes anything; all keyed by unit name or value.

    Attributes
    ----------
    forms : Mapping of str to Form
    alone : Mapping of str to Decision
        Of what needs no context.
    waiting : Mapping of str to Unit
        The passive units, which do.
    decisions : Mapping of str to Decision
        Of all.
    values, made, weights : Mapping of str to str
        As :class:`qworkbench.placement.dtypes.Dtypes` has them, but for the tail.
    """

    forms: Mapping[str, Form] = field(default_factory=dict)
    alone: Mapping[str, Decision] = field(default_factory=dict)
    waiting: Mapping[str, Unit] = field(default_factory=dict)
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    made: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Context:
    """What the rules read: the graph, its units, the march's verdict per node and the user's wishes.

    ``plain`` is what holds without wishes for the units of a table that had ``gone`` instead of ``come``; every rule
    starts there and looks again at what differs. ``masked`` maps values that hold minus infinity to the node that
    brought it in; ``asked`` notes for which units the rules asked whether a scale is fixed, and the answer.
    """

    graph: Graph
    march: March
    table: UnitTable
    supports: Mapping[str, Support]
    overrides: Overrides
    tail_on_cpu: frozenset[str] = frozenset()
    loose: frozenset[str] = frozenset()
    masked: Mapping[str, str] = field(default_factory=dict)
    asked: dict[Unit, bool] = field(default_factory=dict)
    plain: Plain = field(default_factory=Plain)
    gone: tuple[Unit, ...] = ()
    come: tuple[Unit, ...] = ()

    @property
    def units(self) -> tuple[Unit, ...]:
        """The units in topological order."""
        return self.table.units

    @property
    def consumers(self) -> Mapping[str, tuple[Unit, ...]]:
        """The units that read each canonical value."""
        return self.table.readers

    @cached_property
    def wished(self) -> dict[str, Unit]:
        """The units of which a member carries a wish for a place or a dtype."""
        members = self.table.by_member
        found = (members.get(name) for wishes in (self.overrides.on, self.overrides.dtypes) for name in wishes)
        return {unit.name: unit for unit in found if unit is not None}

    @cached_property
    def touched(self) -> dict[str, Unit]:
        """The units of which ``plain`` may not hold: what carries a wish, what is new, what the tail rule moves."""
        members = self.table.by_member
        tail = (members.get(name) for name in self.tail_on_cpu)
        return {unit.name: unit for unit in (*self.wished.values(), *self.come, *tail) if unit is not None}

    @cached_property
    def forms(self) -> dict[str, Form]:
        """In which numbers each unit computes where it runs on the BPU."""
        forms = dict(self.plain.forms)
        for unit in self.gone:
            del forms[unit.name]
        for name, unit in self.touched.items():
            forms[name] = (
                "integer"
                if unit.anchor in self.graph.training.integer
                else form_of(self.march, unit.op, self.supports[unit.anchor].row, self.request(unit))
            )
        return forms

    def reads_codes(self, unit: Unit) -> bool:
        """Tell whether `unit` takes integer codes on the BPU."""
        return self.forms[unit.name] != "float16"

    def writes_codes(self, unit: Unit) -> bool:
        """Tell whether `unit` leaves integer codes on the BPU."""
        return self.forms[unit.name] == "integer"

    def request(self, unit: Unit) -> DtypeRequest:
        """Merge the dtypes that the user asked for any member of `unit`."""
        asked_for = self.overrides.dtypes
        if unit.name not in self.wished:
            return NO_REQUEST
        merged = NO_REQUEST
        for name in dict.fromkeys((*unit.members, unit.name)):
            asked = asked_for.get(name)
            if asked is not None:
                merged = asked.over(merged)
        return merged

    def wish(self, unit: Unit) -> str | None:
        """Return "bpu" or "cpu" where the user fixed any member (or the name) of `unit`."""
        if unit.name not in self.wished:
            return None
        for name in (unit.name, *reversed(unit.members)):
            if name in self.overrides.on:
                return self.overrides.on[name]
        return None

    def pinned(self, unit: Unit) -> bool:
        """Tell whether a scale is fixed on any member of `unit`, or on a stub behind it."""
        found = self.asked.get(unit)
        if found is None:
            found = self.asked[unit] = self._pinned(unit)
        return found

    def _pinned(self, unit: Unit) -> bool:
        scales = self.overrides.scales
        if not scales:
            return False
        waiting = [node.name for value in unit.outputs for node, _ in self.graph.users(value)]
        stubs: list[str] = []
        while waiting:
            node = self.graph.nodes[waiting.pop()]
            if is_marker(node.op):
                stubs.append(node.name)
                waiting += [user.name for user, _ in self.graph.users(node.output)]
        return any(name in scales for name in (unit.name, *unit.members, *stubs))


def decide(context: Context) -> dict[str, Decision]:
    """Return a decision for every unit of `context`, keyed by unit name."""
    return in_context(context, *without_context(context))


def in_context(context: Context, decisions: dict[str, Decision], waiting: Mapping[str, Unit]) -> dict[str, Decision]:
    """Add the decisions of the `waiting` units to `decisions`, and return these."""
    passive = context.table.in_order(waiting.values())
    for unit in reversed(passive):
        decisions[unit.name] = _passive(context, unit, decisions, waiting)
    for unit in passive:
        if decisions[unit.name].code == "passive_without_active_consumer" and context.wish(unit) == "bpu":
            decisions[unit.name] = _requested_passive(context, unit, decisions)
    return decisions


def without_context(context: Context) -> tuple[dict[str, Decision], dict[str, Unit]]:
    """Return the decisions that need no context, and the passive units, which need it."""
    decisions, waiting = dict(context.plain.alone), dict(context.plain.waiting)
    for unit in context.gone:
        decisions.pop(unit.name, None)
        waiting.pop(unit.name, None)
    for name, unit in context.touched.items():
        verdict = _alone(context, unit)
        if verdict is None:
            decisions.pop(name, None)
            waiting[name] = unit
        else:
            waiting.pop(name, None)
            decisions[name] = verdict
    return decisions, waiting


def _alone(context: Context, unit: Unit) -> Decision | None:
    """Decide what needs no context; None for passive units that meet the constraints."""
    graph, wish = context.graph, context.wish(unit)
    if wish == "cpu":
        return Decision("CPU", "user_cpu")
    if unit.anchor in graph.training.integer:
        return Decision("BPU", "trained")
    support = context.supports[unit.anchor]
    if not support.row.converts:
        return Decision("CPU", "no_kernel")
    if family(unit.op) == "other" and support.row.supported == "no":
        return Decision("CPU", "not_in_list")
    if not unit.inputs or not all(graph.values[v].dtype.startswith(("float", "bfloat")) for v in unit.inputs):
        return Decision("CPU", "not_a_feature")
    if unit.op in ("Conv", "ConvTranspose", "Gemm", "BatchNormalization") and len(unit.inputs) > 1 + bool(unit.add):
        return Decision("CPU", "dynamic_weight")
    if not support.row.runs:
        return Decision("CPU", "not_supported" if support.row.supported == "no" else "unknown_row")
    if any(not context.supports[name].ok for name in unit.members):
        return Decision("CPU", "constraint")
    if context.forms[unit.name] == "float16":
        return Decision("BPU", "float16")
    mask = next((context.masked[v] for v in (*unit.inputs, *unit.outputs) if v in context.masked), None)
    if mask is not None and (family(unit.op) != "softmax" or wish == "bpu"):
        return Decision("CPU", "mask", (mask,))
    quant_class = support.row.quant_class
    if quant_class == "manual":
        return Decision("BPU", "requested") if wish == "bpu" else Decision("CPU", "manual")
    if quant_class == "passive":
        return None
    if unit.name in context.tail_on_cpu:
        return Decision("CPU", "tail")
    return Decision("BPU", "requested_tail" if wish == "bpu" and _fusable(unit) else "active")


def _fusable(unit: Unit) -> bool:
    return unit.fused or unit.op in ("Relu", "Clip")


def _passive(
    context: Context,
    unit: Unit,
    decisions: Mapping[str, Decision],
    waiting: Mapping[str, Unit],
) -> Decision:
    """Take the threshold of the nearest active BPU unit behind `unit`, through passive ones on the BPU."""
    best: tuple[str, ...] | None = None
    for consumer in context.table.behind(unit):
        verdict = decisions[consumer.name]
        if verdict.on != "BPU" or not context.reads_codes(consumer):
            continue
        path = (consumer.name, *verdict.path) if consumer.name in waiting else (consumer.name,)
        if best is None or len(path) < len(best):
            best = path
    if best is None:
        return Decision("CPU", "passive_without_active_consumer")
    return Decision("BPU", "passive", best)


def _requested_passive(
    context: Context,
    unit: Unit,
    decisions: Mapping[str, Decision],
) -> Decision:
    """Rule 4: run_on_bpu for a passive op works where its one input can hand it a threshold."""
    if len(unit.inputs) > 1:
        return Decision("CPU", "refused_joint_threshold")
    producer = context.table.makers.get(unit.inputs[0])
    if producer is not None and decisions[producer.name].on != "BPU":
        return Decision("CPU", "refused_after_cpu", (producer.name,))
    if not context.march.parameters["run_on_bpu_passive"].value:
        return Decision("CPU", "refused_by_march")
    return Decision("BPU", "requested_passive", () if producer is None else (producer.name,))
