"""Masks in front of a Softmax: tensors that hold minus infinity, which no scale can hold beside the scores.

An operator that brings such a mask in, and what reads its result up to the Softmax, stays in float; the Softmax is on
the CPU by default, so that this moves no border. Large negative numbers that stand for minus infinity (-1e9, the
smallest float) count as well, added or multiplied with (``(1 - mask) * -10000``): beside them every score would get the
code zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node
from qworkbench.graph.replay import Replay
from qworkbench.graph.structure import leaves
from qworkbench.graph.vocabulary import family

LOWEST = -1e4
"""A number in an added constant from which on it stands for minus infinity."""

_HANDS_ON = ("Add", "Sub", "Max", "Where")


def masked_values(graph: Graph, canonical: Mapping[str, str]) -> dict[str, str]:
    """Map every value that holds such numbers (canonical) to the node that brought them in."""
    found: dict[str, str] = {}
    for node in graph.nodes:
        source = next((found[canonical[v]] for v in node.inputs if v is not None and canonical[v] in found), None)
        if source is None:
            brings = brings_mask(graph, node)
        else:
            brings = node.op in _HANDS_ON or family(node.op) in ("movement", "concat", "stub", "transparent")
        if brings and graph.values[node.output].dtype.startswith("float"):
            found.update((canonical[value], source or node.name) for value in node.outputs)
    return found


def brings_mask(graph: Graph, node: Node) -> bool:
    """Tell whether `node` brings such numbers in."""
    if node.op not in (*_HANDS_ON, "Mul") or not any(graph.is_activation(v) for v in node.inputs):
        return False
    return any(low <= LOWEST for low in _lowest(graph, node))


def _lowest(graph: Graph, node: Node) -> Iterator[float]:
    """Yield the smallest number of each constant or buffer that `node` adds: of what a Sub takes away, the negative."""
    for slot, value in enumerate(node.inputs):
        if value is None or graph.values[value].kind not in ("constant", "buffer"):
            continue
        entry = graph.values[value]
        if entry.data is None and (entry.ref is None or graph.root is None):
            continue  # a graph without contents
        tensor = graph.tensor(value).detach()
        if tensor.is_floating_point() and tensor.numel():
            yield float(-tensor.max() if node.op == "Sub" and slot == 1 else tensor.min())
    if isinstance(node.call, Replay):
        yield from (leaf for _, leaf in leaves((node.call.args, node.call.kwargs)) if isinstance(leaf, float))
