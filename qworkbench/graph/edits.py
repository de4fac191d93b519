"""Edits of the graph that leave its float result as it is: inserting a unit convolution.

A unit convolution is a depthwise 1x1 convolution with weights of one. It computes nothing, but it is an operator that
finds a quantization threshold by itself, so the data movement beside it can run on the BPU.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch

from qworkbench.errors import EditError, unknown_name
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node, Sym, Value


def insert_unit_conv(
    graph: Graph,
    node_name: str,
    where: Literal["before", "after"],
    index: int,
    input_slot: int | None = None,
) -> Graph:
    """Return `graph` with the depthwise 1x1 identity convolution ``_unitconv_<index>`` beside a node.

    Parameters
    ----------
    graph : Graph
    node_name : str
    where : "before" | "after"
        "after": on output 0 of the node; every user and the model output read the convolution instead. "before": on
        one input of the node; other users of that value are not affected.
    index : int
        Number of the convolution in its name.
    input_slot : int, optional
        Which input of the node, counted from 0 over all its inputs; needed only if it has several data inputs.

    Returns
    -------
    Graph
        Shares everything that the edit does not touch; its float result is equal bit by bit.

    Raises
    ------
    EditError
        Unknown node, several inputs to choose from, a name in use, or an activation that is not a float (N, C, H, W).
    """
    try:
        node = graph.nodes[node_name]
    except Exception as error:
        raise EditError(str(unknown_name("node", node_name, graph.nodes.names()))) from error
    name = f"_unitconv_{index}"
    if name in graph.nodes or name in graph.values:
        raise EditError(f"{name!r} is already in the graph; give the next free index")
    if where == "after":
        return _after(graph, node, name)
    if where == "before":
        return _before(graph, node, name, input_slot)
    raise EditError(f"where must be 'before' or 'after', got {where!r}")


def _channels(graph: Graph, value: str) -> int:
    entry = graph.values[value]
    if len(entry.shape) != 4:
        raise EditError(
            f"{value!r} has rank {len(entry.shape)}, a unit convolution needs rank 4 (N, C, H, W); insert it where the "
            "activation is still an image, before it is flattened or reshaped"
        )
    if entry.dtype != "float32":
        raise EditError(f"{value!r} holds {entry.dtype}, a unit convolution needs float32; choose another node")
    channels = entry.shape[1]
    if isinstance(channels, Sym):
        raise EditError(
            f"the channel axis of {value!r} follows the batch; a unit convolution needs a fixed channel count"
        )
    return channels


def _unit(graph: Graph, value: str, name: str, beside: Node) -> tuple[Node, tuple[Value, Value]]:
    channels = _channels(graph, value)
    weight = Value(f"{name}.weight", "constant", (channels, 1, 1, 1), data=torch.ones(channels, 1, 1, 1))
    attrs = {"kernel_shape": (1, 1), "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": channels}
    node = Node(
        name=name,
        op="Conv",
        inputs=(value, weight.name, None),
        outputs=(name,),
        attrs=attrs,
        module_class="Conv2d",
        scope=beside.scope,
        source_op="inserted",
        location=beside.location,
    )
    return node, (weight, Value(name, "activation", graph.values[value].shape, producer=name))


def _rerouted(node: Node, old: str, new: str, slots: set[int] | None = None) -> Node:
    changed = tuple(new if v == old and (slots is None or i in slots) else v for i, v in enumerate(node.inputs))
    return node if changed == node.inputs else replace(node, inputs=changed)


def _after(graph: Graph, node: Node, name: str) -> Graph:
    value = node.outputs[0]
    unit, values = _unit(graph, value, name, node)
    nodes: list[Node] = []
    for each in graph.nodes:
        nodes.append(_rerouted(each, value, name) if value in each.inputs else each)
        if each.name == node.name:
            nodes.append(unit)
    outputs = tuple(name if out == value else out for out in graph.outputs)
    return graph.with_nodes(nodes, values, outputs=outputs)


def _before(graph: Graph, node: Node, name: str, input_slot: int | None) -> Graph:
    data = [i for i, value in enumerate(node.inputs) if graph.is_activation(value)]
    if input_slot is None:
        if len(data) != 1:
            listed = ", ".join(f"{i}: {node.inputs[i]!r}" for i in data) or "none"
            raise EditError(f"{node.name!r} has {len(data)} data inputs ({listed}); name one by its slot")
        input_slot = data[0]
    if input_slot not in data:
        raise EditError(
            f"{node.name!r} has no data input {input_slot}; data inputs are {', '.join(map(str, data)) or 'none'}"
        )
    value = node.inputs[input_slot]
    assert value is not None
    unit, values = _unit(graph, value, name, node)
    nodes: list[Node] = []
    for each in graph.nodes:
        if each.name == node.name:
            nodes += [unit, _rerouted(each, value, name, {input_slot})]
        else:
            nodes.append(each)
    return graph.with_nodes(nodes, values)
