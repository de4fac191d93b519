"""Attention as the exporter writes it: three projections packed into one, a scale on both factors of the product."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from qworkbench.graph.execute import run_node
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node, Value, resolve
from qworkbench.graph.onnx_frontend.recompose.match import Match, Reader

LARGEST = 1 << 22
"""Elements of a packed projection up to which it is followed element by element."""


def projection(r: Reader, node: Node) -> Match | None:
    """Match one of the parts of a packed projection: Gemm, Reshape, Unsqueeze, Transpose, Squeeze, Gather."""
    chain: list[Node] = [node]
    if node.op != "Gather" or r.number(node.inputs[1]) is None:
        return None
    for op in ("Squeeze", "Transpose", "Unsqueeze", "Reshape", "Gemm"):
        maker = r.maker(chain[-1].inputs[0], op)
        if maker is None:
            return None
        chain.append(maker)
    *moves, gemm = chain
    weight = r.constant(gemm.inputs[1])
    bias = r.constant(gemm.inputs[2]) if gemm.inputs[2] is not None else None
    if weight is None or (bias is None) != (gemm.inputs[2] is None):
        return None
    columns = _columns(r.graph, gemm, moves[::-1])
    if columns is None:
        return None
    part = slice(*columns)
    transposed = bool(gemm.attrs["transB"])
    inputs: list[str | None] = [gemm.inputs[0], f"{node.name}.weight", None]
    constants = {f"{node.name}.weight": weight[part] if transposed else weight[:, part]}
    if bias is not None:
        inputs[2] = f"{node.name}.bias"
        constants[f"{node.name}.bias"] = bias[part]
    return Match(node, (), "Gemm", tuple(inputs), {"transB": transposed}, constants)


def _columns(graph: Graph, gemm: Node, moves: list[Node]) -> tuple[int, int] | None:
    """Return which columns of `gemm` the `moves` behind it pick, found by sending every element's number through."""
    batch = max(graph.batch, 2)
    shape = resolve(graph.values[gemm.output].shape, batch)
    if math.prod(shape) > LARGEST:
        return None
    numbers = torch.arange(math.prod(shape), dtype=torch.float64).reshape(shape)
    moved = numbers
    for node in moves:
        operands = [None if v is None else moved if graph.is_activation(v) else graph.tensor(v) for v in node.inputs]
        moved = run_node(graph, node, operands, batch)[0]
    if not moved.numel() or moved.shape[:-1] != numbers.shape[:-1]:
        return None
    first, width = int(moved.reshape(-1)[0]), moved.shape[-1]
    same = first + width <= shape[-1] and torch.equal(moved, numbers[..., first : first + width])
    return (first, first + width) if same else None


def with_one_scale(graph: Graph) -> Graph:
    """Return `graph` with ``(q * a) @ (k * b).T`` as ``(q * (a * b)) @ k.T``, for numbers a and b."""
    r = Reader(graph)
    changed: dict[str, Node | None] = {}
    renamed: dict[str, str] = {}
    values: list[Value] = []
    for node in graph.nodes:
        if node.op != "MatMul":
            continue
        left, right = r.maker(node.inputs[0], "Mul"), r.maker(node.inputs[1], "Mul", "Transpose")
        if right is not None and right.op == "Transpose":
            right = r.maker(right.inputs[0], "Mul") if r.only_user(right) is not None else None
        if left is None or right is None or left is right or {left.name, right.name} & set(changed):
            continue
        pairs = [_scaled(r, left), _scaled(r, right)]
        if pairs[0] is None or pairs[1] is None or not _one_reader(r, left, right):
            continue
        (query, a), (key, b) = pairs[0], pairs[1]
        name = f"{left.name}.scale"
        if name in graph.values:
            continue
        data = torch.tensor(a * b, dtype=torch.float32)
        values.append(Value(name, "constant", (), "float32", data=data))
        changed[left.name] = replace(left, inputs=(query, name))
        changed[right.name] = None
        renamed[right.output] = key
    if not changed:
        return graph
    nodes = []
    for node in graph.nodes:
        kept = changed.get(node.name, node)
        if kept is not None:
            nodes.append(replace(kept, inputs=tuple(None if v is None else renamed.get(v, v) for v in kept.inputs)))
    made = graph.with_nodes(nodes, values)
    return replace(made, tensor_names={k: v for k, v in graph.tensor_names.items() if k in made.values})


def _scaled(r: Reader, node: Node) -> tuple[str, float] | None:
    """Return the tensor and the number of a product with a number."""
    for x, number in ((node.inputs[0], r.number(node.inputs[1])), (node.inputs[1], r.number(node.inputs[0]))):
        if x is not None and number is not None and r.graph.is_activation(x):
            return x, number
    return None


def _one_reader(r: Reader, *nodes: Node) -> bool:
    return all(r.only_user(node) is not None for node in nodes)
