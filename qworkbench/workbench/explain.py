"""Why a node runs where it runs, for people: as text, and as HTML in a notebook."""

from __future__ import annotations

import html
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from qworkbench.graph.ir import Graph
from qworkbench.placement.types import NodePlacement, Placement


@dataclass(frozen=True)
class Explanation:
    """The reason of one node, printable.

    Attributes
    ----------
    node : NodePlacement
    op : str
    source : str
        The user's file and line, or the source operator.
    thresholds : tuple of str
        How far the codes of its output and weight reach, and who decided so; empty before calibration.
    """

    node: NodePlacement
    op: str
    source: str
    thresholds: tuple[str, ...] = ()

    def _parts(self) -> list[tuple[str, list[str]]]:
        reason = self.node.reason
        parts = [("rule", [reason.rule])]
        if reason.facts:
            parts.append(("facts", [fact.text for fact in reason.facts]))
        if self.thresholds:
            parts.append(("thresholds", list(self.thresholds)))
        if self.node.notes:
            parts.append(("requests", list(self.node.notes)))
        if reason.ways:
            parts.append(("ways to change it", [_way(way.text, way.edits) for way in reason.ways]))
        return parts

    def __str__(self) -> str:
        head = f"{self.node.name} ({self.op}, {self.node.quant_class}) runs on {_where(self.node)}"
        lines = [head, f"  {self.node.reason.sentence}"]
        for title, texts in self._parts():
            lines.append(f"  {title}:")
            lines += [f"    - {text}" for text in texts]
        if self.source:
            lines.append(f"  source: {self.source}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        esc = html.escape
        rows = "".join(
            f"<dt>{esc(title)}</dt><dd><ul>{''.join(f'<li>{esc(t)}</li>' for t in texts)}</ul></dd>"
            for title, texts in self._parts()
        )
        source = f"<dt>source</dt><dd>{esc(self.source)}</dd>" if self.source else ""
        return (
            f"<div class='qwb-why'><p><b>{esc(self.node.name)}</b> ({esc(self.op)}, {esc(self.node.quant_class)}) "
            f"runs on <b>{esc(_where(self.node))}</b></p><p>{esc(self.node.reason.sentence)}</p>"
            f"<dl>{rows}{source}</dl></div>"
        )


def explain(graph: Graph, placement: Placement, name: str, thresholds: tuple[str, ...] = ()) -> Explanation:
    """Return the explanation of node `name`; `thresholds` are sentences about its scales."""
    node = graph.nodes[name]
    location = f"{node.location[0]}:{node.location[1]}" if node.location else ""
    source = ", ".join(part for part in (node.source_op, location) if part)
    return Explanation(placement[name], node.op, source, thresholds)


def word(name: str) -> str:
    """Return `name` as ``%qwb`` reads it: in quotes where it holds a space, a quote or a backslash."""
    plain = name and not any(c.isspace() or c in "\"'\\" for c in name)
    return name if plain else shlex.quote(name)


def _where(node: NodePlacement) -> str:
    if node.on == "BPU":
        return f"the BPU, subgraph {node.subgraph}, {node.input_dtype} -> {node.dtype}"
    return "the CPU, float32" if node.on == "CPU" else "neither: it is removed"


def _way(text: str, edits: tuple[object, ...]) -> str:
    commands = [_command(edit) for edit in edits if isinstance(edit, dict)]
    return f"{text}   [{'; '.join(commands)}]" if commands else text


def _command(edit: dict[str, str]) -> str:
    node = word(edit["node"])
    forms: dict[str, Callable[[], str]] = {
        "ClearScale": lambda: f"%qwb scale {node} --clear",
        "SetPlacement": lambda: f"%qwb {edit['on']} {node}",
        "SetDtype": lambda: f"%qwb dtype {node} {edit['output']}",
        "InsertUnitConv": lambda: f"%qwb unitconv {node} --{edit['where']}",
    }
    return forms[edit["kind"]]()
