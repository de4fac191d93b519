"""Facts of the ops with two operands: broadcasting, constants, the MatMul pairing.

Constant operands are given leading ones up to the rank of the other operand, as a converter does for free.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from qworkbench.errors import QWorkbenchError
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node
from qworkbench.march.broadcast import (
    align,
    broadcast_sides,
    matmul_pairing,
    merged_rank,
    merged_rank_plain_only,
)
from qworkbench.march.clauses import Fact

Shape = tuple[int, ...]
BROADCASTING = frozenset("Add Sub Mul Div Min Max Equal Greater GreaterOrEqual Less LessOrEqual PRelu Sum".split())


def operand_facts(graph: Graph, node: Node, inputs: Sequence[Shape | None]) -> dict[str, Fact]:
    """Return the facts of a two-operand node, of Pow's exponent, or nothing."""
    if len(inputs) < 2 or inputs[0] is None or inputs[1] is None:
        return {}
    if node.op == "Pow":
        return {"exponent_is_scalar_constant": prod(inputs[1]) == 1 and not graph.is_activation(node.inputs[1])}
    if node.op == "Gemm":
        weight = inputs[1][::-1] if node.attrs.get("transB", True) else inputs[1]
        constant_weight: dict[str, Fact] = {"constant_operands": 1, "operands": "featurexconstant"}
        return constant_weight | _matmul(inputs[0], align(weight, len(inputs[0])), inputs[0], weight)
    if node.op not in BROADCASTING and node.op != "MatMul":
        return {}
    constant = [not graph.is_activation(name) for name in node.inputs[:2]]
    x, y = inputs[0], inputs[1]
    facts: dict[str, Fact] = {
        "constant_operands": sum(constant),
        "operands": "x".join("constant" if fixed else "feature" for fixed in constant),
    }
    if constant[0]:
        x = align(x, len(y))
    if constant[1]:
        y = align(y, len(x))
    facts |= {"x_shape": x, "y_shape": y, "x_rank": len(x), "y_rank": len(y)}
    if node.op == "MatMul":
        return facts | _matmul(x, y, inputs[0], inputs[1])
    sides = broadcast_sides(x, y)
    facts |= {
        "mutual_broadcast": {"x", "y"} <= set(sides),
        "broadcasts_first_dim": sides[:1] in ("x", "y"),
        "merged_rank": merged_rank(x, y),
        "merged_rank_plain_only": merged_rank_plain_only(x, y),
    }
    if any(constant) and node.op == "Mul":
        facts |= _zeros(graph, node, constant)
    return facts


def _matmul(a: Shape, b: Shape, a_raw: Shape, b_raw: Shape) -> dict[str, Fact]:
    facts: dict[str, Fact] = {"matmul_a": a_raw, "matmul_b": b_raw, "same_rank": len(a) == len(b)}
    if len(a) == len(b) >= 2:
        facts |= {
            "matmul_m": a[-2],
            "matmul_k": a[-1],
            "matmul_n": b[-1],
            "leading_dims": (*a[:-2], *b[:-2]),
            "leading_a": prod(a[:-2]),
            "pairing": matmul_pairing(a, b),
        }
    return facts


def _zeros(graph: Graph, node: Node, constant: Sequence[bool]) -> dict[str, Fact]:
    name = node.inputs[constant.index(True)]
    if name is None:
        return {}
    try:
        tensor = graph.tensor(name)
    except QWorkbenchError:  # a graph drawn without its weights: the fact stays unknown
        return {}
    return {} if tensor.is_meta else {"constant_has_zero": bool((tensor == 0).any())}
