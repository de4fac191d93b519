"""Small ONNX models written by hand, and the comparison of an import with onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from qworkbench.graph.execute import run_float
from qworkbench.graph.onnx_frontend import read_onnx
from qworkbench.graph.onnx_frontend.verify import drawn
from qworkbench.graph.torch_frontend.selfcheck import difference

FLOAT, INT = TensorProto.FLOAT, TensorProto.INT64


def node(op, inputs, outputs, name=None, **attrs):
    return helper.make_node(op, inputs, outputs, name=name or f"the_{op}", **attrs)


def model(nodes, inputs, outputs, weights=None, opset=17, **options):
    """Return the bytes of a model; inputs map a name to a shape, or to (shape, element type)."""
    infos = []
    for name, given in inputs.items():
        shape, element = given if given and isinstance(given[0], (list, tuple)) else (given, FLOAT)
        infos.append(helper.make_tensor_value_info(name, element, list(shape)))
    graph = helper.make_graph(
        nodes,
        "hand_made",
        infos,
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (weights or {}).items()],
        **options,
    )
    domains = {n.domain for n in nodes if n.domain}
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()


def ort(content, feeds):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = content if isinstance(content, bytes) else str(content)
    session = onnxruntime.InferenceSession(source, options)
    return session.run(None, {name: tensor.numpy() for name, tensor in feeds.items()})


def distance(graph, content, feeds=None):
    """Return the largest difference of any output from onnxruntime."""
    feeds = drawn(graph) if feeds is None else feeds
    want = ort(content, feeds)
    env = run_float(graph, feeds, keep=graph.outputs)
    pairs = zip(graph.outputs, want, strict=True)
    return max(difference(env[value], torch.from_numpy(np.asarray(array))) for value, array in pairs)


def imported(content, **options):
    """Return the graph of `content`, which computes what onnxruntime does."""
    graph = read_onnx(content, **options)
    assert distance(graph, content) <= 1e-5
    return graph


def ops(graph):
    return [n.op for n in graph.nodes]


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
