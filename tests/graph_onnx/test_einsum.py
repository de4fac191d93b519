"""Einsum of a file: products of matrices become MatMul or Gemm and give onnxruntime's bits; the rest is carried."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from qworkbench.graph.execute import run_float
from qworkbench.graph.onnx_frontend import read_onnx
from tests.graph.test_einsum import NAMED, random_product, shapes_of, whole
from tests.graph_onnx.files import model, node, ort

pytest.importorskip("onnxruntime")


def einsum(equation, first, second, weights=None, opset=17):
    inputs = {name: shape for name, shape in (("a", first), ("b", second)) if name not in (weights or {})}
    return model([node("Einsum", "ab", "y", "product", equation=equation)], inputs, ("y",), weights, opset)


def both(content, feeds):
    """Return what the graph and what onnxruntime computes."""
    graph = read_onnx(content)
    (value,) = graph.outputs
    return graph, run_float(graph, feeds)[value].numpy(), ort(content, feeds)[0]


@pytest.mark.parametrize("equation", NAMED)
def test_the_operators_are_those_of_the_torch_front_end(equation):
    rng = np.random.default_rng(0)
    first, second = shapes_of(equation)
    graph, got, want = both(einsum(equation, first, second), {"a": whole(rng, *first), "b": whole(rng, *second)})
    assert [n.op for n in graph.nodes] == NAMED[equation]
    last = list(graph.nodes)[-1]
    assert (last.name, last.source_op) == ("product", "onnx:Einsum")
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("seed", range(40))
def test_random_products_give_the_bits_of_onnxruntime(seed):
    equation, first, second = random_product(seed)
    rng = np.random.default_rng(seed)
    graph, got, want = both(einsum(equation, first, second), {"a": whole(rng, *first), "b": whole(rng, *second)})
    assert "Einsum" not in [n.op for n in graph.nodes]
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("side", "ab")
def test_random_products_with_weights_give_the_bits_of_onnxruntime(seed, side):
    equation, first, second = random_product(seed)
    rng = np.random.default_rng(seed)
    given = {"a": whole(rng, *first), "b": whole(rng, *second)}
    weight = given.pop(side)
    graph, got, want = both(einsum(equation, first, second, {side: weight.numpy()}), given)
    np.testing.assert_array_equal(got, want)
    assert {n.op for n in graph.nodes} <= {"MatMul", "Gemm", "Transpose", "Einsum"}
    for made in graph.nodes:  # weights are turned in the file, not in every run
        if made.op == "Transpose":
            assert graph.is_activation(made.inputs[0])


def test_the_batch_of_a_file_stays_free():
    content = einsum("bhqd,bhkd->bhqk", ("N", 2, 5, 4), ("N", 2, 3, 4), opset=13)
    graph = read_onnx(content)
    assert [n.op for n in graph.nodes] == ["Transpose", "MatMul"]
    rng = np.random.default_rng(0)
    for batch in (1, 6):
        feeds = {"a": whole(rng, batch, 2, 5, 4), "b": whole(rng, batch, 2, 3, 4)}
        (value,) = graph.outputs
        np.testing.assert_array_equal(run_float(graph, feeds)[value].numpy(), ort(content, feeds)[0])


def test_integers_are_left_to_the_reference():
    integers = onnx.TensorProto.INT64
    inputs = {"a": ((2, 3), integers), "b": ((3, 4), integers)}
    graph = read_onnx(model([node("Einsum", "ab", "y", "product", equation="ij,jk->ik")], inputs, ("y",)))
    assert [(n.op, n.attrs["why"]) for n in graph.nodes] == [("Einsum", "no operator for it")]
    a, b = torch.arange(6).reshape(2, 3), torch.arange(12).reshape(3, 4)
    assert torch.equal(run_float(graph, {"a": a, "b": b})[graph.outputs[0]], a @ b)
