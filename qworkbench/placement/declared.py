"""Scales that the model itself declares: the quantizers of a QDQ or QLinear file.

A workbench takes them over as fixed scales of their stubs. They are weaker than what a user fixes: where several meet
in one scale group, which keeps one scale, the largest of those on tensors that active ops read rules (without such a
tensor, the largest of all), as calibrated thresholds do. A declared scale states a range; a group of another width
keeps the range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qworkbench.graph.ir import Graph
from qworkbench.numerics.stored import StoredScale, stored_scale


@dataclass(frozen=True, slots=True)
class Declared:
    """A declared scale: the stub, the canonical value that it is about, and what the file says."""

    stub: str
    value: str
    stored: StoredScale


def declared_scales(graph: Graph) -> dict[str, StoredScale]:
    """Return what the quantization stubs of `graph` declare, by stub name."""
    found = {n.name: stored_scale(n.attrs) for n in graph.nodes if n.op == "QuantizeLinear"}
    return {name: stored for name, stored in found.items() if stored is not None}


def still_declared(declared: Mapping[str, StoredScale], scales: Mapping[str, float]) -> dict[str, StoredScale]:
    """Return the `declared` scales that are in force in `scales`: neither cleared nor replaced by the user."""
    return {name: stored for name, stored in declared.items() if scales.get(name) == stored.symmetric(stored.width)}


def ruling(candidates: Sequence[Declared], readers: Sequence[str]) -> Declared:
    """Return which of the scales that meet in one group rules."""
    read = [c for c in candidates if c.value in readers]
    return max(read or candidates, key=lambda c: c.stored.symmetric("int8"))
