"""Which tensors to compare where the model's outputs themselves cannot be.

Indices and rankings (argmax, sort, top-k) jump at the smallest error, so an output behind one is replaced by what went
into it. Post-processing whose very shape depends on the data (non-maximum suppression) is named instead: it must be
cut off. Sigmoid and softmax stay, they are part of what the user measures.
"""

from __future__ import annotations

from dataclasses import dataclass

from qworkbench.errors import AnalysisError
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node
from qworkbench.graph.vocabulary import family

RANKING = ("argmax", "argmin", "topk", "sort", "argsort", "msort", "argtopk")
SELECTING = ("nonmaxsuppression", "nms", "batched_nms", "nonzero", "unique", "masked_select")


@dataclass(frozen=True, slots=True)
class Target:
    """One tensor to compare: the output's name, the value, and the node that made a replacement necessary."""

    name: str
    value: str
    replaced: str | None = None


def targets_of(graph: Graph) -> tuple[Target, ...]:
    """Return what to compare for each output of `graph`; constant and unchanged-input outputs are left out.

    Raises
    ------
    AnalysisError
        When nothing comparable is left, or an output comes out of non-maximum suppression or the like.
    """
    found: dict[str, Target] = {}
    for name, value in zip(graph.output_names, graph.outputs, strict=True):
        if graph.producer(value) is None:
            continue
        node = _cause(graph, value)
        if node is None:
            target = Target(name, value)
        elif _kind(node) in SELECTING:
            raise AnalysisError(
                f"output {name!r} comes out of {node.name!r} ({_kind(node)}), whose result changes wholly at the "
                "smallest error; remove that post-processing from the model before comparing"
            )
        else:
            target = Target(name, graph.data_inputs(node)[0], node.name)
        # two outputs of one top-k are one tensor to compare
        if target.replaced is None or all(t.value != target.value for t in found.values()):
            found[name] = target
    comparable = {n: t for n, t in found.items() if graph.values[t.value].dtype.startswith(("float", "bfloat"))}
    if not comparable:
        raise AnalysisError("the model has no float output to compare; return the scores before the post-processing")
    return tuple(comparable.values())


def _kind(node: Node) -> str:
    source = node.source_op.split(":")[-1].split(".")[-1].lower()
    return source if source in (*RANKING, *SELECTING) else node.op.lower()


def _cause(graph: Graph, value: str) -> Node | None:
    """Return the ranking or selecting node that `value` descends from without a weighted op in between."""
    seen: set[str] = set()
    waiting = [value]
    while waiting:
        node = graph.producer(waiting.pop(0))
        if node is None or node.name in seen:
            continue
        seen.add(node.name)
        if _kind(node) in (*RANKING, *SELECTING):
            return node
        if family(node.op) in ("movement", "elementwise", "lut", "stub", "transparent", "concat", "other"):
            waiting.extend(graph.data_inputs(node))
    return None
