"""Which modules a picture can fold into one box, which it should, and which box a node is then in.

Modules come from the nodes' scopes (``layer1.0`` for ``layer1.0.conv1``). A module whose nodes enclose foreign ones
cannot be one box without making a cycle; it is opened one level at a time until the picture is acyclic again. Knows
the graph's names and edges; nothing of placement or drawing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

import networkx as nx

from qworkbench.errors import unknown_name
from qworkbench.graph.ir import Graph

VISIBLE_LIMIT = 300
OVERVIEW = "overview"
"""Asks for the model as its outer modules, in place of a list of them."""
FEWEST_BOXES = 6


def ancestors(scope: str) -> list[str]:
    """Return the module paths that enclose `scope`, itself included, outermost first."""
    parts = scope.split(".") if scope else []
    return [".".join(parts[: depth + 1]) for depth in range(len(parts))]


def module_counts(graph: Graph) -> dict[str, int]:
    """Return the collapsible modules (two nodes or more inside) and how many nodes each holds, in graph order."""
    counts = Counter(path for node in graph.nodes for path in ancestors(node.scope))
    return {path: count for path, count in counts.items() if count > 1}


def boxes_of(graph: Graph, collapsed: Collection[str]) -> dict[str, str]:
    """Return per node the box that shows it: its outermost collapsed module, or itself."""
    folded = frozenset(collapsed)
    return {
        node.name: next((path for path in ancestors(node.scope) if path in folded), node.name) for node in graph.nodes
    }


def choose_collapsed(graph: Graph, modules: Iterable[str], limit: int = VISIBLE_LIMIT) -> frozenset[str]:
    """Return the modules to fold so that at most `limit` boxes show: the deepest level that is enough."""
    if len(graph.nodes) <= limit:
        return frozenset()
    levels: dict[int, set[str]] = {}
    for path in modules:
        levels.setdefault(path.count("."), set()).add(path)
    for depth in sorted(levels, reverse=True):
        if len(set(boxes_of(graph, levels[depth]).values())) <= limit:
            return frozenset(levels[depth])
    return frozenset(levels[min(levels)]) if levels else frozenset()


def overview(graph: Graph, modules: Iterable[str]) -> frozenset[str]:
    """Return the outermost modules to fold that still leave a picture of some boxes, not of one or two."""
    paths = list(modules)
    found: frozenset[str] = frozenset()
    for depth in sorted({path.count(".") for path in paths}):
        level = {path for path in paths if path.count(".") == depth}
        above = {p for p in paths if p.count(".") < depth and not any(m.startswith(f"{p}.") for m in level)}
        found = frozenset(level | above)
        if len(set(boxes_of(graph, found).values())) >= FEWEST_BOXES:
            break
    return found


def box_edges(graph: Graph, boxes: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the distinct (source box, target box) pairs between different boxes, in graph order."""
    pairs = ((boxes[source.name], boxes[node.name]) for node in graph.nodes for source in graph.predecessors(node))
    return list(dict.fromkeys(pair for pair in pairs if pair[0] != pair[1]))


def acyclic(graph: Graph, collapsed: Collection[str], modules: Mapping[str, int]) -> frozenset[str]:
    """Return `collapsed` with every module opened that would put a cycle into the picture."""
    folded = set(collapsed)
    while True:
        boxes = boxes_of(graph, folded)
        loops = [
            loop for loop in nx.strongly_connected_components(nx.DiGraph(box_edges(graph, boxes))) if len(loop) > 1
        ]
        if not loops:
            return frozenset(folded)
        for path in set().union(*loops) & folded:
            folded.discard(path)
            inner = path.count(".") + 1
            folded |= {m for m in modules if m.startswith(f"{path}.") and m.count(".") == inner}


def resolve_collapsed(graph: Graph, wanted: Collection[str] | None, modules: Mapping[str, int]) -> frozenset[str]:
    """Return the modules that are folded: `wanted`, its overview, or an automatic choice, made acyclic.

    Raises
    ------
    UnknownNameError
        For a path in `wanted` that is no module with two nodes or more.
    """
    if wanted is None:
        return acyclic(graph, choose_collapsed(graph, modules), modules)
    if wanted == OVERVIEW:
        return acyclic(graph, overview(graph, modules), modules)
    for path in wanted:
        if path not in modules:
            raise unknown_name("module", path, modules)
    return acyclic(graph, wanted, modules)
