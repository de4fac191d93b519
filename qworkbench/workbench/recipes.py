"""The guide's tuning pipelines as one call: from high precision down to the cheapest configuration that is good enough.

J6E / J6M: all int16, and if that is good all int8, then int8 with a growing share of int16. If all int16 is not good
enough, a few ops go to float16 first. J6P: matrix ops read int16 on both sides, everything else is float16; then matrix
ops in int8 with a growing share of int16. Source: quantization accuracy tuning guide, "Tuning Pipeline".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from qworkbench.analysis.mixed import Op
from qworkbench.analysis.mixed_result import MixedPrecision
from qworkbench.errors import AnalysisError, Cancelled, unknown_name
from qworkbench.graph.vocabulary import family
from qworkbench.march import get_march
from qworkbench.workbench.debugging import sensitivity_of
from qworkbench.workbench.edits import Edit, SetDtype, SetMarch
from qworkbench.workbench.mixing import applied, mixed_of
from qworkbench.workbench.trials import Trials, cost_of, tensors_in

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure

    from qworkbench.analysis.sensitivity_memo import SensitivityMemo
    from qworkbench.workbench.config import Config
    from qworkbench.workbench.stages import Stages

RECIPES: Mapping[str, str] = {"j6e": "nash-e", "j6m": "nash-m", "j6p": "nash-p"}
COLUMNS = ("stage", "top_k", "int16", "float16")


@dataclass(frozen=True, eq=False)
class Recipe:
    """What a pipeline found.

    Attributes
    ----------
    name, march, metric : str
    target : float
    trials : pandas.DataFrame
        Every configuration in the order of the pipeline: stage, top_k, int16, float16 (tensors in effect), the metric,
        cost (1 is all int8), meets.
    edits : tuple of Edit
        From the workbench as it was to the cheapest configuration that meets the target, or the best that was tried.
    reached : bool
    notes : tuple of str
        What the pipeline decided, and what the march cannot do.
    """

    name: str
    march: str
    metric: str
    target: float
    trials: pd.DataFrame
    edits: tuple[Edit, ...]
    reached: bool
    notes: tuple[str, ...]

    def figure(self) -> Figure:
        """Return accuracy over relative cost of every trial, with the target."""
        from qworkbench.analysis.plots import cost_figure

        return cost_figure(self.trials, self.metric, self.target)

    def __repr__(self) -> str:
        found = "reached" if self.reached else "not reached"
        return (
            f"<Recipe {self.name} on {self.march}: {self.metric} {self.target:g} {found}, {len(self.trials)} trials, "
            f"{len(self.edits)} edits>"
        )

    def __str__(self) -> str:
        return "\n".join([repr(self).strip("<>"), *self.notes, "", self.trials.to_string(index=False)])

    def _repr_html_(self) -> str:
        from html import escape

        return f"<p>{'<br>'.join(escape(t) for t in (repr(self).strip('<>'), *self.notes))}</p>{self.trials.to_html()}"


class Pipeline:
    """The steps that pipelines share: measure a configuration, rank on it, search on it.

    Parameters
    ----------
    stages, config
        Of the workbench; `config` is where the edits start.
    feeds : Mapping of str to Tensor
    target : float
    memo : SensitivityMemo
    progress, cancelled, on_rows : callable
    **options
        See :class:`qworkbench.workbench.trials.Trials`.
    """

    def __init__(
        self,
        stages: Stages,
        config: Config,
        feeds: dict[str, torch.Tensor],
        target: float,
        memo: SensitivityMemo,
        progress: Callable[[str, int, int], None] | None,
        cancelled: Callable[[], bool],
        options: Mapping[str, Any],
        on_rows: Callable[[pd.DataFrame], None] | None = None,
    ) -> None:
        self.stages, self.feeds, self.target, self.memo = stages, feeds, target, memo
        self.trials = Trials(stages, config, feeds, **options)
        self.options, self.progress, self.cancelled, self.on_rows = options, progress, cancelled, on_rows
        self.rows: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self.best: tuple[float, tuple[Edit, ...]] | None = None
        self.graph = stages.graph(config)
        self.start = config

    def config(self, edits: Sequence[Edit]) -> Config:
        """Return the configuration after `edits`."""
        return applied(self.start, edits)

    def measure(self, stage: str, edits: tuple[Edit, ...]) -> bool:
        """Try `edits`, note the trial, and tell whether it meets the target."""
        if self.cancelled():
            raise Cancelled("the recipe was cancelled")
        config = self.config(edits)
        return self._note(stage, "", self.trials.value(config), config, edits)

    def search(
        self, stage: str, base: tuple[Edit, ...], ops: Callable[[Op], bool], dtype: str
    ) -> tuple[Edit, ...] | None:
        """Return `base` with the fewest ops raised to `dtype` that meet the target, None where all of them miss it."""
        config = self.config(base)
        table = sensitivity_of(self.stages, config, self.feeds, self.memo, cancelled=self.cancelled)
        pairs = zip(table["op_name"].astype(str), table["sensitive_type"].astype(str), strict=True)
        table = table[[ops(pair) for pair in pairs]]
        if table.empty:
            self.notes.append(f"{stage}: no op is left to raise to {dtype}")
            return None
        kinds = tuple(dict.fromkeys(table["sensitive_type"]))
        found: MixedPrecision = mixed_of(
            self.stages, config, self.feeds, table, self.target, kinds=kinds, dtype=dtype,
            cancelled=self.cancelled, **self.options,
        )  # fmt: skip
        for row in found.trials.to_dict("records"):
            self._row(stage, row["top_k"], row[found.metric], row["cost"], row[dtype], dtype, bool(row["meets"]))
        for outcome in found.outcomes.values():
            self._keep(outcome.value, (*base, *outcome.edits))
        return None if found.chosen is None else (*base, *found.edits)

    def _note(self, stage: str, top: Any, value: float, config: Config, edits: tuple[Edit, ...]) -> bool:
        meets = self.trials.meets(value, self.target)
        self._row(
            stage, top, value, cost_of(self.stages, config), tensors_in(self.stages, config, "int16"), "int16", meets
        )
        self.rows[-1]["float16"] = tensors_in(self.stages, config, "float16")
        self._keep(value, edits)
        return meets

    def _row(self, stage: str, top: Any, value: float, cost: float, raised: int, dtype: str, meets: bool) -> None:
        row = {"stage": stage, "top_k": top, "int16": "", "float16": "", self.trials.name: value, "cost": cost}
        self.rows.append({**row, dtype: raised, "meets": meets})
        if self.progress is not None:
            self.progress(f"{stage}: {value:.6g}", len(self.rows), 0)
        if self.on_rows is not None:
            self.on_rows(pd.DataFrame(self.rows))

    def _keep(self, value: float, edits: tuple[Edit, ...]) -> None:
        sign = -1.0 if self.trials.larger_is_worse else 1.0
        if self.best is None or sign * value > sign * self.best[0]:
            self.best = value, edits


def run_recipe(
    stages: Stages,
    config: Config,
    feeds: dict[str, torch.Tensor],
    name: str,
    target: float,
    memo: SensitivityMemo,
    *,
    progress: Callable[[str, int, int], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    on_rows: Callable[[pd.DataFrame], None] | None = None,
    **options: Any,
) -> Recipe:
    """Run one of :data:`RECIPES` from `config`; its dtype wishes are replaced.

    Raises
    ------
    UnknownNameError
    AnalysisError
        When nothing runs on the BPU.
    Cancelled
    """
    key = str(name).lower()
    if key not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    march = get_march(RECIPES[key])
    auto = dict.fromkeys(("output", "input", "weight"), "auto")
    clean = tuple(SetDtype(node, **auto) for node in config.dtypes)
    base: tuple[Edit, ...] = (*((SetMarch(march.name),) if config.march != march.name else ()), *clean)
    line = Pipeline(stages, config, feeds, target, memo, progress, cancelled, options, on_rows)
    run = _gemm_and_half if march.parameter("float16") == "default" else _int8_int16_half
    if not march.parameter("dual_int16"):
        line.notes.append(f"dual int16 is not available on {march.name}: activations are raised, weights stay int8")
    chosen = run(line, base)
    if chosen is None:
        assert line.best is not None
        line.notes.append("the target was not reached; the edits are those of the best trial")
    edits = chosen if chosen is not None else line.best[1]  # type: ignore[index]
    return Recipe(
        key, march.name, line.trials.name, target, pd.DataFrame(line.rows), edits, chosen is not None, tuple(line.notes)
    )


def _on_bpu(line: Pipeline, base: Sequence[Edit]) -> list[str]:
    placement = line.stages.placement(line.config(base))
    found = [unit.name for unit in placement.units if placement[unit.anchor].on == "BPU"]
    if not found:
        raise AnalysisError("no op runs on the BPU, so there is no precision to choose; send some there first")
    return [name if name in line.graph.nodes else placement[name].name for name in found]


def _int8_int16_half(line: Pipeline, base: tuple[Edit, ...]) -> tuple[Edit, ...] | None:
    """J6E / J6M."""
    nodes = _on_bpu(line, base)
    inputs = [SetDtype(node.name, input="int16") for name in line.graph.inputs for node, _ in line.graph.users(name)]
    outputs = [SetDtype(name, "int16") for name in nodes]
    int16 = (*base, *_merged(inputs, outputs))
    half: tuple[Edit, ...] = ()
    if not line.measure("all int16", int16):
        line.notes.append("all int16 misses the target: the most sensitive ops go to float16")
        found = line.search("int16 / float16", int16, lambda op: op[1] == "activation", "float16")
        if found is None:
            _say_dual(line, int16)
            return None
        half = found[len(int16) :]
        raised = {edit.node for edit in half if isinstance(edit, SetDtype)}
        outputs = [edit for edit in outputs if edit.node not in raised]
    int8 = (*base, *half)
    if line.measure("all int8" if not half else "int8 / float16", int8):
        return int8
    stage = "int8 / int16" if not half else "int8 / int16 / float16"
    fixed = {edit.node for edit in half if isinstance(edit, SetDtype)}
    mixed = line.search(stage, int8, lambda op: op[1] == "activation" and op[0] not in fixed, "int16")
    # all int16 has met the target, so it stands where the ranking alone did not get there
    return mixed if mixed is not None else (*base, *_merged(inputs, outputs), *half)


def _merged(inputs: Sequence[SetDtype], outputs: Sequence[SetDtype]) -> tuple[SetDtype, ...]:
    return tuple(dict.fromkeys((*inputs, *outputs)))


def _say_dual(line: Pipeline, int16: tuple[Edit, ...]) -> None:
    table = sensitivity_of(line.stages, line.config(int16), line.feeds, line.memo)
    top = table.head(max(2, len(table) // 10))
    both = [str(n) for n, part in top.groupby("op_name", sort=False) if part["sensitive_type"].nunique() == 2]
    if both:
        line.notes.append(
            f"{both[0]!r} is sensitive in weight and activation, which would want int16 on both sides; make one of "
            "them friendlier to quantization in training (weight decay, normalisation)"
        )
    elif len(top):
        line.notes.append(
            f"{str(top['op_name'].iloc[0])!r} ({top['sensitive_type'].iloc[0]}) is the most sensitive in int16: look "
            "for a fixed scale or a wrong threshold there (compare)"
        )


def _gemm_and_half(line: Pipeline, base: tuple[Edit, ...]) -> tuple[Edit, ...] | None:
    """J6P."""
    nodes = set(_on_bpu(line, base))
    gemms = [
        node for node in line.graph.nodes if family(node.op) == "gemm" and node.name in nodes | _members(line, base)
    ]
    weighted = [n.name for n in gemms if not line.graph.is_activation(n.inputs[1])]
    dual = tuple(
        SetDtype(node.name, input="int16", weight="int16" if node.name in weighted else None) for node in gemms
    )
    if not line.measure("gemm int16 + other float16", (*base, *dual)):
        table = sensitivity_of(line.stages, line.config((*base, *dual)), line.feeds, line.memo)
        worst = f"{str(table['op_name'].iloc[0])!r}" if len(table) else "none"
        line.notes.append(
            f"matrix ops in int16 on both sides miss the target; the most sensitive is {worst}: fix its scale, keep "
            "coordinates in int16, scale ranges beyond float16, or leave the op in float32 on the CPU"
        )
        return None
    if line.measure("gemm int8 + other float16", base):
        return base
    names = {node.name for node in gemms}
    order = _ranking(line, base)
    ranked = [name for name in order if name in names] + [n for n in names if n not in order]
    by_name = {edit.node: edit for edit in dual}
    low, high = 0, len(ranked)
    while high - low > 1:
        middle = (low + high) // 2
        edits = (*base, *(by_name[name] for name in ranked[:middle]))
        good = line.measure("gemm int8 / int16 + other float16", edits)
        line.rows[-1]["top_k"] = middle
        low, high = (low, middle) if good else (middle, high)
    return (*base, *(by_name[name] for name in ranked[:high]))


def _members(line: Pipeline, base: Sequence[Edit]) -> set[str]:
    placement = line.stages.placement(line.config(base))
    return {name for unit in placement.units if placement[unit.anchor].on == "BPU" for name in unit.members}


def _ranking(line: Pipeline, base: Sequence[Edit]) -> list[str]:
    """Return the matrix ops, worst first: by their weight, or by the quantized value that they read."""
    table = sensitivity_of(line.stages, line.config(base), line.feeds, line.memo)
    placement = line.stages.placement(line.config(base))
    readers: dict[str, list[str]] = {}
    for unit in placement.units:
        for value in unit.inputs:
            maker = next((u for u in placement.units if value in u.outputs), None)
            readers.setdefault(value if maker is None else maker.name, []).append(unit.anchor)
    found: dict[str, None] = {}
    for name, kind in zip(table["op_name"].astype(str), table["sensitive_type"].astype(str), strict=True):
        found.update(dict.fromkeys([name] if kind == "weight" else readers.get(name, [])))
    return list(found)
