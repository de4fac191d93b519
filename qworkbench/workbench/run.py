"""One run of a configuration: emulate, compare every node with the float reference, tabulate.

Distances are cached by the fingerprint of what was compared, so that after an edit only the nodes that it reaches are
measured again. Knows no history: what came "before" is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from qworkbench.analysis.metrics import Metrics, compare
from qworkbench.emulator.cache import ResultCache
from qworkbench.emulator.execute import execute
from qworkbench.emulator.kernels.values import Value
from qworkbench.emulator.plan import Plan
from qworkbench.errors import Cancelled
from qworkbench.graph.feeds import feeds_of, outputs_of
from qworkbench.graph.ir import Graph
from qworkbench.view.figures import Figures
from qworkbench.workbench.comparing import Comparing
from qworkbench.workbench.config import Config
from qworkbench.workbench.measured import Answered, Measured
from qworkbench.workbench.run_tables import RunTables
from qworkbench.workbench.stages import Compared, Stages

Progress = Callable[[str, int, int], None]
OUTPUT = b"output"
"""Takes the place of a scale where a model output is compared as the caller gets it."""


@dataclass(frozen=True, eq=False)
class Run:
    """What one run gave.

    Attributes
    ----------
    outputs : dict of str to numpy.ndarray
        Emulated model outputs by name.
    base : Graph
        The captured model.
    tables : RunTables
        What :attr:`table`, :attr:`layers` and :attr:`deltas` are made of when they are first read.
    computed : tuple of str
        Steps that were computed; the rest came from the cache.
    steps : int
        Steps of the whole plan.
    compared : int
        Nodes whose distance from float was measured, which is what progress counts; the rest is known from before.
    overflow : dict of str to int
        Units whose accumulator left the int32 range, with the number of elements.
    config : Config
    inputs : bytes
        Digest of the sample.
    metrics : Mapping of str to Metrics
        By node.
    calibrated : int
        Which calibration it ran with.
    sample : str
        What it ran on, in words: "the example", "the first calibration sample", "the given inputs (x: 4x3x8x8)".
    """

    outputs: dict[str, np.ndarray]
    base: Graph
    tables: RunTables
    computed: tuple[str, ...]
    steps: int
    overflow: dict[str, int]
    config: Config
    inputs: bytes = b""
    metrics: Mapping[str, Metrics] = field(default_factory=dict)
    calibrated: int = 0
    sample: str = "the example"
    compared: int = 0

    @cached_property
    def result(self) -> Any:
        """The outputs in the form that the model itself returns (tensors in a tuple, dict ...); None without any."""
        return _rebuilt(self.base, self.outputs) if self.outputs else None

    @property
    def table(self) -> pd.DataFrame:
        """One row per output: cosine, l1, mse, atol, sqnr, what they were before, and the differences."""
        return self.tables.outputs

    @property
    def layers(self) -> pd.DataFrame:
        """One row per node; see :func:`qworkbench.workbench.tables.layer_table`."""
        return self.tables.layers

    @property
    def deltas(self) -> pd.DataFrame:
        """The nodes whose distance changed most against the run before."""
        return self.tables.changes

    def __repr__(self) -> str:
        worst, _ = self.tables.worst
        count = f"{len(self.outputs)} output{'' if len(self.outputs) == 1 else 's'}"
        work = f"{len(self.computed)} of {self.steps} steps computed, {self.compared} nodes compared"
        return f"<Run: {count}, worst cosine {worst:.6f}, {work}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Print what the HTML form shows, for a terminal."""
        from qworkbench.view.tables import text_table

        parts = [repr(self)]
        if not cycle:
            parts += [f"{caption}:\n{text_table(figures)}" for caption, figures in self._shown()]
        printer.text("\n\n".join(parts))

    def _repr_html_(self) -> str:
        from qworkbench.view.tables import html_table

        return "".join(html_table(figures, caption=caption) for caption, figures in self._shown())

    def _shown(self) -> list[tuple[str, Figures]]:
        """Return the captioned tables of a cell: the outputs, and the nodes that moved where any did."""
        outputs, changes = self.tables.output_figures, self.tables.change_figures
        tables = [("Outputs against float", outputs)]
        return [*tables, ("Nodes that changed most", changes)] if len(changes) else tables


def run_config(
    stages: Stages,
    config: Config,
    sample: Any,
    cache: ResultCache,
    measured: Measured,
    *,
    words: str = "",
    before: Run | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Run:
    """Emulate `config` on `sample` and compare it with float; `words` tell the sample where its shapes do not.

    Raises
    ------
    CalibrationError
        No calibration yet, or a sample that does not fit the model's inputs.
    Cancelled
    """
    calibrated = stages.calibrated
    graph, placement, plan = stages.graph(config), stages.placement(config), stages.plan(config)
    feeds, arrays = measured.feeds(stages.base, sample)
    fed, inputs = measured.copies.prints(arrays)
    reference = measured.reference(stages.base, feeds, inputs)
    compared = stages.compared(config, plan)
    prints, found, left = measured.prints(plan, compared, arrays, fed, inputs)

    waiting: dict[str, list[Compared]] = {}
    total = 0
    for one in left:
        # equal codes may stand for other numbers: a table that saturates everywhere does not tell the scale behind it
        known = measured.metrics.get((inputs, prints[one.key], one.twin, one.scale))
        if known is not None:
            found[one.node] = known
        elif one.twin in reference:
            waiting.setdefault(one.key, []).append(one)
            total += 1
    at_outputs: dict[str, Metrics] = {}
    for name, value, key in zip(graph.output_names, stages.base.outputs, plan.outputs, strict=True):
        known = measured.metrics.get((inputs, prints[key], value, OUTPUT))
        if known is not None:
            at_outputs[name] = known
        elif value in reference:
            waiting.setdefault(key, []).append(Compared(name, key, value, None, OUTPUT, None))
    outputs: dict[str, np.ndarray] = {}
    done = 0

    def on_distance(one: Compared, metrics: Metrics) -> None:
        nonlocal done
        measured.put((inputs, prints[one.key], one.twin, one.scale), metrics)
        if one.scale is OUTPUT:
            at_outputs[one.node] = metrics
            return
        found[one.node] = metrics
        done += 1
        if progress is not None:
            progress(one.node, done, total)

    comparing = Comparing(waiting, reference, measured.compared.setdefault(inputs, {}), on_distance)

    def on_result(key: str, value: Value) -> None:
        if key in plan.outputs:
            outputs[key] = value.array
        comparing.take(key, value)

    wanted = set(waiting) | set(plan.outputs)
    execution = execute(plan, arrays, wanted, cache, prints=prints, on_result=on_result, cancelled=cancelled)
    comparing.finish()
    if cancelled():
        raise Cancelled("the run was cancelled; results are those of the last finished run")
    named = {name: outputs[key] for name, key in zip(graph.output_names, plan.outputs, strict=True)}
    # in their order; what does not follow from the inputs is as the model has it
    at_outputs = {name: at_outputs.get(name) or compare(named[name], named[name]) for name in graph.output_names}
    measured.answered[inputs] = Answered(plan, prints, compared, found)
    same = before if before is not None and before.inputs == inputs else None
    return Run(
        outputs=named,
        base=stages.base,
        tables=RunTables(
            graph,
            placement,
            plan.quantities,
            plan.results,
            at_outputs,
            found,
            None if same is None else same.tables.at_outputs,
            None if same is None else same.metrics,
        ),
        computed=execution.computed,
        steps=len(plan.steps),
        overflow=execution.overflow,
        config=config,
        inputs=inputs,
        metrics=found,
        calibrated=calibrated,
        sample=words or _given(arrays),
        compared=done,
    )


def _given(arrays: Mapping[str, np.ndarray]) -> str:
    shapes = [f"{name}: {'x'.join(map(str, array.shape))}" for name, array in arrays.items()]
    return f"the given inputs ({', '.join(shapes)})"


def _rebuilt(base: Graph, named: Mapping[str, np.ndarray]) -> Any:
    import torch

    env = {
        value: torch.from_numpy(np.array(named[name]))
        for name, value in zip(base.output_names, base.outputs, strict=True)
    }
    return outputs_of(base, env)


def emulate_config(stages: Stages, config: Config, sample: Any, cache: ResultCache) -> Any:
    """Return only the emulated outputs of `config` on `sample`, in the model's own form; nothing is compared."""
    return emulate_plan(stages.base, stages.plan(config), sample, cache)


def emulate_plan(base: Graph, plan: Plan, sample: Any, cache: ResultCache) -> Any:
    """Return the outputs of `plan`, made for the captured graph `base`, on `sample` in the model's own form."""
    arrays = {name: tensor.numpy() for name, tensor in feeds_of(base, sample).items()}
    execution = execute(plan, arrays, set(plan.outputs), cache)
    named = {n: execution.arrays[key] for n, key in zip(base.output_names, plan.outputs, strict=True)}
    return _rebuilt(base, named)
