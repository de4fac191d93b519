"""The cached stages from a model to an integer plan, each keyed by the part of the configuration that it reads.

Graph (unit convs) -> placement (march, wishes) -> plan (calibration, arithmetic). Two configurations that agree in a
part share its stage. Thread-safe: a run on the worker thread and an edit in a callback may ask at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import RLock
from typing import Any, TypeVar

import numpy as np

from qworkbench.calibration.method import CalibrationMethod, Statistics
from qworkbench.emulator.builder import PlanMemo, build_plan
from qworkbench.emulator.plan import Plan
from qworkbench.errors import CalibrationError
from qworkbench.graph.edits import insert_unit_conv
from qworkbench.graph.ir import Graph
from qworkbench.march import get_march
from qworkbench.placement.place import place
from qworkbench.placement.types import Placement
from qworkbench.workbench.config import Config, UnitConv

KEPT = 64

Stage = TypeVar("Stage")


class Stages:
    """Graph, placement and plan of any configuration of one model.

    Parameters
    ----------
    base : Graph
        The captured model, before any edit.
    """

    def __init__(self, base: Graph) -> None:
        self.base = base
        self._statistics: Statistics | None = None
        self._calibrated = 0
        self._memo = PlanMemo()
        self._held: OrderedDict[Any, Any] = OrderedDict()
        self._lock = RLock()

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

    def graph(self, config: Config) -> Graph:
        """Return the model with the unit convs of `config`."""
        return self._stage(("graph", config.unit_convs), lambda: self._insert(config.unit_convs))

    def placement(self, config: Config) -> Placement:
        """Return the placement of `config`."""
        key = ("placement", config.unit_convs, config.march, _frozen(config))
        return self._stage(key, lambda: place(self.graph(config), get_march(config.march), config.overrides))

    def plan(self, config: Config) -> Plan:
        """Return the integer plan of `config`.

        Raises
        ------
        CalibrationError
            Before any calibration.
        """
        if self._statistics is None:
            raise CalibrationError("the workbench is not calibrated; call calibrate with samples first")
        self._statistics.check(config.calibration)
        with self._lock:
            key = (
                "plan",
                self._calibrated,
                config.unit_convs,
                config.march,
                _frozen(config),
                config.calibration,
                config.arithmetic,
            )
            thresholds = ConfiguredThresholds(self._statistics, config.calibration, self.aliases(config))
            return self._stage(
                key,
                lambda: build_plan(
                    self.graph(config), self.placement(config), thresholds, config.arithmetic, self._memo
                ),
            )

    def aliases(self, config: Config) -> dict[str, str]:
        """Map the output of each unit conv to the value of the captured model that it equals."""
        graph = self.graph(config)
        found: dict[str, str] = {}
        for node in graph.nodes:
            if node.name not in self.base.nodes and node.inputs[0] is not None:
                found[node.output] = found.get(node.inputs[0], node.inputs[0])
        return found

    def _insert(self, unit_convs: tuple[UnitConv, ...]) -> Graph:
        graph = self.base
        for unit in unit_convs:
            graph = insert_unit_conv(graph, unit.node, unit.where, unit.index, unit.slot)
        return graph

    def _stage(self, key: Any, make: Callable[[], Stage]) -> Stage:
        with self._lock:
            if key not in self._held:
                self._held[key] = make()
                while len(self._held) > KEPT:
                    self._held.popitem(last=False)
            self._held.move_to_end(key)
            stage: Stage = self._held[key]
            return stage


class ConfiguredThresholds:
    """Thresholds of one calibration method, also for the outputs of unit convs."""

    def __init__(self, statistics: Statistics, method: CalibrationMethod, aliases: dict[str, str]) -> None:
        self._statistics, self._method, self._aliases = statistics, method, aliases

    def threshold(self, name: str) -> float:
        """Return the per-tensor threshold of `name`."""
        return self._statistics.threshold(self._aliases.get(name, name), self._method)

    def channel_thresholds(self, name: str) -> np.ndarray | None:
        """Return per-channel thresholds of `name` where the method asks for them."""
        if not self._method.per_channel:
            return None
        return self._statistics.channel_thresholds(self._aliases.get(name, name), self._method)


def _frozen(config: Config) -> tuple[Any, ...]:
    return (
        tuple(sorted(config.on.items())),
        tuple(sorted(config.scales.items())),
        tuple(sorted(config.dtypes.items(), key=lambda item: item[0])),
    )
