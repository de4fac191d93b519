"""Segmented deployment: a workbench cut into two that run alone and, chained, give what the whole gives bit for bit.

The tensors that cross keep dtype and scale of the whole on both sides: the first stage hands out ``code * scale``, the
second one quantizes it back to the same codes. The whole stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from qworkbench.errors import CalibrationError, EditError, FileFormatError
from qworkbench.graph.cut import Cut, cut
from qworkbench.graph.feeds import feeds_of
from qworkbench.graph.ir import Graph, Training
from qworkbench.placement.decided import FLOAT, Decided
from qworkbench.placement.types import Placement
from qworkbench.workbench.config import Config
from qworkbench.workbench.decided import decided_config
from qworkbench.workbench.stages import Stages

if TYPE_CHECKING:
    from qworkbench.workbench.session import Workbench


@dataclass(frozen=True, eq=False)
class Boundary:
    """A tensor that crosses from one stage to the next: its shape, and the dtype and scale that both sides have."""

    value: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None

    def __str__(self) -> str:
        form = self.dtype if self.scale is None else f"{self.dtype}, scale {self.scale:.7g}"
        return f"{self.value}: {form}, shape {'x'.join(map(str, self.shape))}"


@dataclass(frozen=True, eq=False)
class Split:
    """Two stages of one model.

    Attributes
    ----------
    stage1, stage2 : Workbench
    boundaries : tuple of Boundary
        The tensors that `stage1` hands over.
    whole : Graph
        The model that was cut.
    """

    stage1: Workbench
    stage2: Workbench
    boundaries: tuple[Boundary, ...]
    whole: Graph

    def run(self, inputs: Any = None) -> dict[str, np.ndarray]:
        """Run both stages one after the other and return the outputs of the whole model, by name."""
        found: dict[str, Any] = dict(feeds_of(self.whole, self._example() if inputs is None else inputs))
        for stage in (self.stage1, self.stage2):
            graph = stage.base_graph
            made = stage.run({name: found[name] for name in graph.inputs}).outputs
            found |= {v: torch.from_numpy(np.array(a)) for v, a in zip(graph.outputs, made.values(), strict=True)}
        named = zip(self.whole.output_names, self.whole.outputs, strict=True)
        return {name: np.asarray(found[value].numpy()) for name, value in named}

    def _example(self) -> dict[str, Any]:
        return {**self.stage2.example, **self.stage1.example}

    def export(self, folder: str | Path) -> list[Path]:
        """Write ``stage1.onnx``, ``stage1.yaml``, ``stage2.onnx`` and ``stage2.yaml`` into `folder`.

        Returns
        -------
        list of Path
            The files; fixed scales, for which a yaml has no key, are in ``boundaries.txt``.

        Raises
        ------
        FileFormatError
            A folder that cannot be written, or an op that ONNX has no form for.
        """
        target = Path(folder)
        try:
            target.mkdir(parents=True, exist_ok=True)
            text = "".join(f"{boundary}\n" for boundary in self.boundaries)
            (target / "boundaries.txt").write_text(text, encoding="utf-8")
        except OSError as error:
            raise FileFormatError(f"cannot write into {str(target)!r}: {error.strerror or error}") from None
        written = []
        for name, stage in (("stage1", self.stage1), ("stage2", self.stage2)):
            stage.export_yaml(target / f"{name}.yaml")
            written += [stage.to_onnx(target / f"{name}.onnx"), target / f"{name}.yaml"]
        return [*written, target / "boundaries.txt"]

    def __repr__(self) -> str:
        lines = [f"{self.stage1!r}", f"{self.stage2!r}", *(f"  {boundary}" for boundary in self.boundaries)]
        return "\n".join(lines)


def split(workbench: Workbench, names: tuple[str, ...]) -> Split:
    """Cut `workbench` behind the nodes `names`; see :meth:`qworkbench.Workbench.split`."""
    if not names:
        raise EditError("name the node behind which the second stage begins: wb.split('layer2')")
    if workbench.statistics is None:
        raise CalibrationError("a boundary needs a scale; calibrate first: %qwb calibrate DATA, wb.calibrate(data)")
    graph, placement = workbench.graph, workbench.placement
    parts = cut(graph, names)
    _check_units(placement, parts)
    wanted = _wanted(workbench)
    for value in parts.crossing:
        _check_scale(workbench, value)
    sample = feeds_of(workbench.graph, workbench.sample)
    first, config = _stage(parts.first, workbench, wanted)
    one = type(workbench)._of_stages(first, config, workbench.model, {v: sample[v] for v in parts.first.inputs})
    outputs = one.run().outputs
    made = dict(zip(parts.first.outputs, outputs.values(), strict=True))
    second, config = _stage(parts.second, workbench, wanted)
    example = {v: torch.from_numpy(np.array(made[v])) if v in made else sample[v] for v in parts.second.inputs}
    two = type(workbench)._of_stages(second, config, workbench.model, example)
    boundaries = tuple(_boundary(workbench, value) for value in parts.crossing)
    return Split(one, two, boundaries, graph)


def _check_units(placement: Placement, parts: Cut) -> None:
    """Refuse a cut inside a fused unit, whose inner value never leaves the BPU."""
    late = set(parts.second.nodes.names())
    for unit in placement.units:
        inside = [name for name in unit.members if name in late]
        if inside and len(inside) < len(unit.members):
            raise EditError(
                f"the cut goes through {' + '.join(unit.members)}, which are one operation on the "
                f"{placement[unit.anchor].on}; cut behind {unit.tail!r} instead"
            )


def _check_scale(workbench: Workbench, value: str) -> None:
    group = workbench.placement.group(value)
    plan = workbench._stages.plan(workbench.config)
    canonical = workbench.placement.canonical.get(value, value)
    for key, quantity in plan.quantities.items():
        if group is not None and key == f"{canonical}@{quantity.dtype}" and quantity.per_channel:
            raise EditError(
                f"{value!r} has one scale per channel, and a boundary has one scale; fix it first "
                f"(%qwb scale {value} S), or calibrate with one threshold per tensor"
            )


def _scales(workbench: Workbench) -> dict[str, tuple[str, float]]:
    """Return dtype and scale of every canonical value that is codes with one scale in the whole."""
    plan = workbench._stages.plan(workbench.config)
    found: dict[str, tuple[str, float]] = {}
    for key, quantity in plan.quantities.items():
        value, mark, dtype = key.rpartition("@")
        if mark and dtype in ("int8", "int16") and value in workbench.graph.values and not quantity.per_channel:
            found[value] = (dtype, float(quantity.single))
    return found


def _wanted(workbench: Workbench) -> dict[str, Decided]:
    """Return what every value of the whole carries."""
    graph, placement, scales = workbench.graph, workbench.placement, _scales(workbench)
    found: dict[str, Decided] = dict.fromkeys(graph.inputs, FLOAT)
    for value in graph.values:
        if not graph.is_activation(value):
            continue
        producer = graph.producer(placement.canonical[value])
        on = "CPU" if producer is None else placement[producer.name].on
        weight = "" if producer is None else placement[placement.unit_of(producer.name).anchor].weight_dtype
        wide = "int16" if weight == "int16" else None
        if placement.canonical[value] in scales:
            dtype, scale = scales[placement.canonical[value]]
            found[value] = Decided(dtype, scale, on == "BPU", weight_dtype=wide)
        elif producer is not None and on == "BPU":
            found[value] = Decided(placement[producer.name].dtype, None, True, weight_dtype=wide)
        else:
            found[value] = FLOAT
    return found


def _stage(graph: Graph, workbench: Workbench, wanted: Mapping[str, Decided]) -> tuple[Stages, Config]:
    """Return the stages of one part, with the thresholds of the whole, and its configuration."""
    placement, whole = workbench.placement, workbench.config
    integer = frozenset(name for name in graph.nodes.names() if placement[name].on == "BPU")
    made = {v for unit in placement.units for v in workbench.graph.nodes[unit.tail].outputs}
    kept = frozenset(v for v in made if v in graph.values and wanted[v].scale is not None)
    by = graph.training.by if graph.training.integer else "the whole model"
    training = Training(kept, graph.training.weight_scales, integer, by)
    graph = replace(graph, training=training)
    own, values = set(graph.nodes.names()), {*graph.nodes.names(), *graph.inputs}
    start = replace(
        whole,
        unit_convs=(),
        on={n: w for n, w in whole.on.items() if n in own},
        dtypes={n: w for n, w in whole.dtypes.items() if n in own},
        scales={n: s for n, s in whole.scales.items() if n in own},
        methods={n: m for n, m in whole.methods.items() if n in values},
    )
    config, _ = decided_config(graph, {v: wanted[v] for v in graph.values if v in wanted}, start)
    stages = Stages(graph)
    stages.statistics = workbench.statistics
    return stages, config


def _boundary(workbench: Workbench, value: str) -> Boundary:
    dtype, scale = _scales(workbench).get(workbench.placement.canonical.get(value, value), ("float32", None))
    return Boundary(value, workbench.graph.shape(value), dtype, scale)
