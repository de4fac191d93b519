"""Pieces are put together where they are the operator, and left alone where one thing is different."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qworkbench.graph.execute import run_float
from qworkbench.graph.onnx_frontend import read_onnx
from qworkbench.graph.onnx_frontend.verify import drawn
from qworkbench.graph.torch_frontend.selfcheck import difference
from tests.graph_onnx.files import distance, model, node, normal, ops

F = np.float32
SHAPE = (2, 4, 6)


def swish():
    return [node("Sigmoid", "x", "g", "sigmoid"), node("Mul", "xg", "y", "last")], {}


def hard_swish():
    return [node("HardSigmoid", "x", "g", "gate", alpha=1 / 6, beta=0.5), node("Mul", "gx", "y", "last")], {}


def hard_swish_clipped():
    nodes = [
        node("Add", "xt", "a", "add"),
        node("Clip", "alh", "b", "clip"),
        node("Mul", "xb", "c", "mul"),
        node("Div", "cs", "y", "last"),
    ]
    return nodes, {"t": F(3), "l": F(0), "h": F(6), "s": F(6)}


def hard_swish_gated():
    nodes = [
        node("Add", "tx", "a", "add"),
        node("Clip", "alh", "b", "clip"),
        node("Div", "bs", "c", "div"),
        node("Mul", "xc", "y", "last"),
    ]
    return nodes, {"t": F(3), "l": F(0), "h": F(6), "s": F(6)}


def mish():
    nodes = [node("Softplus", "x", "a", "plus"), node("Tanh", "a", "b", "tanh"), node("Mul", "xb", "y", "last")]
    return nodes, {}


def gelu():
    nodes = [
        node("Div", "xr", "a", "div"),
        node("Erf", "a", "b", "erf"),
        node("Add", "bo", "c", "add"),
        node("Mul", "xc", "d", "mul"),
        node("Mul", "dh", "y", "last"),
    ]
    return nodes, {"r": F(math.sqrt(2)), "o": F(1), "h": F(0.5)}


def gelu_other_order():
    nodes = [
        node("Mul", "xr", "a", "scale"),
        node("Erf", "a", "b", "erf"),
        node("Add", "ob", "c", "add"),
        node("Mul", "hx", "d", "half"),
        node("Mul", "cd", "y", "last"),
    ]
    return nodes, {"r": F(math.sqrt(0.5)), "o": F(1), "h": F(0.5)}


def gelu_tanh():
    nodes = [
        node("Pow", "xp", "a", "pow"),
        node("Mul", "ka", "b", "cubic"),
        node("Add", "xb", "c", "inner"),
        node("Mul", "cq", "d", "scaled"),
        node("Tanh", "d", "e", "tanh"),
        node("Add", "eo", "f", "add"),
        node("Mul", "xh", "g", "half"),
        node("Mul", "gf", "y", "last"),
    ]
    return nodes, {"p": F(3), "k": F(0.044715), "q": F(math.sqrt(2 / math.pi)), "o": F(1), "h": F(0.5)}


def layer_norm():
    nodes = [
        node("ReduceMean", "x", "m", "mean", axes=[-1]),
        node("Sub", "xm", "d", "centre"),
        node("Pow", "dp", "q", "pow"),
        node("ReduceMean", "q", "v", "variance", axes=[-1]),
        node("Add", "ve", "w", "epsilon"),
        node("Sqrt", "w", "r", "root"),
        node("Div", "dr", "n", "div"),
        node("Mul", "ns", "t", "scale"),
        node("Add", "tb", "y", "last"),
    ]
    return nodes, {"p": F(2), "e": F(1e-5), "s": normal(6), "b": normal(6, seed=1)}


def group_norm():
    nodes = [
        node("Reshape", "xc", "a", "split"),
        node("InstanceNormalization", "aoz", "n", "norm"),
        node("Reshape", "nf", "d", "join"),
        node("Mul", "ds", "t", "scale"),
        node("Add", "tb", "y", "last"),
    ]
    weights = {
        "c": np.array([0, 2, -1]), "f": np.array([2, 4, 6]), "o": np.ones(2, F), "z": np.zeros(2, F),
        "s": normal(4, 1), "b": normal(4, 1, seed=1),
    }  # fmt: skip
    return nodes, weights


def gemm():
    return [node("MatMul", "xw", "a", "product"), node("Add", "ba", "y", "last")], {"w": normal(6, 5), "b": normal(5)}


def moved_softmax():
    nodes = [
        node("Transpose", "x", "a", "there", perm=[0, 2, 1]),
        node("Softmax", "a", "b", "softmax", axis=2),
        node("Transpose", "b", "y", "last", perm=[0, 2, 1]),
    ]
    return nodes, {}


PIECES = {
    "Swish": (swish, {}),
    "HardSwish": (hard_swish, {}),
    "HardSwish, clipped": (hard_swish_clipped, {}),
    "HardSwish, gated": (hard_swish_gated, {}),
    "Mish": (mish, {}),
    "Gelu": (gelu, {"approximate": "none"}),
    "Gelu, another order": (gelu_other_order, {"approximate": "none"}),
    "Gelu, tanh": (gelu_tanh, {"approximate": "tanh"}),
    "LayerNormalization": (layer_norm, {"normalized_shape": (6,), "epsilon": pytest.approx(1e-5)}),
    "GroupNormalization": (group_norm, {"num_groups": 2, "epsilon": pytest.approx(1e-5)}),
    "Gemm": (gemm, {"transB": False}),
    "Softmax, moved": (moved_softmax, {"axis": 1}),
}


def built(pieces, outputs=("y",), extra=(), **replaced):
    nodes, weights = pieces()
    return model([*nodes, *extra], {"x": SHAPE}, outputs, {**weights, **replaced}, 13)


@pytest.mark.parametrize("name", PIECES)
def test_pieces_become_one_node_named_after_the_last(name):
    pieces, attrs = PIECES[name]
    content = built(pieces)
    graph, apart = read_onnx(content), read_onnx(content, recompose=False)
    assert ops(graph) == [name.split(",")[0]]
    assert graph.nodes.names() == ("last",)
    assert graph.nodes["last"].attrs == attrs
    assert len(apart.nodes) == len(pieces()[0])
    feeds = drawn(graph)
    both = [run_float(g, feeds, keep=g.outputs)[g.outputs[0]] for g in (graph, apart)]
    assert difference(*both) <= 1e-6
    assert distance(graph, content) <= 1e-5


def _inner():
    for name, (pieces, _) in PIECES.items():
        for piece in pieces()[0][:-1]:
            yield pytest.param(pieces, piece.output[0], id=f"{name}-{piece.name}")


@pytest.mark.parametrize(("pieces", "inner"), _inner())
def test_a_second_reader_or_an_output_inside_keeps_the_piece_that_is_read(pieces, inner):
    """What is behind the read piece may still be put together (a norm without its bias); the read value stays."""
    for content in (
        built(pieces, ("y", inner)),
        built(pieces, ("y", "seen"), [node("Neg", inner, ["seen"], "reader")]),
    ):
        graph = read_onnx(content)
        assert inner in graph.tensor_names.values()
        assert distance(graph, content) <= 1e-5


MISSES = {
    "hard swish with another slope": (hard_swish_clipped, {"s": F(5)}),
    "hard swish with another shift": (hard_swish_gated, {"t": F(2)}),
    "hard swish with another bound": (hard_swish_clipped, {"h": F(5)}),
    "gelu with another root": (gelu, {"r": F(1.5)}),
    "gelu with another half": (gelu, {"h": F(0.4)}),
    "gelu with another one": (gelu_other_order, {"o": F(1.1)}),
    "gelu by tanh with another cubic": (gelu_tanh, {"k": F(0.05)}),
    "gelu by tanh with another power": (gelu_tanh, {"p": F(2)}),
    "gelu by tanh with another scale": (gelu_tanh, {"q": F(0.7)}),
    "group norm with a scale inside": (group_norm, {"o": F([1, 2])}),
    "group norm with a bias inside": (group_norm, {"z": F([0, 1])}),
    "layer norm of another power": (layer_norm, {"p": F(4)}),
}


@pytest.mark.parametrize("name", MISSES)
def test_another_constant_leaves_every_piece(name):
    pieces, replaced = MISSES[name]
    content = built(pieces, **replaced)
    graph = read_onnx(content)
    assert set(ops(graph)) <= set(ops(read_onnx(content, recompose=False)))
    assert len(graph.nodes) == len(pieces()[0])
    assert distance(graph, content) <= 1e-5


def test_swish_of_another_tensor_is_left_alone():
    nodes = [node("Neg", "x", "n", "neg"), node("Sigmoid", "n", "g", "gate"), node("Mul", "xg", "y", "last")]
    assert ops(read_onnx(model(nodes, {"x": SHAPE}, ("y",)))) == ["Neg", "Sigmoid", "Mul"]


def test_hard_sigmoid_with_the_default_slope_of_onnx_is_no_hard_swish():
    nodes = [node("HardSigmoid", "x", "g", "gate"), node("Mul", "xg", "y", "last")]
    assert ops(read_onnx(model(nodes, {"x": SHAPE}, ("y",)))) == ["HardSigmoid", "Mul"]


def test_a_scale_without_bias_and_a_bare_norm_are_norms_too():
    nodes, weights = layer_norm()
    for count, inputs in ((8, 2), (7, 1)):
        short = nodes[:count]
        content = model(short, {"x": SHAPE}, (short[-1].output[0],), weights, 13)
        graph = read_onnx(content)
        assert ops(graph) == ["LayerNormalization"]
        assert sum(v is not None for v in graph.nodes[short[-1].name].inputs) == inputs
        assert distance(graph, content) <= 1e-5


def test_a_product_with_a_computed_matrix_or_one_added_number_is_no_bias():
    product = [node("MatMul", "xw", "a", "product"), node("Add", "ab", "y", "add")]
    graph = read_onnx(model(product, {"x": SHAPE}, ("y",), {"w": normal(6, 5), "b": F(2)}))
    assert ops(graph) == ["Gemm", "Add"]
    computed = model([node("MatMul", "xw", "y", "product")], {"x": SHAPE, "w": (6, 5)}, ("y",))
    assert ops(read_onnx(computed)) == ["MatMul"]


def test_lengths_that_normalise_stay_pieces():
    nodes = [node("ReduceL2", "x", "l", "length", axes=[1]), node("Div", "xl", "y", "last")]
    assert ops(read_onnx(model(nodes, {"x": SHAPE}, ("y",), opset=13))) == ["ReduceL2", "Div"]


def packed():
    """The three projections of an attention in one product, taken apart as the exporter does it."""
    nodes = [
        node("MatMul", "xw", "p", "product"),
        node("Add", "pb", "q", "bias"),
        node("Reshape", ("q", "shape"), "r", "reshape"),
        node("Unsqueeze", ("r", "zero"), "s", "unsqueeze"),
        node("Transpose", "s", "t", "turn", perm=[3, 1, 2, 0, 4]),
        node("Squeeze", ("t", "last"), "u", "squeeze"),
        *(node("Gather", ("u", f"i{k}"), (f"y{k}",), f"part{k}", axis=0) for k in range(3)),
    ]
    weights = {
        "w": normal(6, 18), "b": normal(18, seed=1), "shape": np.int64([2, 4, 3, 6]), "zero": np.int64([0]),
        "last": np.int64([3]), **{f"i{k}": np.int64(k) for k in range(3)},
    }  # fmt: skip
    return model(nodes, {"x": SHAPE}, ("y0", "y1", "y2"), weights)


def test_a_packed_projection_becomes_one_layer_per_part():
    graph = read_onnx(packed())
    assert ops(graph) == ["Gemm", "Gemm", "Gemm"]
    assert [n.inputs[0] for n in graph.nodes] == ["x", "x", "x"]
    assert distance(graph, packed()) <= 1e-5


def scaled(left, right):
    nodes = [
        node("Mul", "qa", "u", "query"),
        node("Transpose", "k", "t", "turn", perm=[0, 2, 1]),
        node("Mul", "tb", "v", "key"),
        node("MatMul", "uv", "y", "product"),
    ]
    return model(nodes, {"q": SHAPE, "k": SHAPE}, ("y",), {"a": left, "b": right})


def test_a_scale_on_both_factors_becomes_one():
    content = scaled(F(0.5), F(0.3))
    graph = read_onnx(content)
    assert ops(graph) == ["Mul", "Transpose", "MatMul"]
    assert graph.nodes["query"].inputs[0] == "q"
    assert distance(graph, content) <= 1e-5


def test_a_scale_per_column_stays():
    content = scaled(F(0.5), normal(1, 6, 1))
    assert ops(read_onnx(content)) == ["Mul", "Transpose", "Mul", "MatMul"]


def test_a_pool_over_one_element_is_nothing():
    pool = [node("AveragePool", "x", "y", "pool", kernel_shape=[1, 1]), node("Relu", "y", "z", "relu")]
    assert ops(read_onnx(model(pool, {"x": (1, 3, 4, 4)}, ("z",)))) == ["Identity", "Relu"]
    larger = [node("AveragePool", "x", "y", "pool", kernel_shape=[1, 1], strides=[2, 2])]
    assert ops(read_onnx(model(larger, {"x": (1, 3, 4, 4)}, ("y",)))) == ["AveragePool"]
