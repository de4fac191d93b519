"""Every spelling of an operator between opsets 9 and 20 computes what onnxruntime computes from the same file."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from qworkbench.graph.onnx_frontend import read_onnx
from tests.graph_onnx.files import FLOAT, distance, imported, model, node, normal, ops

X = {"x": (2, 4, 6, 6)}
I64 = np.int64


def one(op, inputs=("x",), weights=None, opset=17, shape=(2, 4, 6, 6), outputs=("y",), **attrs):
    return imported(model([node(op, inputs, outputs, **attrs)], {"x": shape}, outputs, weights, opset))


def ints(*values):
    return np.array(values, I64)


CASES = {
    "clip attributes": lambda: one("Clip", opset=10, min=-0.5, max=0.5),
    "clip of one bound by default": lambda: one("Clip", opset=9, min=0.0),
    "clip inputs": lambda: one("Clip", ("x", "lo", "hi"), {"lo": np.float32(-1), "hi": np.float32(1)}, 11),
    "clip without a lower bound": lambda: one("Clip", ("x", "", "hi"), {"hi": np.float32(0.1)}, 13),
    "slice attributes": lambda: one("Slice", opset=9, starts=[1, -5], ends=[3, 2**31], axes=[1, 3]),
    "slice inputs": lambda: one(
        "Slice", ("x", "s", "e", "a", "t"), {"s": ints(1, -1), "e": ints(4, -99), "a": ints(-3, -1), "t": ints(2, -2)}
    ),
    "slice to the first element backward": lambda: one(
        "Slice", ("x", "s", "e", "a", "t"), {"s": ints(-1), "e": ints(-(2**62)), "a": ints(2), "t": ints(-1)}
    ),
    "pad attributes": lambda: one("Pad", opset=10, pads=[0, 0, 1, 2, 0, 0, 0, 1], value=0.5),
    "pad inputs": lambda: one("Pad", ("x", "p", "v"), {"p": ints(0, 0, 1, 0, 0, 1, 2, 0), "v": np.float32(2)}, 13),
    "pad of named axes": lambda: one("Pad", ("x", "p", "", "a"), {"p": ints(1, 2, 0, 1), "a": ints(-1, 2)}, 18),
    "pad by reflection": lambda: one("Pad", ("x", "p"), {"p": ints(0, 0, 1, 2, 0, 0, 2, 1)}, 11, mode="reflect"),
    "pad by the edge": lambda: one("Pad", ("x", "p"), {"p": ints(0, 0, 1, 2, 0, 0, 2, 1)}, 11, mode="edge"),
    "split attribute": lambda: one("Split", opset=11, outputs=("a", "b"), axis=1, split=[1, 3]),
    "split into equal parts": lambda: one("Split", opset=11, outputs=("a", "b"), axis=-1),
    "split input": lambda: one("Split", ("x", "s"), {"s": ints(1, 3)}, 13, outputs=("a", "b"), axis=1),
    "split with a smaller last part": lambda: one(
        "Split", opset=18, shape=(2, 5), outputs=("a", "b", "c"), axis=1, num_outputs=3
    ),
    "squeeze attribute": lambda: one("Squeeze", opset=11, shape=(2, 1, 3, 1), axes=[-1]),
    "squeeze input": lambda: one("Squeeze", ("x", "a"), {"a": ints(1)}, 13, shape=(2, 1, 3, 1)),
    "squeeze of everything": lambda: one("Squeeze", opset=13, shape=(2, 1, 3, 1)),
    "unsqueeze attribute": lambda: one("Unsqueeze", opset=11, shape=(2, 3), axes=[0, 3]),
    "unsqueeze input": lambda: one("Unsqueeze", ("x", "a"), {"a": ints(-1, 1)}, 13, shape=(2, 3)),
    "reduce attribute": lambda: one("ReduceMean", opset=13, axes=[-1, 2], keepdims=0),
    "reduce input": lambda: one("ReduceMax", ("x", "a"), {"a": ints(1)}, 18),
    "reduce sum input": lambda: one("ReduceSum", ("x", "a"), {"a": ints(2, 3)}, 13, keepdims=0),
    "reduce of everything": lambda: one("ReduceMin", opset=11),
    "reduce of nothing": lambda: one("ReduceSum", opset=13, noop_with_empty_axes=1),
    "reduce to lengths": lambda: one("ReduceL2", opset=11, axes=[1]),
    "softmax over the last axis": lambda: one("Softmax", opset=11, axis=3),
    "softmax over all axes from one": lambda: one("Softmax", opset=11, axis=2),
    "softmax by its old default": lambda: one("Softmax", opset=12),
    "softmax by its new default": lambda: one("Softmax", opset=13),
    "softmax over channels": lambda: one("Softmax", opset=13, axis=1),
    "log softmax by its old default": lambda: one("LogSoftmax", opset=11),
    "upsample by nearest": lambda: one("Upsample", ("x", "s"), {"s": np.float32([1, 1, 2, 3])}, 9),
    "upsample by linear": lambda: one("Upsample", ("x", "s"), {"s": np.float32([1, 1, 2, 2])}, 9, mode="linear"),
    "resize of opset 10": lambda: one("Resize", ("x", "s"), {"s": np.float32([1, 1, 2, 2])}, 10),
    "resize by scales": lambda: one(
        "Resize", ("x", "", "s"), {"s": np.float32([1, 1, 2, 2])}, 13, mode="linear",
        coordinate_transformation_mode="half_pixel",
    ),
    "resize to a size": lambda: one(
        "Resize", ("x", "", "", "z"), {"z": ints(2, 4, 9, 4)}, 13, mode="linear",
        coordinate_transformation_mode="align_corners",
    ),
    "resize of named axes": lambda: one("Resize", ("x", "", "", "z"), {"z": ints(12, 12)}, 18, axes=[2, 3]),
    "resize by nearest, rounded": lambda: one(
        "Resize", ("x", "", "s"), {"s": np.float32([1, 1, 2, 2])}, 13, nearest_mode="round_prefer_floor"
    ),
    "resize by cubic": lambda: one(
        "Resize", ("x", "", "s"), {"s": np.float32([1, 1, 2, 2])}, 13, mode="cubic",
        coordinate_transformation_mode="pytorch_half_pixel",
    ),
    "dropout attribute": lambda: one("Dropout", opset=10, ratio=0.3),
    "dropout input": lambda: one("Dropout", ("x", "r"), {"r": np.float32(0.3)}, 12),
    "flatten in the middle": lambda: one("Flatten", axis=2),
    "flatten from the end": lambda: one("Flatten", axis=-1),
    "transpose by default": lambda: one("Transpose"),
    "reshape that copies and infers": lambda: one("Reshape", ("x", "s"), {"s": ints(0, -1, 6)}),
    "expand": lambda: one("Expand", ("x", "s"), {"s": ints(3, 1, 1, 6)}, shape=(1, 4, 6, 1)),
    "gather from the end": lambda: one("Gather", ("x", "i"), {"i": np.array(-1, I64)}, axis=2),
    "gather of several": lambda: one("Gather", ("x", "i"), {"i": np.array([[0, -1]], np.int32)}, axis=1),
    "depth to space": lambda: one("DepthToSpace", blocksize=2),
    "depth to space by columns": lambda: one("DepthToSpace", blocksize=2, mode="CRD"),
    "space to depth": lambda: one("SpaceToDepth", blocksize=2),
    "hard sigmoid by default": lambda: one("HardSigmoid"),
    "gelu": lambda: one("Gelu", opset=20),
    "gelu by tanh": lambda: one("Gelu", opset=20, approximate="tanh"),
    "mish": lambda: one("Mish", opset=18),
    "prelu per channel": lambda: one("PRelu", ("x", "s"), {"s": normal(4, 1, 1)}),
    "prelu along a row": lambda: one("PRelu", ("x", "s"), {"s": normal(6)}),
    "sum of three": lambda: one("Sum", ("x", "x", "b"), {"b": normal(6)}),
    "max of three": lambda: one("Max", ("x", "a", "b"), {"a": normal(6), "b": normal(4, 1, 1)}),
    "layer norm": lambda: one("LayerNormalization", ("x", "s", "b"), {"s": normal(6), "b": normal(6)}),
    "layer norm over three axes": lambda: one("LayerNormalization", ("x", "s"), {"s": normal(4, 6, 6)}, axis=1),
    "instance norm": lambda: one("InstanceNormalization", ("x", "s", "b"), {"s": normal(4), "b": normal(4)}),
    "cumulative sum": lambda: one("CumSum", ("x", "a"), {"a": np.array(-1, I64)}, exclusive=1, reverse=1),
    "top k": lambda: one("TopK", ("x", "k"), {"k": ints(2)}, outputs=("v", "i"), axis=1),
    "arg max": lambda: one("ArgMax", axis=-1, keepdims=0),
    "tile": lambda: one("Tile", ("x", "r"), {"r": ints(1, 2, 1, 3)}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_spelling_computes_what_onnxruntime_computes(name):
    CASES[name]()


WINDOWS = {
    "conv over one axis": ("Conv", (2, 3, 9), (4, 3, 3), {"pads": [1, 2], "strides": [2]}),
    "conv over two axes, unequal pads": ("Conv", (2, 4, 8, 7), (6, 2, 3, 2), {"pads": [0, 1, 2, 1], "group": 2}),
    "conv over three axes": ("Conv", (1, 2, 5, 6, 7), (3, 2, 2, 3, 3), {"dilations": [1, 2, 1]}),
    "conv, same upper": ("Conv", (1, 3, 7, 8), (2, 3, 3, 4), {"auto_pad": "SAME_UPPER", "strides": [2, 3]}),
    "conv, same lower": ("Conv", (1, 3, 7, 8), (2, 3, 3, 4), {"auto_pad": "SAME_LOWER", "strides": [2, 3]}),
    "conv, valid": ("Conv", (1, 3, 7, 8), (2, 3, 3, 4), {"auto_pad": "VALID"}),
    "deconv": ("ConvTranspose", (1, 3, 5, 4), (3, 2, 3, 3), {"strides": [2, 2], "output_padding": [1, 1]}),
    "deconv, unequal pads": ("ConvTranspose", (1, 3, 5, 4), (3, 2, 3, 3), {"strides": [2, 2], "pads": [0, 1, 1, 2]}),
    "deconv to a shape": ("ConvTranspose", (1, 3, 5, 4), (3, 2, 3, 3), {"strides": [2, 2], "output_shape": [10, 8]}),
    "deconv, same upper": ("ConvTranspose", (1, 3, 5, 4), (3, 2, 3, 3), {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_convolutions_in_every_spelling_of_pads(name):
    op, shape, weight, attrs = WINDOWS[name]
    graph = one(op, ("x", "w", "b"), {"w": normal(*weight), "b": normal(weight[1 if op == "ConvTranspose" else 0])},
                shape=shape, **attrs)  # fmt: skip
    assert ops(graph) == [op]
    assert len(graph.nodes[f"the_{op}"].attrs["pads"]) == 2 * (len(shape) - 2)


@pytest.mark.parametrize(
    "attrs",
    [
        {"strides": [2, 2], "ceil_mode": 1},
        {"pads": [1, 0, 0, 1]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
    ],
)
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_pooling_in_every_spelling_of_pads(op, attrs):
    assert ops(one(op, shape=(1, 3, 7, 8), kernel_shape=[3, 2], **attrs)) == [op]


@pytest.mark.parametrize("attrs", [{"count_include_pad": 1, "pads": [1, 1, 1, 1]}, {"pads": [0, 1, 1, 0]}])
def test_average_pooling_counts_pads_as_the_file_says(attrs):
    one("AveragePool", shape=(1, 3, 7, 8), kernel_shape=[3, 3], **attrs)


GEMMS = {
    "plain": ({}, (3, 5), (5,)),
    "transposed weight": ({"transB": 1}, (5, 3), (5,)),
    "factors": ({"alpha": 0.5, "beta": 2.0}, (3, 4), (4,)),
    "transposed input": ({"transA": 1}, (2, 4), (4,)),
    "one bias for all": ({}, (3, 4), (1,)),
    "bias per row": ({}, (3, 4), (2, 1)),
    "bias per element": ({"beta": 0.5}, (3, 4), (2, 4)),
}


@pytest.mark.parametrize("name", GEMMS)
def test_gemm_with_its_factors_and_transposes(name):
    attrs, weight, bias = GEMMS[name]
    rows, columns = 3 if attrs.get("transA") else 2, weight[0] if attrs.get("transB") else weight[1]
    graph = one("Gemm", ("x", "w", "c"), {"w": normal(*weight), "c": normal(*bias)}, shape=(2, 3), **attrs)
    assert graph.shape(graph.outputs[0]) == (rows, columns)
    assert graph.nodes["the_Gemm"].op == "Gemm"


def test_batch_normalization_uses_the_stored_statistics():
    stats = {"s": normal(4), "b": normal(4), "m": normal(4), "v": np.abs(normal(4)) + 0.5}
    for opset in (9, 14, 15):
        graph = one("BatchNormalization", ("x", "s", "b", "m", "v"), stats, opset, epsilon=1e-3)
        assert graph.nodes["the_BatchNormalization"].attrs == {"epsilon": pytest.approx(1e-3)}


@pytest.mark.parametrize(("opset", "size"), [(18, 2), (21, 4)])
def test_group_normalization_takes_one_scale_per_group_before_opset_21(opset, size):
    weights = {"s": normal(size), "b": normal(size)}
    content = model([node("GroupNormalization", ("x", "s", "b"), ("y",), num_groups=2)], X, ("y",), weights, opset)
    graph = read_onnx(content)
    assert ops(graph) == ["GroupNormalization"]
    assert graph.shape(graph.nodes["the_GroupNormalization"].inputs[1]) == (4,)
    assert distance(graph, content) <= 1e-5


def test_shape_arithmetic_is_folded_and_the_batch_stays_symbolic():
    nodes = [
        node("Shape", ("x",), ("s",)),
        node("Gather", ("s", "zero"), ("n",), "pick"),
        node("Unsqueeze", ("n", "axis"), ("n1",)),
        node("Concat", ("n1", "rest"), ("shape",), axis=0),
        node("Reshape", ("x", "shape"), ("y",), "/head/Reshape"),
    ]
    weights = {"zero": np.array(0, I64), "axis": ints(0), "rest": ints(-1)}
    content = model(nodes, {"x": ("N", 4, 3)}, ("y",), weights, 13)
    graph = imported(content)
    assert graph.nodes.names() == ("/head/Reshape",)
    assert str(graph.nodes["/head/Reshape"].attrs["shape"][0]) == "B"
    assert graph.shape("/head/Reshape", 5) == (5, 12)


def test_constant_nodes_of_every_form_are_folded():
    nodes = [
        helper.make_node("Constant", [], ["a"], value_float=2.0),
        helper.make_node("Constant", [], ["b"], value_floats=[1.0, 2.0, 3.0, 4.0]),
        node("Mul", ("a", "b"), ("c",)),
        node("Add", ("x", "c"), ("y",)),
    ]
    graph = imported(model(nodes, {"x": (2, 4)}, ("y",), opset=13))
    assert graph.nodes.names() == ("the_Add",)


def test_half_precision_weights_are_widened():
    nodes = [node("Cast", ("w",), ("w32",), to=FLOAT), node("Conv", ("x", "w32"), ("y",))]
    graph = imported(model(nodes, {"x": (1, 3, 5, 5)}, ("y",), {"w": normal(4, 3, 3, 3).astype(np.float16)}))
    weight = graph.nodes["the_Conv"].inputs[1]
    assert (graph.values[weight].dtype, graph.values[weight].kind) == ("float32", "constant")
