"""Write a graph of :class:`benchmarks.yolo.net.Net` as an ONNX file of opset 11, with the tensor names of an exporter.

A Swish node becomes the pair that files hold: ``.../act/Sigmoid`` and ``.../act/Mul``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node

OPSET = 11


def write_onnx(graph: Graph, path: Path) -> Path:
    """Write `graph` to `path` and return the path; the file passes ``onnx.checker``."""
    names = _tensor_names(graph)
    constants: dict[str, np.ndarray[Any, Any]] = {
        names[v.name]: v.data.numpy() for v in graph.values.values() if v.data is not None
    }
    nodes = [made for node in graph.nodes for made in _nodes(node, names, constants)]

    def info(value: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(names[value], TensorProto.FLOAT, graph.shape(value))

    body = helper.make_graph(
        nodes,
        graph.name,
        [info(v) for v in graph.inputs],
        [info(v) for v in graph.outputs],
        [numpy_helper.from_array(np.ascontiguousarray(data), name) for name, data in constants.items()],
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=6)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


def _tensor_names(graph: Graph) -> dict[str, str]:
    names = {name: name for name in graph.values}
    for node in graph.nodes:
        names |= {value: f"{node.name}_output_{i}" for i, value in enumerate(node.outputs)}
    return names | dict(zip(graph.outputs, graph.output_names, strict=True))


def _nodes(node: Node, names: dict[str, str], constants: dict[str, np.ndarray[Any, Any]]) -> list[onnx.NodeProto]:
    inputs = [names[v] for v in node.inputs if v is not None]
    outputs = [names[v] for v in node.outputs]
    attrs: dict[str, Any] = {key: int(value) if isinstance(value, bool) else value for key, value in node.attrs.items()}

    def extra(name: str, data: Any) -> str:
        key = f"{node.name}_{name}"
        constants[key] = np.asarray(data)
        return key

    if node.op == "Swish":
        gate = f"{node.name.removesuffix('Mul')}Sigmoid"
        return [
            helper.make_node("Sigmoid", inputs, [f"{gate}_output_0"], gate),
            helper.make_node("Mul", [*inputs, f"{gate}_output_0"], outputs, node.name),
        ]
    if node.op == "Slice":
        inputs += [extra(key, np.array(attrs.pop(key), np.int64)) for key in ("starts", "ends", "axes", "steps")]
    elif node.op == "Reshape":
        inputs.append(extra("shape", np.array(attrs.pop("shape"), np.int64)))
    elif node.op == "Resize":
        scales = np.array((1, 1, *attrs.pop("scales")), np.float32)
        inputs += [extra("roi", np.zeros(0, np.float32)), extra("scales", scales)]
        attrs |= {"nearest_mode": "floor"}
        del attrs["size"]
    elif node.op == "Gemm":
        attrs |= {"alpha": 1.0, "beta": 1.0}
    return [helper.make_node(node.op, inputs, outputs, node.name, **attrs)]
