"""Calibration searches of a workbench: what the pure searches ask for, measured on the first calibration sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from qworkbench.analysis.metrics import compare
from qworkbench.analysis.quantizers import quantizers_of
from qworkbench.analysis.sensitivity import sensitivity
from qworkbench.analysis.sensitivity_memo import SensitivityMemo
from qworkbench.calibration.candidates import Candidate, OnRows, Score, SearchResult
from qworkbench.calibration.fake_quant import fake_quantized
from qworkbench.calibration.method import CalibrationMethod
from qworkbench.calibration.search import SENSITIVE_SHARE, SIMILARITY, Progress, default_search, list_search, mix_search
from qworkbench.emulator.cache import ResultCache
from qworkbench.emulator.execute import execute
from qworkbench.errors import CalibrationError
from qworkbench.graph.execute import run_float
from qworkbench.graph.feeds import feeds_of
from qworkbench.workbench.config import Config
from qworkbench.workbench.edits import Edit, SetCalibration, SetNodeCalibration
from qworkbench.workbench.stages import Stages


class Searcher:
    """Measures configurations that differ in calibration only, on one sample.

    Parameters
    ----------
    stages : Stages
        With statistics.
    config : Config
        In force; its calibration is replaced.
    example : object
        Used where the statistics hold no first sample (thresholds from a file).
    """

    def __init__(self, stages: Stages, config: Config, example: Any, cancelled: Callable[[], bool]) -> None:
        statistics = stages.statistics
        if statistics is None or not statistics.sketches:
            raise CalibrationError("a search needs statistics; calibrate with data, e.g. wb.calibrate(images, ...)")
        sample = dict(statistics.first) if statistics.first is not None else example
        self._stages, self._config, self._cancelled = stages, config, cancelled
        self._feeds = feeds_of(stages.base, sample)
        self._arrays = {name: tensor.numpy() for name, tensor in self._feeds.items()}
        self._cache = ResultCache()
        self._memo = SensitivityMemo()
        base = stages.base
        env = run_float(base, self._feeds, keep=base.outputs)
        self._reference = {
            name: env[value].numpy() for name, value in zip(base.output_names, base.outputs, strict=True)
        }

    def config(self, method: CalibrationMethod, nodes: Mapping[str, CalibrationMethod] | None = None) -> Config:
        """Return the configuration with this calibration and no other wish about it."""
        return replace(self._config, calibration=method, methods=dict(nodes or {}))

    def measure(self, method: CalibrationMethod, nodes: Mapping[str, CalibrationMethod] | None = None) -> Score:
        """Return the distances of the emulated outputs."""
        plan = self._stages.plan(self.config(method, nodes))
        done = execute(plan, self._arrays, set(plan.outputs), self._cache, cancelled=self._cancelled)
        names = self._stages.base.output_names
        return self._score({name: done.arrays[key] for name, key in zip(names, plan.outputs, strict=True)})

    def measure_asymmetric(self, method: CalibrationMethod) -> tuple[Score, Score]:
        """Return the distances in fake quantization: symmetric, asymmetric."""
        config = self.config(method)
        graph, placement = self._stages.graph(config), self._stages.placement(config)
        ranges = self._stages.thresholds(config)
        both = [
            fake_quantized(graph, placement, ranges, self._feeds, asymmetric=wish, cancelled=self._cancelled)
            for wish in (False, True)
        ]
        return self._score(both[0]), self._score(both[1])

    def sensitive(self, method: CalibrationMethod, share: float) -> list[str]:
        """Return the `share` of quantized tensors (at least one) that alone cost the most output cosine, by node."""
        effects = self._effects(method, None)
        ranked = sorted(effects, key=lambda node: effects[node])
        return ranked[: max(1, round(share * len(ranked)))]

    def effects(self, method: CalibrationMethod, nodes: Sequence[str]) -> Mapping[str, float]:
        """Return the output cosine with each of `nodes` quantized alone."""
        return self._effects(method, frozenset(nodes))

    def _effects(self, method: CalibrationMethod, nodes: frozenset[str] | None) -> dict[str, float]:
        config = self.config(method)
        plan, placement = self._stages.plan(config), self._stages.placement(config)
        graph, rounding = self._stages.graph(config), config.arithmetic.rounding
        # a tensor is called by its quantizer in the table, and by the node whose threshold decides in an edit
        deciding = {
            q.name: _decider(graph, placement.groups[placement.group_of[q.value]].threshold_from)
            for q in quantizers_of(graph, placement, plan, rounding)
            if q.kind == "activation" and q.value in placement.group_of
        }
        wanted = [name for name, node in deciding.items() if node is not None and (nodes is None or node in nodes)]
        if not wanted:
            return {}
        frame = sensitivity(
            graph,
            placement,
            plan,
            self._feeds,
            rounding=rounding,
            metric="COSINE",
            nodes=wanted,
            memo=self._memo,
            cancelled=self._cancelled,
        )
        found: dict[str, float] = {}
        rows = frame[frame["sensitive_type"] == "activation"]
        for name, cosine in zip(rows["op_name"], rows["COSINE"], strict=True):
            node = deciding.get(name)
            if node is not None:
                found[node] = min(found.get(node, 1.0), float(cosine))
        return found

    def _score(self, outputs: Mapping[str, np.ndarray]) -> Score:
        # an output that the model holds as a constant is exact
        found = [compare(self._reference[name], outputs[name]) for name in self._reference]
        return Score(min(m.cosine for m in found), max(m.l1 for m in found))


def _decider(graph: Any, values: Sequence[str]) -> str | None:
    """Return the node (or input) that makes the value by which a scale is decided; None where several do."""
    if len(values) != 1:
        return None
    value = values[0]
    if value in graph.inputs:
        return str(value)
    return next((node.name for node in graph.nodes if value in node.outputs), None)


def search(
    strategy: str,
    stages: Stages,
    config: Config,
    example: Any,
    *,
    percentile: float,
    methods: Sequence[CalibrationMethod] = (),
    progress: Progress | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    on_rows: OnRows | None = None,
) -> SearchResult:
    """Run the search `strategy` ("default", "mix", or "list" of `methods`) for `config`; nothing is changed."""
    searcher = Searcher(stages, config, example, cancelled)
    if strategy == "list":
        return list_search(searcher.measure, methods, progress=progress, cancelled=cancelled, on_rows=on_rows)
    if strategy == "mix":
        return mix_search(
            searcher.measure,
            lambda method: searcher.sensitive(method, SENSITIVE_SHARE),
            searcher.effects,
            percentile=percentile,
            progress=progress,
            cancelled=cancelled,
            on_rows=on_rows,
        )
    return default_search(
        searcher.measure,
        searcher.measure_asymmetric,
        percentile=percentile,
        similarity=SIMILARITY,
        progress=progress,
        cancelled=cancelled,
        on_rows=on_rows,
    )


def in_force(candidate: Candidate, config: Config) -> bool:
    """Tell whether `config` has the calibration of `candidate`."""
    return candidate.judge == "emulator" and (config.calibration, dict(config.methods)) == (
        candidate.method,
        dict(candidate.nodes),
    )


def edits_of(candidate: Candidate, config: Config) -> tuple[Edit, ...]:
    """Return the edits that turn the calibration of `config` into that of `candidate`."""
    method, nodes = candidate.method, candidate.nodes
    cleared = [SetNodeCalibration(name, "auto") for name in config.methods if name not in nodes]
    chosen = [SetNodeCalibration(name, m.name, m.percentile) for name, m in nodes.items()]
    whole = SetCalibration(method.name, method.percentile, method.per_channel, method.num_bin, method.max_num_bin)
    return (whole, *cleared, *chosen)
