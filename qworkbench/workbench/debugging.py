"""Accuracy analyses of the configuration in force: what a workbench hands to :mod:`qworkbench.analysis`.

Only gathers graph, placement, plan and samples; what is measured, and how, is decided there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qworkbench.analysis.badcase import find_bad_cases
from qworkbench.analysis.check import ModelCheck, check_model
from qworkbench.analysis.fake_quantized import FakeQuantized
from qworkbench.analysis.inputs import Moments, moments_of, moments_of_sketch
from qworkbench.analysis.layer_table import LayerComparison
from qworkbench.analysis.layers import compare_layers
from qworkbench.analysis.plots import channel_figure, histogram_figure
from qworkbench.analysis.preview import preview
from qworkbench.analysis.ranges import FixedScale, propose_fixed_scales
from qworkbench.analysis.sensitivity import sensitivity
from qworkbench.analysis.shared import shared_modules
from qworkbench.analysis.worst import BadCases
from qworkbench.calibration.observe import batches_of
from qworkbench.errors import AnalysisError, unknown_name
from qworkbench.graph.execute import run_float
from qworkbench.graph.feeds import feeds_of
from qworkbench.numerics.dtypes import QMAX
from qworkbench.workbench.edits import Edit, SetPlacement
from qworkbench.workbench.mixing import edits_for
from qworkbench.workbench.scale_hints import scale_hints

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch
    from matplotlib.figure import Figure

    from qworkbench.analysis.distances import Function
    from qworkbench.analysis.sensitivity_memo import SensitivityMemo
    from qworkbench.workbench.config import Config
    from qworkbench.workbench.stages import Stages


Ranges = Mapping[str, tuple[float, float]]


def samples(stages: Stages, given: Any, default: Any) -> dict[str, torch.Tensor]:
    """Return feeds of what the user gave, or of the workbench's default sample.

    Raises
    ------
    AnalysisError
        When there is neither.
    CalibrationError
        When the sample does not fit the model.
    """
    sample = default if given is None else given
    if sample is None:
        raise AnalysisError(
            "the model was loaded without an example, and no calibration data was seen, whose first sample would do; "
            "calibrate with data, or pass inputs, e.g. images[:8]"
        )
    return feeds_of(stages.base, sample)


def sensitivity_of(
    stages: Stages, config: Config, feeds: dict[str, torch.Tensor], memo: SensitivityMemo, **options: Any
) -> pd.DataFrame:
    """Return the sensitivity table of `config`; see :func:`qworkbench.analysis.sensitivity.sensitivity`."""
    plan = stages.plan(config)
    graph, placement = stages.graph(config), stages.placement(config)
    return sensitivity(graph, placement, plan, feeds, rounding=config.arithmetic.rounding, memo=memo, **options)


def preview_of(
    stages: Stages, config: Config, feeds: dict[str, torch.Tensor], memo: SensitivityMemo, **options: Any
) -> pd.DataFrame:
    """Return the estimated sensitivity table of `config`; see :func:`qworkbench.analysis.preview.preview`."""
    plan = stages.plan(config)
    graph, placement = stages.graph(config), stages.placement(config)
    program = memo.references.program(graph, placement)
    rounding = config.arithmetic.rounding
    return preview(graph, placement, plan, feeds, rounding=rounding, program=program, **options)


def bad_cases_of(stages: Stages, config: Config, data: Any, **options: Any) -> BadCases:
    """Return the worst samples of `data`; see :func:`qworkbench.analysis.badcase.find_bad_cases`."""
    plan = stages.plan(config)
    return find_bad_cases(
        stages.graph(config),
        stages.placement(config),
        plan,
        batches_of(data, stages.base, inputs=config.inputs),
        **options,
    )


def layers_of(stages: Stages, config: Config, feeds: dict[str, torch.Tensor], **options: Any) -> LayerComparison:
    """Return the layer-by-layer table; see :func:`qworkbench.analysis.layers.compare_layers`."""
    plan = stages.plan(config)
    options.setdefault("rounding", config.arithmetic.rounding)
    if stages.statistics is not None:
        options.setdefault("sketches", stages.statistics.sketches)
    return compare_layers(stages.graph(config), stages.placement(config), plan, feeds, **options)


def limited_values(
    stages: Stages, config: Config, feeds: dict[str, torch.Tensor], name: str
) -> tuple[np.ndarray, float]:
    """Return what node (or input) `name` puts out in float, and the magnitude that its codes reach."""
    graph, placement, plan = stages.graph(config), stages.placement(config), stages.plan(config)
    known = (*graph.inputs, *graph.nodes.names())
    if name not in known:
        raise unknown_name("node", name, known)
    value = name if name in graph.inputs else graph.nodes[name].output
    if name in graph.nodes and placement[name].on != "NONE":
        value = placement.unit_of(name).outputs[0]
    value = placement.canonical.get(value, value)
    group = placement.group(value)
    quantity = None if group is None else plan.quantities.get(f"{value}@{group.dtype}")
    if group is None or quantity is None:
        raise AnalysisError(f"{name!r} is not quantized, so no codes limit it; choose a node that runs on the BPU")
    limit = float(quantity.scale.max()) * QMAX[group.dtype]
    values = (feeds[value] if value in feeds else run_float(graph, feeds, keep={value})[value]).detach().numpy()
    return values, limit


def values_figure(stages: Stages, config: Config, feeds: dict[str, torch.Tensor], name: str, kind: str) -> Figure:
    """Return the histogram or the channel boxes of what node (or input) `name` puts out in float, with its limits."""
    if kind not in ("histogram", "channels"):
        raise unknown_name("figure", kind, ("histogram", "channels"))
    values, limit = limited_values(stages, config, feeds, name)
    return histogram_figure(values, limit, name) if kind == "histogram" else channel_figure(values, limit, name)


def proposals_of(stages: Stages, config: Config, ranges: Ranges | None) -> list[FixedScale]:
    """Return the fixed scales that known ranges suggest and that are not fixed yet."""
    plan, placement = stages.plan(config), stages.placement(config)
    denominator = config.arithmetic.scale_denominator
    graph = stages.graph(config)
    sketches = {} if stages.statistics is None else stages.statistics.sketches
    seen = {name: (sketches[name].low, sketches[name].high) for name in graph.inputs if name in sketches}
    found = propose_fixed_scales(graph, placement, plan, ranges, seen=seen, denominator=denominator)
    fixed = {group.fixed_by for group in placement.groups}
    values = {p.node: placement.group(p.node) for p in found if p.node not in placement.nodes}
    values |= {p.node: placement.group(placement.unit_of(p.node).outputs[0]) for p in found if p.node not in values}
    return [p for p in found if p.node not in fixed and getattr(values[p.node], "fixed_scale", None) is None]


def shared_of(stages: Stages, config: Config, feeds: dict[str, torch.Tensor] | None) -> pd.DataFrame:
    """Return the shared modules, judged by calibration data, or by `feeds` where given or nothing is calibrated."""
    graph, placement = stages.graph(config), stages.placement(config)
    sketches = {} if stages.statistics is None else stages.statistics.sketches
    aliases = stages.aliases(config)
    if feeds is not None:
        reference = run_float(graph, feeds)
        return shared_modules(graph, placement, lambda value: moments_of(reference[value].detach().numpy()))

    def calibrated(value: str) -> Moments | None:
        name = aliases.get(value, value)
        return moments_of_sketch(sketches[name]) if name in sketches else None

    return shared_modules(graph, placement, calibrated)


def fake_quantized(
    stages: Stages, config: Config, feeds: dict[str, torch.Tensor], metric: str | Function
) -> FakeQuantized:
    """Return the float model with the quantizers of `config`, each of which can be switched off."""
    plan = stages.plan(config)
    rounding = config.arithmetic.rounding
    return FakeQuantized(stages.graph(config), stages.placement(config), plan, feeds, metric, rounding)


def edits_of_region(stages: Stages, config: Config, ops: Sequence[str], how: str) -> tuple[Edit, ...]:
    """Return the edits that take `ops` out of int8: ``"cpu"`` (float32) or ``"int16"``."""
    graph, placement = stages.graph(config), stages.placement(config)
    if how not in ("cpu", "int16"):
        raise unknown_name("way to repair a region", how, ("cpu", "int16"))
    if how == "int16":
        return edits_for(graph, [(name, "activation") for name in ops])
    known = [name for name in ops if name in graph.nodes]
    nodes = dict.fromkeys(m for name in known for m in placement.unit_of(name).members)
    return tuple(SetPlacement(name, "cpu") for name in nodes if placement[name].on == "BPU")


def check_of(stages: Stages, config: Config, ranges: Ranges | None) -> ModelCheck:
    """Return the model check of `config`; thresholds are looked at only where there are some."""
    calibrated = stages.statistics is not None
    return check_model(
        stages.graph(config),
        stages.placement(config),
        stages.plan(config) if calibrated else None,
        method=config.calibration.describe(),
        fixed=config.scales,
        proposals=proposals_of(stages, config, ranges) if calibrated else (),
        hints={name: text for name in config.scales for text in scale_hints(stages, config, [name])},
    )
