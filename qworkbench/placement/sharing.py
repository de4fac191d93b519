"""One scale for all calls of a module, as the training plugin has it, and the modules that are split.

The plugin inserts one quantization node per module, so a module that is called several times writes every result by
the same scale; the largest range decides. PTQ numbers every call as an op of its own and shares nothing. Source:
quantization accuracy tuning guide, "Shared Modules".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from qworkbench.errors import EditError
from qworkbench.graph.ir import Graph

if TYPE_CHECKING:
    from qworkbench.placement.context import Context
    from qworkbench.placement.types import ScaleGroup


def calls_of_modules(graph: Graph) -> dict[str, tuple[str, ...]]:
    """Map each module that is called several times to its nodes, one per call, in order."""
    found: dict[str, list[str]] = {}
    for node in graph.nodes:
        if node.module_path is not None and graph.call_counts.get(node.module_path, 1) > 1:
            found.setdefault(node.module_path, []).append(node.name)
    return {path: tuple(names) for path, names in found.items() if len(names) > 1}


def share_between_calls(context: Context, groups: list[ScaleGroup], draft_of: Mapping[str, int]) -> list[ScaleGroup]:
    """Return `groups` with the thresholds of all calls of a module joined.

    Raises
    ------
    EditError
        When two calls of one module have different fixed scales.
    """
    by_member = context.table.by_member
    joined = list(groups)
    for module, names in calls_of_modules(context.graph).items():
        if module in context.overrides.split:
            continue
        values = [by_member[name].outputs[0] for name in names if name in by_member]
        indices = list(dict.fromkeys(draft_of[value] for value in values if value in draft_of))
        if len(indices) < 2:
            continue
        # groups that shared before stay together, so that a scale travels through several shared modules
        members = [
            i for i, group in enumerate(joined) if any(_together(group, joined[index]) for index in indices)
        ] or indices
        fixed = {joined[i].fixed_scale: joined[i].fixed_by for i in members if joined[i].fixed_scale is not None}
        if len(fixed) > 1:
            texts = " and ".join(f"{scale:.6g} (at {name!r})" for scale, name in fixed.items())
            raise EditError(
                f"the calls of module {module!r} share one scale, but {texts} are fixed; clear one, or split the module"
            )
        thresholds = tuple(dict.fromkeys(value for i in members for value in joined[i].threshold_from))
        for i in members:
            if fixed:
                ((scale, by),) = fixed.items()
                joined[i] = replace(joined[i], threshold_from=(), fixed_scale=scale, fixed_by=by)
            else:
                joined[i] = replace(joined[i], threshold_from=thresholds)
    return joined


def _together(a: ScaleGroup, b: ScaleGroup) -> bool:
    return a is b or (bool(a.threshold_from) and a.threshold_from == b.threshold_from and a.dtype == b.dtype)
