"""Named facts of a node: the vocabulary in which the constraint tables speak.

``node_facts`` turns a node of the graph into plain numbers and words (``kernel_h``, ``input_c``, ``followed_by_add``),
so that clauses and reasons need no access to the graph. A fact that does not apply or cannot be known is absent.
Sizes are elements, not bytes. Which facts matter where is the business of the tables.
"""

from __future__ import annotations

from math import prod

from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node, resolve
from qworkbench.march.clauses import Fact
from qworkbench.march.operand_facts import operand_facts
from qworkbench.march.shape_facts import gemm_facts, shape_facts
from qworkbench.march.window_facts import window_facts

AXES = {4: "nchw", 5: "ncdhw"}


def node_facts(graph: Graph, node: Node, batch: int | None = None) -> dict[str, Fact]:
    """Return what the constraint tables may ask about `node`.

    Parameters
    ----------
    graph : Graph
    node : Node
        A node of `graph`.
    batch : int, optional
        Size that symbolic dims stand for; the example's batch unless given.

    Returns
    -------
    dict of str to int, float, str, bool or tuple
        Always ``op``, ``batch``, ``output_rank``, ``output_shape``, ``is_last``; the rest as far as the op has it.
    """
    size = graph.batch if batch is None else batch
    attrs = {key: resolve(value, size) for key, value in node.attrs.items()}
    inputs = [None if name is None else graph.shape(name, size) for name in node.inputs]
    output = graph.shape(node.output, size)
    facts: dict[str, Fact] = {"op": node.op, "batch": size}
    data = graph.data_inputs(node)
    if data:
        facts |= _dims("input", graph.shape(data[0], size))
        facts["data_inputs"] = len(data)
    facts |= _dims("output", output)
    facts |= _neighbours(graph, node)
    facts |= window_facts(node.op, attrs, inputs, output)
    facts |= shape_facts(graph, node, attrs, inputs, output)
    facts |= operand_facts(graph, node, inputs)
    if node.op == "Gemm":
        facts |= gemm_facts(graph, node, size)
    return facts


def _dims(side: str, shape: tuple[int, ...]) -> dict[str, Fact]:
    facts: dict[str, Fact] = {
        f"{side}_rank": len(shape),
        f"{side}_shape": shape,
        f"{side}_elements": prod(shape),
    }
    if shape:
        facts |= {f"{side}_first_dim": shape[0], f"{side}_other_dims": shape[1:]}
    for axis, size in zip(AXES.get(len(shape), ""), shape, strict=False):
        facts[f"{side}_{axis}"] = size
    if len(shape) == 4:
        _, c, h, w = shape
        facts |= {f"{side}_hw": h * w, f"{side}_chw": c * h * w}
        facts[f"{side}_aligned_elements"] = min(h * _round_up(w, 8) * _round_up(c, 4), h * w * _round_up(c, 32))
    if len(shape) == 5:
        _, c, d, h, w = shape
        facts |= {f"{side}_depth_channels": c * d, f"{side}_aligned_volume": h * _round_up(w, 256) * d * c}
    return facts


def _round_up(size: int, step: int) -> int:
    return -(-size // step) * step


def _neighbours(graph: Graph, node: Node) -> dict[str, Fact]:
    users = [user for name in node.outputs for user, _ in graph.users(name)]
    adds = [user for user in users if user.op == "Add" and len(graph.data_inputs(user)) == 2]
    facts: dict[str, Fact] = {
        "is_last": not users,
        "is_model_output": any(name in graph.outputs for name in node.outputs),
        "followed_by_add": len(users) == 1 and len(adds) == 1 and node.output not in graph.outputs,
        "constant_inputs_only": not graph.data_inputs(node),
    }
    data = graph.data_inputs(node)
    if data:
        producer = graph.producer(data[0])
        facts["producer_op"] = "model input" if producer is None else producer.op
        facts["producer_read_once"] = len(graph.users(data[0])) == 1 and data[0] not in graph.outputs
    return facts
