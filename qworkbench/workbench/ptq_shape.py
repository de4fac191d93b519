"""``input_name`` and ``input_shape`` of a PTQ configuration: read as the first dimension of a workbench, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qworkbench.graph.batching import input_shapes, is_dynamic
from qworkbench.toolchain.ptq_rules import entries
from qworkbench.workbench.edits import Edit, SetBatch

if TYPE_CHECKING:
    from qworkbench.graph.ir import Graph
    from qworkbench.toolchain.ptq_yaml import PtqYaml
    from qworkbench.workbench.config import Config


def shape_edits(document: PtqYaml, config: Config, graph: Graph, remarks: list[str]) -> list[Edit]:
    """Return the edit that takes the first dimension of ``input_shape``; a shape of another model goes to `remarks`."""
    said, own = _said(document, graph), input_shapes(graph, config.batching)
    for name, text in said.items():
        if name in own and text.split("x")[1:] != _text(own[name]).split("x")[1:]:
            remarks.append(f"input_parameters.input_shape {text} of {name!r}: the model takes {_text(own[name])}")
            return []
    firsts = {text.split("x")[0] for name, text in said.items() if name in own}
    first = firsts.pop() if len(firsts) == 1 else ""
    if not first.isdecimal() or not is_dynamic(graph) or int(first) == max(config.batching.first, 1):
        return []
    return [SetBatch(first=int(first))]


def shape_keys(config: Config, graph: Graph, base: PtqYaml) -> dict[str, Any]:
    """Return ``input_name`` and ``input_shape`` of the model where `base` says another one or lacks what it needs."""
    own = input_shapes(graph, config.batching)
    names = entries(base.get("input_name"))
    found: dict[str, Any] = {}
    if names and sorted(names) != sorted(own):
        found["input_name"], names = ";".join(own), list(own)
    shapes = ";".join(_text(own[name]) for name in names or own)
    said = ";".join(text.lower() for text in entries(base.get("input_shape")))
    if said != shapes and (said or config.batching.first > 1):
        found["input_shape"] = shapes
    return found


def _said(document: PtqYaml, graph: Graph) -> Mapping[str, str]:
    names = entries(document.get("input_name")) or list(graph.inputs)
    return dict(zip(names, (text.lower() for text in entries(document.get("input_shape"))), strict=False))


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
