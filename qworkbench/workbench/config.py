"""The immutable configuration: everything that a user decided, and nothing that was computed from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from qworkbench.calibration.method import CalibrationMethod
from qworkbench.calibration.preprocess import Preprocess
from qworkbench.graph.batching import Batching
from qworkbench.graph.ir import Graph
from qworkbench.march import March, get_march
from qworkbench.numerics.arithmetic import Arithmetic
from qworkbench.numerics.dtypes import check_scale
from qworkbench.placement.declared import declared_scales
from qworkbench.placement.types import DtypeRequest, Overrides
from qworkbench.placement.units import canonical_values, is_marker


@dataclass(frozen=True, slots=True)
class UnitConv:
    """A unit conv "before" or "after" `node`, called ``_unitconv_<index>``; `slot` picks one of several inputs."""

    node: str
    where: Literal["before", "after"]
    slot: int | None = None
    index: int = 0

    @property
    def place(self) -> tuple[str, str, int | None]:
        """Where it sits; at most one unit conv sits in one place."""
        return self.node, self.where, self.slot


ABSENT = {
    "on": "auto",
    "scales": "calibrated",
    "dtypes": "auto",
    "methods": "calibration",
    "assumptions": "the march's",
    "input_orders": "original",
}
"""What a setting that is not made stands for, in words."""


def _empty() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True)
class Config:
    """One state of the workbench.

    Attributes
    ----------
    march : str
    on : Mapping of node name to "bpu" | "cpu"
        run_on_bpu and run_on_cpu.
    scales : Mapping of node or input name to float
        Fixed scales.
    dtypes : Mapping of node name to DtypeRequest
    unit_convs : tuple of UnitConv
        In order of insertion.
    calibration : CalibrationMethod
    methods : Mapping of node or input name to CalibrationMethod
        Nodes whose outputs read their thresholds by another method.
    arithmetic : Arithmetic
    share_modules : bool
        All calls of one module write by one scale (training plugin) instead of each by its own (PTQ).
    split : tuple of str
        Modules that are copied for each call.
    assumptions : Mapping of str to object
        Parameters and figures of the march that the user set otherwise.
    batching : Batching
        First dimension of ``input_shape``, and ``input_batch``.
    input_orders : Mapping of "quantized" | "compiled" to tuple of str
        Orders of the inputs that the vendor's tools reported.
    inputs : Mapping of input name to Preprocess
        How images become model inputs, where that is declared.
    """

    march: str = "bayes-e"
    on: Mapping[str, Literal["bpu", "cpu"]] = field(default_factory=_empty)
    scales: Mapping[str, float] = field(default_factory=_empty)
    dtypes: Mapping[str, DtypeRequest] = field(default_factory=_empty)
    unit_convs: tuple[UnitConv, ...] = ()
    calibration: CalibrationMethod = field(default_factory=CalibrationMethod)
    methods: Mapping[str, CalibrationMethod] = field(default_factory=_empty)
    arithmetic: Arithmetic = field(default_factory=Arithmetic)
    share_modules: bool = False
    split: tuple[str, ...] = ()
    assumptions: Mapping[str, Any] = field(default_factory=_empty)
    batching: Batching = field(default_factory=Batching)
    input_orders: Mapping[str, tuple[str, ...]] = field(default_factory=_empty)
    inputs: Mapping[str, Preprocess] = field(default_factory=_empty)

    def __post_init__(self) -> None:
        for name in ("on", "scales", "dtypes", "methods", "assumptions", "input_orders", "inputs"):
            given = getattr(self, name)
            if type(given) is not MappingProxyType:  # what an edit leaves alone is shared
                object.__setattr__(self, name, MappingProxyType(dict(given)))

    @cached_property
    def wishes(self) -> tuple[Any, ...]:
        """What placement follows from, beside the march and the unit convs, as a hashable value."""
        return (
            tuple(sorted(self.on.items())),
            tuple(sorted(self.scales.items())),
            tuple(sorted(self.dtypes.items(), key=lambda item: item[0])),
            self.share_modules,
            self.split,
            tuple(sorted(self.assumptions.items())),
            self.batching,
        )

    @cached_property
    def emulation(self) -> tuple[Any, ...]:
        """What a plan follows from, beside the statistics, as a hashable value."""
        methods = tuple(sorted(self.methods.items(), key=lambda item: item[0]))
        return self.unit_convs, self.march, self.wishes, self.calibration, methods, self.arithmetic

    @property
    def machine(self) -> March:
        """The march with the user's assumptions and the batch that the board model is compiled for."""
        return get_march(self.march).with_parameters({**self.assumptions, "input_batch": self.batching.compiled})

    @property
    def overrides(self) -> Overrides:
        """The part that placement reads."""
        return Overrides(self.on, self.dtypes, self.scales, self.share_modules, frozenset(self.split))

    def edited(self, since: Config | None = None) -> frozenset[str]:
        """Return the names that carry a wish, or one that differs from that in `since` (what a model declares)."""
        found = {u.node for u in self.unit_convs}
        for part in ("on", "scales", "dtypes", "methods"):
            now = getattr(self, part)
            before = {} if since is None else getattr(since, part)
            found.update(name for name in (*now, *before) if now.get(name) != before.get(name))
        return frozenset(found)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON-able data, keys sorted."""
        return {
            "march": self.march,
            "on": dict(sorted(self.on.items())),
            "scales": dict(sorted(self.scales.items())),
            "dtypes": {name: asdict(wish) for name, wish in sorted(self.dtypes.items())},
            "unit_convs": [asdict(unit) for unit in self.unit_convs],
            "calibration": asdict(self.calibration),
            "methods": {name: method.describe() for name, method in sorted(self.methods.items())},
            "arithmetic": asdict(self.arithmetic),
            "sharing": "module" if self.share_modules else "call",
            "split": list(self.split),
            "assumptions": dict(sorted(self.assumptions.items())),
            "batching": asdict(self.batching),
            "input_orders": {stage: ";".join(names) for stage, names in sorted(self.input_orders.items())},
            "inputs": {name: asdict(declared) for name, declared in sorted(self.inputs.items())},
        }


def stub_scales(graph: Graph) -> dict[str, float]:
    """Return the fixed scales that the model itself declares: ``QuantStub(scale=1 / 128)``, or a quantized file's."""
    found = {name: stored.symmetric(stored.width) for name, stored in declared_scales(graph).items()}
    for node in graph.nodes:
        if node.op == "QuantizeLinear" and node.module_path is not None and graph.root is not None:
            scale = getattr(graph.root.get_submodule(node.module_path), "scale", None)
            if isinstance(scale, float):
                found[node.name] = float(check_scale(scale, node.name))
    return found


def stub_dtypes(graph: Graph) -> dict[str, DtypeRequest]:
    """Return the int16 requests that a quantized file makes by storing an activation in 16 bits."""
    wide = {name for name, stored in declared_scales(graph).items() if stored.width == "int16"}
    canonical = canonical_values(graph)
    producer = {value: node for node in graph.nodes for value in node.outputs}
    found: dict[str, DtypeRequest] = {}
    for name in wide:
        value = canonical[graph.nodes[name].output]
        if value in producer:
            asked = found.get(producer[value].name, DtypeRequest())
            found[producer[value].name] = replace(asked, output="int16")
            continue
        for node in graph.nodes:
            if not is_marker(node.op) and value in (canonical.get(v) for v in node.inputs if v is not None):
                found[node.name] = replace(found.get(node.name, DtypeRequest()), input="int16")
    return found


def difference(before: Config, after: Config) -> list[str]:
    """Return one line per setting that differs: ``on softmax: auto -> bpu``."""
    old, new = before.as_dict(), after.as_dict()
    phrases = before.calibration.describe(), after.calibration.describe()
    if phrases[0] != phrases[1]:
        old["calibration"], new["calibration"] = phrases
    whole = ("march", "calibration", "arithmetic", "sharing", "batching")
    lines = [f"{part}: {_short(old[part])} -> {_short(new[part])}" for part in whole if old[part] != new[part]]
    for part, absent in (
        ("on", "auto"),
        ("scales", "calibrated"),
        ("dtypes", "auto"),
        ("methods", "calibration"),
        ("assumptions", "the march's"),
        ("input_orders", "original"),
        ("inputs", "as it is"),
    ):
        for name in sorted({*old[part], *new[part]}):
            a, b = old[part].get(name), new[part].get(name)
            if a != b:
                lines.append(f"{part} {name}: {_short(a) if a else absent} -> {_short(b) if b else absent}")
    lines += [f"- split module {path}" for path in before.split if path not in after.split]
    lines += [f"+ split module {path}" for path in after.split if path not in before.split]
    lines += [f"- unit conv {u.where} {u.node}" for u in before.unit_convs if u not in after.unit_convs]
    lines += [f"+ unit conv {u.where} {u.node}" for u in after.unit_convs if u not in before.unit_convs]
    return lines


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items() if v is not None and v != ())
    if isinstance(value, float) and float(np.float32(value)) == value:
        return str(np.float32(value))  # as it was typed: 0.1, not 0.100000001
    return str(value)
