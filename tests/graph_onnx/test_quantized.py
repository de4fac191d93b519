"""Quantized files become float graphs whose scales can be read."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qworkbench.errors import FileFormatError
from qworkbench.graph.execute import run_float
from qworkbench.graph.onnx_frontend import read_onnx, verify_onnx
from qworkbench.graph.onnx_frontend.verify import drawn
from tests.graph_onnx.files import model, node, normal, ops, ort

F = np.float32
X = {"x": (1, 3, 6, 6)}


def qdq_conv():
    """x -> Q DQ -> Conv(int8 weight per channel, int32 bias) -> Q DQ."""
    weight = np.random.default_rng(0).integers(-100, 100, (4, 3, 3, 3)).astype(np.int8)
    scales = F([0.01, 0.02, 0.005, 0.03])
    nodes = [
        node("QuantizeLinear", ("x", "sx", "zx"), ("xq",), "quant"),
        node("DequantizeLinear", ("xq", "sx", "zx"), ("xd",), "dequant"),
        node("DequantizeLinear", ("w", "sw", "zw"), ("wd",), "weights", axis=0),
        node("DequantizeLinear", ("b", "sb"), ("bd",), "bias", axis=0),
        node("Conv", ("xd", "wd", "bd"), ("c",), "conv"),
        node("QuantizeLinear", ("c", "sc", "zc"), ("cq",), "quant_out"),
        node("DequantizeLinear", ("cq", "sc", "zc"), ("y",), "dequant_out"),
    ]
    weights = {
        "sx": F(0.03), "zx": np.int8(0), "w": weight, "sw": scales, "zw": np.zeros(4, np.int8),
        "b": np.int32([5, -7, 100, 0]), "sb": scales * F(0.03), "sc": F(0.2), "zc": np.uint8(128),
    }  # fmt: skip
    return model(nodes, X, ("y",), weights, 13), weight, scales


def test_pairs_become_stubs_with_their_scale_and_weights_become_real():
    content, weight, scales = qdq_conv()
    graph = read_onnx(content)
    assert ops(graph) == ["QuantizeLinear", "DequantizeLinear", "Conv", "QuantizeLinear", "DequantizeLinear"]
    assert graph.nodes["quant"].attrs == {"scale": pytest.approx(0.03), "zero_point": 0, "dtype": "int8"}
    assert graph.nodes["quant_out"].attrs == {"scale": pytest.approx(0.2), "zero_point": 128, "dtype": "uint8"}
    _, w, b = graph.nodes["conv"].inputs
    assert np.allclose(graph.tensor(w).numpy(), weight * scales.reshape(4, 1, 1, 1))
    assert np.allclose(graph.tensor(b).numpy(), [0.0015, -0.0042, 0.015, 0.0])


def test_the_graph_is_the_file_without_quantization_and_close_to_the_file_with_it():
    content, *_ = qdq_conv()
    graph = read_onnx(content)
    feeds = drawn(graph)
    assert verify_onnx(graph, content, feeds)["y"] <= 1e-5
    quantized = torch.from_numpy(ort(content, feeds)[0])
    real = run_float(graph, feeds, keep=graph.outputs)[graph.outputs[0]]
    assert 0 < float((quantized - real).abs().max()) < 0.3


def test_qlinear_operators_become_float_operators_with_their_output_scale():
    rng = np.random.default_rng(0)
    weights = {
        "s0": F(0.03), "z0": np.uint8(120), "w": rng.integers(0, 255, (4, 3, 3, 3)).astype(np.uint8),
        "sw": F(0.01), "zw": np.uint8(128), "s1": F(0.2), "z1": np.uint8(130), "b": np.int32([5, -7, 100, 0]),
        "s2": F(0.25), "z2": np.uint8(125), "m": rng.integers(-9, 9, (4, 5)).astype(np.int8),
        "sm": F([0.1, 0.2, 0.3, 0.4, 0.5]), "zm": np.zeros(5, np.int8), "s3": F(1.5), "z3": np.uint8(128),
    }  # fmt: skip
    nodes = [
        node("QuantizeLinear", ("x", "s0", "z0"), ("a",), "quant"),
        node("QLinearConv", ("a", "s0", "z0", "w", "sw", "zw", "s1", "z1", "b"), ("c",), "conv"),
        node("QLinearAdd", ("c", "s1", "z1", "c", "s1", "z1", "s2", "z2"), ("d",), "add", domain="com.microsoft"),
        node("Transpose", ("d",), ("e",), "turn", perm=[0, 2, 3, 1]),
        node("QLinearMatMul", ("e", "s2", "z2", "m", "sm", "zm", "s3", "z3"), ("f",), "product"),
        node("DequantizeLinear", ("f", "s3", "z3"), ("y",), "dequant"),
    ]
    content = model(nodes, X, ("y",), weights, 17)
    graph = read_onnx(content)
    stub = "QuantizeLinear"
    assert ops(graph) == [stub, "Conv", stub, "Add", stub, "Transpose", "Gemm", stub, "DequantizeLinear"]
    assert [n.attrs["scale"] for n in graph.nodes if n.op == stub] == pytest.approx([0.03, 0.2, 0.25, 1.5])
    assert [n.attrs["zero_point"] for n in graph.nodes if n.op == stub] == [120, 130, 125, 128]
    feeds = drawn(graph)
    quantized = torch.from_numpy(ort(content, feeds)[0])
    real = run_float(graph, feeds, keep=graph.outputs)[graph.outputs[0]]
    assert float((quantized - real).abs().max()) < 2.5 * 1.5  # a few steps of the last scale
    assert float(real.abs().max()) > 10


def test_integer_arithmetic_on_quantized_tensors_is_refused_by_name():
    nodes = [
        node("QuantizeLinear", ("x", "s"), ("q",), "quant"),
        node("ConvInteger", ("q", "w"), ("y",), "integers"),
    ]
    content = model(nodes, X, ("y",), {"s": F(0.1), "w": normal(4, 3, 3, 3).astype(np.uint8)})
    with pytest.raises(FileFormatError, match=r"ConvInteger 'integers'.*QDQ"):
        read_onnx(content)


def test_dynamic_quantization_is_carried_with_its_integers():
    nodes = [
        node("DynamicQuantizeLinear", "x", "qsz", "dynamic"),
        node("DequantizeLinear", "qsz", "y", "dequant"),
    ]
    graph = read_onnx(model(nodes, X, ("y",)))
    assert graph.nodes["dynamic"].call is not None
    feeds = drawn(graph)
    got = run_float(graph, feeds, keep=graph.outputs)[graph.outputs[0]]
    assert np.allclose(got.numpy(), ort(model(nodes, X, ("y",)), feeds)[0], atol=1e-6)
