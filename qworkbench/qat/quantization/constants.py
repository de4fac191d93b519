"""Which tensors of a traced model are constants, and the mark by which an integer operator knows one.

A class token that is expanded to the batch, or a bias that is gathered from a table, is code on parameters alone. Knows
nothing of scales: the operator that reads a constant quantizes it.
"""

from __future__ import annotations

from torch import Tensor, fx, nn

_SIZES = ("size", "dim", "numel")


def as_constant(x: Tensor) -> nn.Parameter:
    """Return `x` with the mark of a constant operand."""
    return nn.Parameter(x.detach(), requires_grad=False)


def mark_constants(made: fx.GraphModule) -> None:
    """Give the mark to what follows from parameters, buffers and sizes only, where anything else reads it."""
    numbers: set[fx.Node] = set()
    constants: set[fx.Node] = set()
    for node in list(made.graph.nodes):
        read = node.all_input_nodes
        if node.op == "get_attr":
            constants.add(node)
        elif _is_size(node) or (read and node.op == "call_function" and numbers.issuperset(read)):
            numbers.add(node)
        elif node.op in ("call_function", "call_method") and read and (numbers | constants).issuperset(read):
            constants.add(node)
    for node in constants:
        users = [user for user in node.users if user not in constants and user.op != "output"]
        if node.op == "get_attr" or not users:
            continue
        with made.graph.inserting_after(node):
            marked = made.graph.call_function(as_constant, (node,))
        for user in users:
            user.replace_input_with(node, marked)


def _is_size(node: fx.Node) -> bool:
    if node.op == "call_method":
        return node.target in _SIZES
    return node.op == "call_function" and node.target is getattr and node.args[1] in ("shape", "ndim")
