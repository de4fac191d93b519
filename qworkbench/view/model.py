"""The view model: a workbench's graph, placement and last run as JSON-able data with coordinates.

The one description that the SVG, the PNG, the report, the widget and the JupyterLab renderer all draw. It reads the
workbench and changes nothing; it knows no colours.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol

from qworkbench.graph.ir import Graph
from qworkbench.view.boxes import PILE, box_size, detail_text, module_box, name_apart, node_box, terminal_box
from qworkbench.view.colouring import Shading, cosine_text, known_colouring
from qworkbench.view.frames import module_frames
from qworkbench.view.layout import layout
from qworkbench.view.links import Link, link_boxes
from qworkbench.view.modules import boxes_of, module_counts, resolve_collapsed

SCHEMA = 1
MARGIN = 20.0


class Viewed(Protocol):
    """What is read of a workbench."""

    @property
    def graph(self) -> Graph:
        """The model as it is after the edits."""

    @property
    def placement(self) -> Any:
        """Looked up by node name; has ``boundaries``, and ``canonical`` for aliases."""

    @property
    def last_run(self) -> Any:
        """None, or an object whose ``metrics`` map node names to distances with ``cosine`` and ``l1``."""

    @property
    def march(self) -> str:
        """Name of the BPU."""

    @property
    def title(self) -> str:
        """What the user calls the model."""

    def edited_nodes(self) -> frozenset[str]:
        """Return the nodes that an edit names."""


def layer_metrics(last_run: Any) -> dict[str, tuple[float | None, float | None]]:
    """Return (cosine, L1) per node name; None where a figure is missing or NaN."""
    if last_run is None:
        return {}

    def figure(value: float) -> float | None:
        return None if math.isnan(value) else float(value)

    return {name: (figure(found.cosine), figure(found.l1)) for name, found in last_run.metrics.items()}


def sentence(
    graph: Graph, placement: Any, metrics: Mapping[str, tuple[float | None, float | None]] | None = None
) -> str:
    """Return the whole picture in one sentence: counts, subgraphs, and the worst cosine where a run exists."""
    places = [placement[node.name] for node in graph.nodes]
    count = {on: sum(place.on == on for place in places) for on in ("BPU", "CPU", "NONE")}
    subgraphs = len({place.subgraph for place in places if place.subgraph is not None})
    text = f"{graph.name}: {len(places)} nodes, {count['BPU']} on BPU, {count['CPU']} on CPU"
    if count["NONE"]:
        text += f", {count['NONE']} removed"
    text += f", {subgraphs} subgraph{'' if subgraphs == 1 else 's'}"
    worst = [(cosine, name) for name, (cosine, _) in (metrics or {}).items() if cosine is not None]
    if worst:
        cosine, name = min(worst, key=lambda pair: pair[0])
        text += f"; worst cosine {cosine_text({'cosine': cosine})} at {name}"
    return text


def build_view(
    workbench: Viewed, *, collapsed: Collection[str] | None = None, color_by: str = "placement"
) -> dict[str, Any]:
    """Describe the graph of `workbench` with coordinates.

    Parameters
    ----------
    workbench : Viewed
    collapsed : collection of module paths, optional
        Modules drawn as one box. None folds nothing up to about 300 nodes and, above, the deepest module level that
        brings the picture below that; "overview" folds the outer modules. A module that cannot be one box without a
        cycle is opened one level.
    color_by : str
        One of :data:`qworkbench.view.colouring.COLOURINGS`.

    Returns
    -------
    dict
        Plain JSON data: ``schema``, ``title``, ``sentence``, ``color_by``, ``width``, ``height``, ``direction``,
        ``nodes``, ``edges``, ``frames``, ``collapsed``, ``modules``. Coordinates are pixels; ``x``, ``y`` of boxes and
        frames are centres.

    Raises
    ------
    UnknownNameError
        For an unknown module path or `color_by`.
    """
    known_colouring(color_by)
    graph, placement = workbench.graph, workbench.placement
    metrics = layer_metrics(workbench.last_run)
    edited = workbench.edited_nodes()
    modules = module_counts(graph)
    folded = resolve_collapsed(graph, collapsed, modules)
    boxes = boxes_of(graph, folded)

    inside: dict[str, list[str]] = {}
    for name, box in boxes.items():
        inside.setdefault(box, []).append(name)
    members = Counter(placement[node.name].unit for node in graph.nodes)
    nodes = [terminal_box("input", graph, value, value) for value in graph.inputs]
    for box, names in inside.items():
        if box in folded:
            nodes.append(module_box(box, names, graph, placement, metrics, edited))
        else:
            place = placement[box]
            fused = members[place.unit] > 1
            nodes.append(node_box(graph.nodes[box], place, metrics.get(box), edited=box in edited, fused=fused))
    for value, name in zip(graph.outputs, graph.output_names, strict=True):
        nodes.append(terminal_box("output", graph, value, name))

    name_apart(nodes)
    effects = node_effects(workbench)
    for node in nodes:
        node["sensitivity"] = max(
            (effects[name] for name in inside.get(node["id"], ()) if name in effects), default=None
        )
    links = link_boxes(graph, placement, boxes)
    shading = Shading(nodes, [_ends(link) for link in links], color_by)
    for node in nodes:
        node["w"], node["h"] = box_size(node, shading.word(node) or detail_text(node), shading.score(node))
    # the sheets below a folded module take room, so that what leaves it is not covered
    sheets = {node["id"]: PILE if node["kind"] == "module" else 0.0 for node in nodes}
    drawn = layout(
        [(node["id"], node["w"], node["h"] + sheets[node["id"]]) for node in nodes],
        [(link.source, link.target) for link in links],
        margin=MARGIN,
    )
    for node in nodes:
        x, y = drawn.positions[node["id"]]
        node["x"], node["y"] = x, y - sheets[node["id"]] / 2
    title = workbench.title if workbench.march in workbench.title else f"{workbench.title} on {workbench.march}"
    return {
        "schema": SCHEMA,
        "title": title,
        "sentence": sentence(graph, placement, metrics),
        "color_by": color_by,
        "width": drawn.width,
        "height": drawn.height,
        "direction": "TB",
        "nodes": nodes,
        "edges": [_edge(link, points) for link, points in zip(links, drawn.edges, strict=True)],
        "frames": module_frames(nodes),
        "collapsed": sorted(folded),
        "modules": list(modules),
    }


def node_effects(workbench: Any) -> dict[str, float]:
    """Return the largest effect per node of the newest sensitivity table; nothing before there is one."""
    finding = getattr(workbench, "findings", {}).get("sensitivity")
    if finding is None:
        return {}
    from qworkbench.analysis.sensitivity_table import effects_of

    return effects_of(finding.result)


def _ends(link: Link) -> dict[str, Any]:
    return {"source": link.source, "target": link.target, "boundary": link.boundary, "cost": link.cost}


def _edge(link: Link, points: Iterable[tuple[float, float]]) -> dict[str, Any]:
    return {
        "source": link.source,
        "target": link.target,
        "value": link.text,
        "points": [[x, y] for x, y in points],
        "boundary": link.boundary,
        "elements": link.elements,
        "cost": link.cost,
    }
