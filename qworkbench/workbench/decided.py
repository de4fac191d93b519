"""The configuration under which a graph computes what was decided before: by training, or by the whole of a stage.

Asks placement, compares with what was decided, and adds the wish or fixed scale that is missing, until nothing is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from qworkbench.graph.ir import Graph
from qworkbench.march import get_march
from qworkbench.placement.decided import Decided
from qworkbench.placement.place import place
from qworkbench.placement.types import DtypeRequest, Overrides, Placement, Unit
from qworkbench.placement.units import is_marker
from qworkbench.workbench.config import Config

ROUNDS = 4


def decided_config(graph: Graph, wanted: Mapping[str, Decided], config: Config) -> tuple[Config, list[str]]:
    """Return `config` with the wishes that make `graph` compute as decided, and what they could not express.

    Parameters
    ----------
    graph : Graph
        ``graph.training.integer`` names the nodes that compute on integers.
    wanted : Mapping of value name to Decided
        For every activation and input.
    config : Config
    """
    overrides = config.overrides
    for _ in range(ROUNDS):
        placement = place(graph, get_march(config.march), overrides)
        better = _corrected(graph, placement, wanted, overrides)
        if better == overrides:
            break
        overrides = better
    placement = place(graph, get_march(config.march), overrides)
    made = replace(config, on=overrides.on, scales=overrides.scales, dtypes=overrides.dtypes)
    return made, _remarks(graph, placement, wanted)


def _corrected(graph: Graph, placement: Placement, wanted: Mapping[str, Decided], old: Overrides) -> Overrides:
    """Return `old` with what `placement` still does otherwise than training decided."""
    on, dtypes, scales = dict(old.on), dict(old.dtypes), dict(old.scales)
    for unit in placement.units:
        made = wanted[graph.nodes[unit.tail].output]
        runs = placement[unit.anchor].on
        if unit.anchor not in graph.training.integer:
            if runs == "BPU":
                on[unit.anchor] = "cpu"
        elif runs == "BPU":
            weight = made.weight_dtype if made.weight_dtype == "int16" else None
            _wish(dtypes, unit.anchor, weight=weight)
            if made.scale is not None and placement[unit.anchor].dtype != made.dtype:
                _wish(dtypes, unit.name, output=made.dtype)
            _wish_inputs(dtypes, graph, placement, unit, wanted)
    scales.update(_scales(graph, placement, wanted, scales))
    return replace(old, on=on, dtypes=dtypes, scales=scales)


def _wish_inputs(
    dtypes: dict[str, DtypeRequest], graph: Graph, placement: Placement, unit: Unit, wanted: Mapping[str, Decided]
) -> None:
    """Ask for the dtypes of what enters the graph, slot by slot: nothing else makes it."""
    node = graph.nodes[unit.anchor]
    for slot, value in enumerate(node.inputs):
        source = None if value is None else placement.canonical.get(value)
        if source is None or graph.producer(source) is not None or not graph.is_activation(source):
            continue
        carried = _stub_of(graph, placement, source, wanted) or wanted.get(source)
        group = placement.group(source)
        if carried is not None and group is not None and group.dtype != carried.dtype:
            asked = DtypeRequest(slots=((slot, carried.dtype),))
            dtypes[unit.anchor] = asked.over(dtypes.get(unit.anchor, DtypeRequest()))


def _wish(dtypes: dict[str, DtypeRequest], name: str, **parts: str | None) -> None:
    given: dict[str, Any] = {part: dtype for part, dtype in parts.items() if dtype is not None}
    if given:
        dtypes[name] = DtypeRequest(**given).over(dtypes.get(name, DtypeRequest()))


def _stub_of(graph: Graph, placement: Placement, value: str, wanted: Mapping[str, Decided]) -> Decided | None:
    """Return what the QuantStub behind canonical `value` decided."""
    for node in graph.nodes:
        if node.op == "QuantizeLinear" and placement.canonical[node.output] == value and wanted[node.output].scale:
            return wanted[node.output]
    return None


def _scales(
    graph: Graph, placement: Placement, wanted: Mapping[str, Decided], fixed: Mapping[str, float]
) -> dict[str, float]:
    """Return one fixed scale per scale group that has none yet."""
    named = {placement.canonical[node.output]: node.name for node in graph.nodes if is_marker(node.op)}
    found: dict[str, float] = {}
    for group in placement.groups:
        if group.fixed_scale is not None:
            continue
        for value in group.values:
            carried = _stub_of(graph, placement, value, wanted) or wanted.get(value)
            producer = graph.producer(value)
            name = named.get(value, value) if producer is None else producer.name
            if carried is not None and carried.scale is not None and name not in fixed:
                found[name] = carried.scale
                break
    return found


def _remarks(graph: Graph, placement: Placement, wanted: Mapping[str, Decided]) -> list[str]:
    """Tell where the emulator does not follow the converted model."""
    found = []
    for unit in placement.units:
        made = wanted[graph.nodes[unit.tail].output]
        placed = placement[unit.anchor]
        if made.dtype == "float16":
            found.append(f"{unit.name}: float16 in training, float32 on the CPU here")
        elif made.integer and made.scale is not None and placed.on == "CPU":
            found.append(f"{unit.name}: {made.dtype} in training, on the CPU here: {placed.reason.sentence}")
        elif made.integer and made.scale is not None and placed.dtype != made.dtype:
            found.append(f"{unit.name}: {made.dtype} in training, {placed.dtype} here")
    return found
