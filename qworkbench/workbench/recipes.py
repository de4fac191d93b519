"""The guide's tuning pipelines as one call: from high precision down to the cheapest configuration that is good enough.

J6E / J6M: all int16, and if that is good all int8, then int8 with a growing share of int16. If all int16 is not good
enough, a few ops go to float16 first. J6P: matrix ops read int16 on both sides, everything else is float16; then matrix
ops in int8 with a growing share of int16. Source: quantization accuracy tuning guide, "Tuning Pipeline".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from qworkbench.errors import AnalysisError, unknown_name
from qworkbench.graph.vocabulary import family
from qworkbench.march import get_march
from qworkbench.workbench.debugging import sensitivity_of
from qworkbench.workbench.edits import Edit, SetDtype, SetMarch
from qworkbench.workbench.pipeline import Pipeline, Recipe

if TYPE_CHECKING:
    import torch

    from qworkbench.analysis.sensitivity_memo import SensitivityMemo
    from qworkbench.workbench.config import Config
    from qworkbench.workbench.stages import Stages

RECIPES: Mapping[str, str] = {"j6e": "nash-e", "j6m": "nash-m", "j6p": "nash-p"}


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
