"""The cached stages from a model to an integer plan, each keyed by the part of the configuration that it reads.

Graph (unit convs) -> placement (march, wishes) -> plan (calibration, arithmetic). Two configurations that agree in a
part share its stage. Thread-safe: a run on the worker thread and an edit in a callback may ask at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from threading import RLock
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from qworkbench.calibration.internals import internals_of
from qworkbench.calibration.method import CalibrationMethod, Statistics
from qworkbench.emulator.builder import build_plan
from qworkbench.emulator.memo import PlanMemo
from qworkbench.emulator.plan import Plan, Quantity
from qworkbench.errors import CalibrationError
from qworkbench.graph.edits import insert_unit_conv
from qworkbench.graph.freshness import WeightWatch
from qworkbench.graph.ir import Graph
from qworkbench.march import March
from qworkbench.placement.anatomy import PlacementMemo
from qworkbench.placement.place import place
from qworkbench.placement.types import Placement
from qworkbench.workbench.config import Config, UnitConv
from qworkbench.workbench.thresholds import ConfiguredThresholds

KEPT = 64

Stage = TypeVar("Stage")


class Compared(NamedTuple):
    """One node's result: its key in the plan, the float value that it stands for, and how codes become numbers.

    `factor` is the one scale of int8 or int16 codes; None for any other result.
    """

    node: str
    key: str
    twin: str
    quantity: Quantity | None
    scale: bytes
    factor: float | None


class Stages:
    """Graph, placement and plan of any configuration of one model.

    Parameters
    ----------
    base : Graph
        The captured model, before any edit.
    """

    def __init__(self, base: Graph) -> None:
        self.base = base
        self._weights = WeightWatch(base)
        self._statistics: Statistics | None = None
        self._calibrated = 0
        self._lock = RLock()
        self.forget()

    def forget(self) -> None:
        """Forget every stage, and whatever the next ones could take over from them."""
        with self._lock:
            self._memo = PlanMemo(guarded=True)
            self._placing = PlacementMemo()
            self._held: OrderedDict[Any, Any] = OrderedDict()
            self._newest: tuple[Compared, ...] = ()
            self._asked: dict[str, tuple[Config, int, Any]] = {}

    @property
    def statistics(self) -> Statistics | None:
        """What calibration learned; None before any calibration."""
        return self._statistics

    @statistics.setter
    def statistics(self, statistics: Statistics | None) -> None:
        with self._lock:
            self._statistics = statistics
            self._calibrated += 1

    @property
    def calibrated(self) -> int:
        """How often statistics were replaced."""
        return self._calibrated

    def weights_changed(self) -> list[str]:
        """Return the paths of the model's weights that were written since these stages were made."""
        return self._weights.written()

    def outdated(self) -> bool:
        """Tell whether weights were written, however little and by whatever way; reads every weight of the plans."""
        with self._lock:
            return bool(self.weights_changed()) or self._memo.outdated()

    def check_weights(self) -> None:
        """Raise CalibrationError when there are such weights: placement and plan would mix old and new."""
        changed = self.weights_changed()
        if changed:
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            raise CalibrationError(
                f"the model's weights changed since it was loaded ({changed[0]}{more}); calibrate again, which takes "
                "them and keeps the edits: %qwb calibrate DATA, or wb.calibrate(data)"
            )

    def graph(self, config: Config) -> Graph:
        """Return the model with the unit convs of `config`."""
        return self._again("graph", config, self._graph)

    def _graph(self, config: Config) -> Graph:
        return self._stage(("graph", config.unit_convs), lambda: self._insert(config.unit_convs))

    def placement(self, config: Config) -> Placement:
        """Return the placement of `config`."""
        return self._again("placement", config, self._placement)

    def _placement(self, config: Config) -> Placement:
        key = ("placement", config.unit_convs, config.march, config.wishes)
        return self._stage(
            key, lambda: place(self.graph(config), self._machine(config), config.overrides, self._placing)
        )

    def _machine(self, config: Config) -> March:
        """Return the march of `config`, the same object as long as nothing of it changes."""
        key = ("march", config.march, tuple(sorted(config.assumptions.items())), config.batching)
        return self._stage(key, lambda: config.machine)

    def plan(self, config: Config) -> Plan:
        """Return the integer plan of `config`.

        Raises
        ------
        CalibrationError
            Before any calibration.
        """
        if self._statistics is None:
            raise CalibrationError(
                "the workbench is not calibrated; give samples first: %qwb calibrate DATA, or wb.calibrate(data)"
            )
        self.check_weights()
        return self._again("plan", config, self._plan)

    def _plan(self, config: Config) -> Plan:
        assert self._statistics is not None
        for method in {config.calibration, *config.methods.values()}:
            self._statistics.check(method)
        with self._lock:
            key = ("plan", self._calibrated, config.emulation)
            return self._stage(key, lambda: self._build(config))

    def _build(self, config: Config) -> Plan:
        thresholds = self.thresholds(config)
        return build_plan(self.graph(config), self.placement(config), thresholds, config.arithmetic, self._memo)

    def compared(self, config: Config, plan: Plan) -> tuple[Compared, ...]:
        """Return what `plan`, that of `config`, gives for each node that has a result, in the order of the nodes."""
        return self._stage(("compared", self._calibrated, config.emulation), lambda: self._compared(config, plan))

    def _compared(self, config: Config, plan: Plan) -> tuple[Compared, ...]:
        aliases, graph, canonical = self.aliases(config), self.graph(config), self.placement(config).canonical
        # an inserted node of the same name may sit somewhere else by now
        known = {one.node: one for one in self._newest if one.node in self.base.nodes}
        found = []
        for name in graph.nodes.names():
            key = plan.results.get(name)
            if key is None:
                continue
            quantity = plan.quantities.get(key)
            if (
                quantity is not None
                and quantity.dtype == "int32"
                and canonical[graph.nodes[name].output] in plan.outputs
            ):
                key, quantity = canonical[graph.nodes[name].output], None  # the plan makes numbers of it in any case
            one = known.get(name)
            if one is None or one.key != key or one.quantity is not quantity:
                value = graph.nodes[name].output
                scale = b"" if quantity is None else quantity.scale.tobytes()
                coded = quantity is not None and quantity.dtype in ("int8", "int16") and not quantity.per_channel
                factor = float(quantity.single) if quantity is not None and coded else None
                one = Compared(name, key, aliases.get(value, value), quantity, scale, factor)
            found.append(one)
        self._newest = tuple(found)
        return self._newest

    def thresholds(self, config: Config) -> ConfiguredThresholds:
        """Return the thresholds by the methods of `config`; only after a calibration."""
        statistics = self._statistics
        assert statistics is not None
        methods = tuple(sorted(config.methods.items(), key=lambda item: item[0]))
        asked = (self._calibrated, config.calibration, methods)
        return self._stage(
            ("thresholds", *asked, config.unit_convs),
            lambda: ConfiguredThresholds(
                statistics,
                config.calibration,
                self.aliases(config),
                self._methods_of_values(config),
                # with methods of their own, nodes of any graph may ask for others
                None if methods else self._stage(("known", *asked), dict),
            ),
        )

    def _methods_of_values(self, config: Config) -> dict[str, CalibrationMethod]:
        """Map the values that a node of `config.methods` makes, and the inner tensors of it, to its method."""
        graph = self.graph(config)
        found: dict[str, CalibrationMethod] = {}
        for name, method in config.methods.items():
            made = graph.nodes[name].outputs if name in graph.nodes else (name,)
            found.update(dict.fromkeys(made, method))
            inner = (part for parts in internals_of(self.base).values() for part, _ in parts)
            found.update((part, method) for part in inner if part.rpartition(".")[0] == name)
        return found

    def aliases(self, config: Config) -> Mapping[str, str]:
        """Map the output of each unit conv to the value of the captured model that it equals."""
        return self._stage(("aliases", config.unit_convs), lambda: self._aliases(self.graph(config)))

    def _aliases(self, graph: Graph) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for node in graph.nodes:
            if node.name not in self.base.nodes and node.inputs[0] is not None:
                found[node.output] = found.get(node.inputs[0], node.inputs[0])
        return MappingProxyType(found)

    def _insert(self, unit_convs: tuple[UnitConv, ...]) -> Graph:
        if not unit_convs:
            return self.base
        *before, unit = unit_convs
        key = ("graph", tuple(before))
        graph = self._stage(key, lambda: self._insert(tuple(before)))
        return insert_unit_conv(graph, unit.node, unit.where, unit.index, unit.slot)

    def _again(self, kind: str, config: Config, make: Callable[[Config], Stage]) -> Stage:
        """Return ``make(config)``, at once where `config` is the one that was asked for last."""
        last, calibrated = self._asked.get(kind), self._calibrated
        if last is not None and last[0] is config and last[1] == calibrated:
            stage: Stage = last[2]
            return stage
        stage = make(config)
        self._asked[kind] = config, calibrated, stage
        return stage

    def _stage(self, key: Any, make: Callable[[], Stage]) -> Stage:
        with self._lock:
            if key not in self._held:
                self._held[key] = make()
                while len(self._held) > KEPT:
                    self._held.popitem(last=False)
            self._held.move_to_end(key)
            stage: Stage = self._held[key]
            return stage
