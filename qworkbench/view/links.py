"""The edges between the boxes of a view: tensors merged per pair of boxes, with what happens to the numbers on them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from qworkbench.graph.ir import Graph
from qworkbench.view.boxes import input_id, output_id

_BYTES = {"int8": 1, "int16": 2}
_SEVERITY = {None: 0, "requantize": 1, "quantize": 2, "dequantize": 3}


@dataclass(frozen=True, slots=True)
class Link:
    """All tensors that go from one box to another; `boundary` is the heaviest thing that happens to one of them."""

    source: str
    target: str
    values: tuple[str, ...]
    boundary: str | None
    elements: int
    cost: int = 0
    """Bytes that its Quantize, Dequantize or Requantize ops read and write."""

    @property
    def text(self) -> str:
        """Name of the tensor, or of the first two and how many more."""
        more = len(self.values) - 2
        return ", ".join(self.values[:2]) + (f" and {more} more" if more > 0 else "")


class _Boundaries:
    """Boundaries by (value, reader), through aliases and fused units; model outputs read as ""."""

    def __init__(self, graph: Graph, placement: Any) -> None:
        self._canonical: Mapping[str, str] = getattr(placement, "canonical", {})
        self._placement = placement
        units = {placement[node.name].unit for node in graph.nodes}
        self._found: dict[tuple[str, str], Any] = {}
        for boundary in placement.boundaries:
            if boundary.target in graph.nodes or boundary.target in units:
                self._found[boundary.value, boundary.target] = boundary
            if boundary.target in graph.output_names:
                self._found[boundary.value, ""] = boundary

    def at(self, value: str, reader: str) -> Any:
        """Return the boundary of `value` on its way into node `reader` ("" for a model output), or None."""
        readers = (reader, self._placement[reader].unit) if reader else ("",)
        for name in (value, self._canonical.get(value, value)):
            for target in readers:
                if (name, target) in self._found:
                    return self._found[name, target]
        return None


def _tensors(graph: Graph, boxes: Mapping[str, str]) -> Iterator[tuple[str, str, str, str]]:
    """Yield (source box, target box, value, reading node or "") for every tensor between two boxes."""

    def origin(value: str) -> str | None:
        producer = graph.producer(value)
        if producer is not None:
            return boxes[producer.name]
        return input_id(value) if graph.values[value].kind == "input" else None

    for node in graph.nodes:
        for value in graph.data_inputs(node):
            source = origin(value)
            if source is not None and source != boxes[node.name]:
                yield source, boxes[node.name], value, node.name
    for value, name in zip(graph.outputs, graph.output_names, strict=True):
        source = origin(value)
        if source is not None:
            yield source, output_id(name), value, ""


def link_boxes(graph: Graph, placement: Any, boxes: Mapping[str, str]) -> list[Link]:
    """Return the links between boxes in graph order.

    Parameters
    ----------
    graph : Graph
    placement : Placement
        Its ``boundaries`` mark links; ``canonical`` (where present) resolves aliases.
    boxes : Mapping of node name to box id
    """
    boundaries = _Boundaries(graph, placement)
    found: dict[tuple[str, str], dict[str, tuple[str | None, int, int]]] = {}
    for source, target, value, reader in _tensors(graph, boxes):
        boundary = boundaries.at(value, reader)
        kind = None if boundary is None else boundary.kind
        elements = math.prod(graph.shape(value)) if boundary is None else int(boundary.elements)
        values = found.setdefault((source, target), {})
        if value not in values or _SEVERITY[kind] > _SEVERITY[values[value][0]]:
            values[value] = (kind, elements, _cost(placement, kind, value, elements))
    return [
        Link(
            source,
            target,
            tuple(values),
            max((kind for kind, _, _ in values.values()), key=_SEVERITY.__getitem__),
            sum(elements for _, elements, _ in values.values()),
            sum(cost for _, _, cost in values.values()),
        )
        for (source, target), values in found.items()
    ]


def _cost(placement: Any, kind: str | None, value: str, elements: int) -> int:
    """Return the bytes of one boundary: codes on the BPU's side, float32 or other codes on the other."""
    if kind is None:
        return 0
    group = placement.group(value) if hasattr(placement, "group") else None
    codes = 1 if group is None else _BYTES.get(group.dtype, 4)
    return elements * (2 * codes if kind == "requantize" else codes + 4)
