"""The boxes of a view: an operator, a folded module, a model input or output; what they say and how large they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node
from qworkbench.view.frames import FEWEST
from qworkbench.view.palette import GLYPHS
from qworkbench.view.text import last_part, shorten, text_width

LABEL, DETAIL = 13.0, 11.0
"""Type sizes of the two lines of a box, in pixels."""
PADDING = 12.0
PILE = 6.0
"""How far the sheets below a folded module stand out at its right and at its foot."""
GLYPH = 24.0
"""Room for the letter of the quantization class."""
LONGEST = 30

Metrics = Mapping[str, tuple[float | None, float | None]]


def input_id(value: str) -> str:
    """Return the box id of a model input."""
    return f"input:{value}"


def output_id(name: str) -> str:
    """Return the box id of a model output."""
    return f"output:{name}"


def is_unit_conv(node: Node) -> bool:
    """Tell whether an edit put `node` into the graph."""
    return node.source_op == "inserted"


def shape_text(graph: Graph, value: str) -> str:
    """Return ``1×3×224×224``."""
    return "×".join(map(str, graph.shape(value))) or "scalar"


def _box(**fields: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {
        "id": "",
        "label": "",
        "op": "",
        "kind": "op",
        "on": "NONE",
        "x": 0.0,
        "y": 0.0,
        "w": 0.0,
        "h": 0.0,
        "quant_class": "none",
        "dtype": "",
        "subgraph": None,
        "group": "",
        "module": "",
        "edited": False,
        "inserted": False,
        "cosine": None,
        "l1": None,
        "sensitivity": None,
        "count": 1,
        "bpu_share": None,
        "reason": "",
    }
    return {**empty, **fields}


def terminal_box(kind: Literal["input", "output"], graph: Graph, value: str, name: str) -> dict[str, Any]:
    """Describe a model input or output."""
    entry = graph.values[value]
    shape = shape_text(graph, value)
    return _box(
        id=input_id(name) if kind == "input" else output_id(name),
        label=f"{shorten(name, LONGEST)}: {shape}",
        op=kind.capitalize(),
        kind=kind,
        dtype=entry.dtype,
        reason=f"model {kind} {name}, {shape}, {entry.dtype}",
    )


def node_box(
    node: Node, place: Any, metrics: tuple[float | None, float | None] | None, *, edited: bool, fused: bool
) -> dict[str, Any]:
    """Describe one operator; `fused` tells that it shares its unit with others."""
    cosine, l1 = metrics or (None, None)
    return _box(
        id=node.name,
        label=shorten(last_part(node.name, node.op), LONGEST),
        op=node.op,
        on=place.on,
        quant_class=place.quant_class if place.quant_class in GLYPHS else "none",
        dtype=place.dtype or "",
        subgraph=place.subgraph,
        group=place.unit if fused else "",
        module=node.scope,
        edited=edited,
        inserted=is_unit_conv(node),
        cosine=cosine,
        l1=l1,
        reason=place.reason.sentence,
    )


def name_apart(boxes: Sequence[dict[str, Any]]) -> None:
    """Put the module before the labels that several boxes share, where the module is too small to have a frame.

    ``conv``, ``bn``, ``act`` of twenty blocks of three become ``stem.conv``, ``stem.bn`` ...; in a frame, which says
    the module, the last part of the name is enough. Names of files become ``stem/conv/Conv``.
    """
    labels = Counter(box["label"] for box in boxes if box["kind"] == "op")
    around = Counter(box["module"] for box in boxes)
    for box in boxes:
        name, scope = box["id"], box["module"]
        if box["kind"] != "op" or not scope or labels[box["label"]] < 2 or around[scope] >= FEWEST:
            continue
        if "/" in name:
            box["label"] = shorten("/".join([part for part in name.split("/") if part][-3:]), LONGEST)
        elif name.startswith(f"{scope}."):
            box["label"] = shorten(f"{last_part(scope)}.{name.removeprefix(f'{scope}.')}", LONGEST)


def module_box(
    path: str, names: Sequence[str], graph: Graph, placement: Any, metrics: Metrics, edited: Collection[str]
) -> dict[str, Any]:
    """Describe a folded module: counts, share on the BPU, worst figures of what is inside."""
    places = [placement[name] for name in names]
    bpu = sum(place.on == "BPU" for place in places)
    cpu = [place.name for place in places if place.on == "CPU"]
    subgraphs = {place.subgraph for place in places if place.subgraph is not None}
    cosines = [c for c, _ in (metrics.get(name, (None, None)) for name in names) if c is not None]
    distances = [d for _, d in (metrics.get(name, (None, None)) for name in names) if d is not None]
    text = f"module {path}: {len(names)} nodes, {bpu} on BPU, {len(cpu)} on CPU"
    if cpu:
        text += f" ({', '.join(cpu[:3])}{' ...' if len(cpu) > 3 else ''})"
    placed = bpu + len(cpu)
    return _box(
        id=path,
        label=shorten(last_part(path), LONGEST),
        op="Module",
        kind="module",
        on="NONE" if not placed else "BPU" if 2 * bpu >= placed else "CPU",
        subgraph=subgraphs.pop() if len(subgraphs) == 1 else None,
        module=path.rpartition(".")[0],
        edited=any(name in edited for name in names),
        inserted=any(is_unit_conv(graph.nodes[name]) for name in names),
        cosine=min(cosines, default=None),
        l1=max(distances, default=None),
        count=len(names),
        bpu_share=bpu / placed if placed else None,
        reason=text,
    )


def detail_text(box: Mapping[str, Any]) -> str:
    """Return the second line of a box."""
    if box["kind"] == "module":
        share = box["bpu_share"]
        return f"{box['count']} nodes" + ("" if share is None else f" · {100 * share:.0f} % BPU")
    return f"{box['op']} · {box['dtype']}" if box["dtype"] else str(box["op"])


def box_size(box: Mapping[str, Any], detail: str, score: str) -> tuple[float, float]:
    """Return (width, height) that `box` needs for its texts, `detail` and `score` being those of its second line.

    In pixels; widths come in steps of 8.
    """
    if box["kind"] in ("input", "output"):
        return _step(text_width(box["label"], 12, bold=True) + 2 * 16), 30.0
    if box["kind"] == "op" and box["on"] == "NONE":
        return _step(text_width(box["label"], DETAIL) + 2 * 14), 26.0
    first = text_width(box["label"], LABEL, bold=True) + (GLYPH if GLYPHS[box["quant_class"]] else 0)
    second = text_width(detail, DETAIL)
    if score:
        second += 14 + text_width(score, DETAIL)
    return _step(max(first, second, 64) + 2 * PADDING), 56.0 if box["kind"] == "module" else 46.0


def _step(width: float) -> float:
    return 8.0 * -(-width // 8)
