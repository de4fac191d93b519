"""Any step of the history as a state to look at, and what differs between two of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qworkbench.graph.ir import Graph
    from qworkbench.placement.types import NodePlacement, Placement
    from qworkbench.workbench.config import Config
    from qworkbench.workbench.run import Run


@dataclass(frozen=True)
class State:
    """One step of a workbench, read-only; drawn like a workbench.

    Attributes
    ----------
    text : str
        The step in words.
    last_run : Run or None
        What this state gave, if it was run with the thresholds of now.
    """

    title: str
    text: str
    march: str
    config: Config
    graph: Graph
    placement: Placement
    last_run: Run | None
    edited: frozenset[str]

    def edited_nodes(self) -> frozenset[str]:
        """Return the names that the user had changed."""
        return self.edited


def differing_nodes(before: State, after: State) -> dict[str, str]:
    """Return per node what differs between two states, in words; nodes that only moved in accuracy are left out."""
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys([*before.placement, *after.placement]):
        if name not in before.placement.nodes:
            found[name] = ["inserted"]
        elif name not in after.placement.nodes:
            found[name] = ["removed"]
        else:
            found[name] = _moved(before.placement[name], after.placement[name])
    for name in {*before.config.scales, *after.config.scales}:
        old, new = before.config.scales.get(name), after.config.scales.get(name)
        if old != new:
            found.setdefault(name, []).append(f"scale {_scale(old)} -> {_scale(new)}")
    for name in {*before.config.methods, *after.config.methods}:
        methods = before.config.methods.get(name), after.config.methods.get(name)
        if methods[0] != methods[1]:
            words = [method.describe() if method else "as all others" for method in methods]
            found.setdefault(name, []).append(f"calibration {words[0]} -> {words[1]}")
    return {name: "; ".join(texts) for name, texts in found.items() if texts}


def _moved(before: NodePlacement, after: NodePlacement) -> list[str]:
    if before.on != after.on:
        return [f"{before.on} {before.dtype} -> {after.on} {after.dtype}"]
    parts = (
        ("output", before.dtype, after.dtype),
        ("input", before.input_dtype, after.input_dtype),
        ("weight", before.weight_dtype, after.weight_dtype),
    )
    return [f"{part} {old} -> {new}" for part, old, new in parts if old != new]


def _scale(value: float | None) -> str:
    return "calibrated" if value is None else f"{value:.6g}"
