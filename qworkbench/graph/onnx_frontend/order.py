"""Which nodes of an ONNX graph are needed, and in which order they can run.

Works on the file's own nodes, before anything is imported: an unknown operator that nothing needs is no obstacle.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from qworkbench.errors import FileFormatError

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, NodeProto


def bodies(node: NodeProto) -> Iterator[GraphProto]:
    """Yield the nested graphs of `node` (branches of If, bodies of Loop and Scan)."""
    for attribute in node.attribute:
        yield from _graphs(attribute)


def _graphs(attribute: AttributeProto) -> Iterator[GraphProto]:
    if attribute.HasField("g"):
        yield attribute.g
    yield from attribute.graphs


def free_names(graph: GraphProto) -> list[str]:
    """Return the names that `graph` takes from around it, in order of use."""
    own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    found: dict[str, None] = {}
    for node in graph.node:
        for name in reads(node):
            if name not in own:
                found[name] = None
        own.update(node.output)
    for output in graph.output:
        if output.name not in own:
            found[output.name] = None
    return list(found)


def reads(node: NodeProto) -> list[str]:
    """Return every tensor that `node` reads: its inputs and what its nested graphs take from around them."""
    found = dict.fromkeys(name for name in node.input if name)
    for body in bodies(node):
        found.update(dict.fromkeys(free_names(body)))
    return list(found)


def ordered(nodes: Iterable[NodeProto], given: Iterable[str], wanted: Iterable[str]) -> list[NodeProto]:
    """Return the nodes that `wanted` needs, each after what it reads; the file's order where it already is one.

    Parameters
    ----------
    nodes : iterable of NodeProto
    given : iterable of str
        Tensors that are there from the start: inputs, initializers, names of an enclosing graph.
    wanted : iterable of str
        Tensors that must be made.

    Raises
    ------
    FileFormatError
        A tensor that is made twice, read but never made, or made from itself.
    """
    listed = list(nodes)
    ready = set(given)
    maker: dict[str, NodeProto] = {}
    for node in listed:
        for name in node.output:
            if name and (name in maker or name in ready):
                raise FileFormatError(f"tensor {name!r} is made twice, last by {label(node)}; export the model again")
            if name:
                maker[name] = node
    position = {id(node): index for index, node in enumerate(listed)}
    state: dict[int, bool] = {}
    result: list[NodeProto] = []
    roots = [name for name in wanted if name not in ready]
    for root in roots:
        _visit(root, "the model", maker, ready, state, result)
    if all(_follows(node, maker, position) for node in result):
        result.sort(key=lambda node: position[id(node)])
    return result


def _follows(node: NodeProto, maker: dict[str, NodeProto], position: dict[int, int]) -> bool:
    return all(position[id(maker[n])] < position[id(node)] for n in reads(node) if n in maker)


def _visit(
    root: str,
    reader: str,
    maker: dict[str, NodeProto],
    ready: set[str],
    state: dict[int, bool],
    result: list[NodeProto],
) -> None:
    """Append the node that makes `root` behind everything it needs; depth first without recursion."""
    stack: list[tuple[NodeProto, Iterator[str]]] = []

    def enter(name: str, by: str) -> None:
        if name in ready:
            return
        node = maker.get(name)
        if node is None:
            raise FileFormatError(f"{by} reads {name!r}, which nothing makes; the file is damaged or cut wrongly")
        done = state.get(id(node))
        if done is False:
            raise FileFormatError(f"the graph is cyclic: {label(node)} needs its own output {name!r}")
        if done is None:
            state[id(node)] = False
            stack.append((node, iter(reads(node))))

    enter(root, reader)
    while stack:
        node, rest = stack[-1]
        name = next(rest, None)
        if name is not None:
            enter(name, label(node))
            continue
        stack.pop()
        state[id(node)] = True
        result.append(node)


def label(node: NodeProto) -> str:
    """Return how messages call `node`: its operator and name."""
    outputs = [name for name in node.output if name]
    return f"{node.op_type} {(node.name or (outputs[0] if outputs else ''))!r}"
