"""What a ``quant_config`` means for a workbench, and how a workbench is written as one.

Read: ``all_node_type``, ``op_config`` and ``node_config`` (the later ones win) and the calibration method; of several
methods in a list each is tried. ``qtype`` is taken as the dtype of a node's inputs, dual-int16 as that of its weight,
too. Bias correction and ``subgraph_config`` stay in the file and are reported. Knows configurations, no files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qworkbench.calibration.method import CalibrationMethod
from qworkbench.errors import unknown_name
from qworkbench.march import get_march
from qworkbench.toolchain.quant_config import ON, QuantConfig, listed
from qworkbench.workbench.config import Config
from qworkbench.workbench.dtype_wishes import dtype_edits
from qworkbench.workbench.edits import Edit, SetCalibration, SetPlacement

if TYPE_CHECKING:
    from qworkbench.graph.ir import Graph
    from qworkbench.placement.types import Placement

PARTS = ("input", "weight")


@dataclass
class QuantReading:
    """What a file asks for: edits, methods to try where there are several, and one line per key without effect."""

    edits: list[Edit] = field(default_factory=list)
    methods: tuple[CalibrationMethod, ...] = ()
    remarks: list[str] = field(default_factory=list)


def reading(document: QuantConfig, config: Config, graph: Graph, placement: Placement) -> QuantReading:
    """Return the edits that bring `config` to what `document` says; wishes that it does not hold are taken back.

    Raises
    ------
    UnknownNameError
        A node that the model does not have.
    """
    found = QuantReading(remarks=list(document.remarks))
    tree = document.tree
    model = tree.get("model_config", {})
    legal = get_march(config.march).dtypes
    asked: dict[str, dict[str, str]] = {}
    on: dict[str, str] = {}

    def ask(name: str, kind: str, where: str) -> None:
        dtype = "int16" if kind == "dual-int16" else kind
        if dtype not in legal:
            found.remarks.append(f"{where} {kind}: {config.march} has {', '.join(legal)} here; without effect")
            return
        parts = dict.fromkeys(PARTS, dtype) if kind == "dual-int16" else {"input": dtype}
        wish = asked.setdefault(name, {})
        wish.clear()
        wish.update({part: value for part, value in parts.items() if value != "int8"})

    everything = model.get("all_node_type", "int8")
    anchors = {unit.anchor for unit in placement.units}  # what is fused into a convolution has no type of its own
    for node in graph.nodes:
        if everything != "int8" and node.name in anchors:
            ask(node.name, everything, "model_config.all_node_type")
        kind = tree.get("op_config", {}).get(node.op, {}).get("qtype")
        if kind is not None:
            ask(node.name, kind, f"op_config.{node.op}.qtype")
    for op in tree.get("op_config", {}):
        if not any(node.op == op for node in graph.nodes):
            found.remarks.append(f"op_config.{op}: the model has no such operator; without effect")
    for name, info in tree.get("node_config", {}).items():
        if name not in graph.nodes:
            raise unknown_name("node (asked for in node_config)", name, graph.nodes.names())
        if "qtype" in info:
            ask(name, info["qtype"], f"node_config.{name}.qtype")
        place = info.get("ON")
        if place in ON:
            on[name] = place.lower()
        elif place is not None:  # older samples put a dtype here
            ask(name, place, f"node_config.{name}.ON")
        for key, dtype in info.items():
            if key.startswith("input") and key[5:].isdigit():
                asked.setdefault(name, {})[f"input {int(key[5:])}"] = dtype
    found.remarks = list(dict.fromkeys(found.remarks))
    if "subgraph_config" in tree:
        found.remarks.append("subgraph_config: kept in the file, without effect here")
    if model.get("weight", {}).get("bias_correction"):
        found.remarks.append("model_config.weight.bias_correction: kept in the file, without effect here")
    found.edits += [SetPlacement(name, "auto") for name in config.on if name not in on]
    found.edits += [SetPlacement(name, where) for name, where in on.items() if config.on.get(name) != where]
    found.edits += dtype_edits(config, {name: wish for name, wish in asked.items() if wish}, PARTS)
    _activation(model.get("activation", {}), config, found)
    return found


def _activation(given: Mapping[str, Any], config: Config, found: QuantReading) -> None:
    if not given:
        return
    if any(listed(given.get("asymmetric", False))):
        found.remarks.append(
            "model_config.activation.asymmetric: the board's form is not public, the emulator has none; without effect"
        )
    methods: list[CalibrationMethod] = []
    for kind in listed(given.get("calibration_type", "max")):
        for percentile in listed(given.get("max_percentile", 1.0)) if kind == "max" else (1.0,):
            for per_channel in listed(given.get("per_channel", False)):
                cut = kind == "max" and percentile < 1.0
                methods.append(
                    CalibrationMethod("max-percentile", percentile, per_channel)
                    if cut
                    else CalibrationMethod(kind, per_channel=per_channel)
                )
    if len(methods) > 1:
        found.methods = tuple(methods)
    elif methods[0] != config.calibration:
        one = methods[0]
        found.edits.append(SetCalibration(one.name, one.percentile, one.per_channel))


def writing(config: Config, base: QuantConfig | None = None) -> tuple[QuantConfig, list[str]]:
    """Return a configuration that reproduces `config`, and one line per setting for which the file has no key.

    In `base` only the keys change that a workbench knows; ``all_node_type`` and ``op_config`` are written as
    ``node_config``, which outranks them.
    """
    document = base or QuantConfig("{}")
    lost = [
        f"{u.node}: a unit conv {u.where} it is part of the model; export it with to_onnx" for u in config.unit_convs
    ]
    lost += [f"{name}: a fixed scale has no key in a quant_config" for name in config.scales]
    lost += [f"{name}: calibration {m.describe()} of one node has no key" for name, m in config.methods.items()]
    method = config.calibration
    activation: dict[str, Any] = {"calibration_type": method.name if method.name == "kl" else "max"}
    if method.name not in ("max", "max-percentile", "kl"):
        lost.append(f"calibration {method.name} is not one of the file's types; the file says max")
    if method.fraction < 1.0:
        activation["max_percentile"] = method.fraction
    if method.per_channel:
        activation["per_channel"] = True
    nodes: dict[str, dict[str, str]] = {}
    for name, wish in config.dtypes.items():
        if wish.output:
            lost.append(
                f"{name}: output {wish.output} has no key in a quant_config; the dtype of what reads it decides"
            )
        info = nodes.setdefault(name, {})
        if wish.weight == "int16":
            info["qtype"] = "dual-int16"
        elif wish.input:
            info["qtype"] = wish.input
        info.update({f"input{slot}": dtype for slot, dtype in wish.slots})
    for name, where in config.on.items():
        nodes.setdefault(name, {})["ON"] = where.upper()
    before = document.tree
    model = {k: v for k, v in before.get("model_config", {}).items() if k != "all_node_type"}
    kept = {
        k: v for k, v in model.get("activation", {}).items() if k not in (*activation, "max_percentile", "per_channel")
    }
    tree = {k: v for k, v in before.items() if k not in ("op_config", "node_config")}
    tree["model_config"] = {**model, "activation": {**kept, **activation}}
    known = ("qtype", "ON")
    for name, info in before.get("node_config", {}).items():
        rest = {k: v for k, v in info.items() if k not in known and not (k.startswith("input") and k[5:].isdigit())}
        if rest or name in nodes:
            nodes[name] = {**rest, **nodes.get(name, {})}
    nodes = {name: info for name, info in nodes.items() if info}
    if nodes:
        tree["node_config"] = nodes
    return document.with_tree(tree), lost
