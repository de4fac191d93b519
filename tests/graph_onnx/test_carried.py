"""Operators outside the vocabulary are carried and run, never an import failure."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from qworkbench.graph.onnx_frontend import read_onnx
from qworkbench.graph.vocabulary import OPS
from tests.graph_onnx.files import FLOAT, INT, distance, imported, model, node, normal, ops

I64 = np.int64
BOOL = TensorProto.BOOL


def alone(op, inputs, shapes, weights=None, opset=17, outputs=("y",), **attrs):
    graph = imported(model([node(op, inputs, outputs, **attrs)], shapes, outputs, weights, opset))
    (made,) = graph.nodes
    return made


BY_TORCH = {
    "Where": lambda: alone("Where", "cxy", {"c": ((2, 3), BOOL), "x": (2, 3), "y": (3,)}, outputs=("z",)),
    "Not": lambda: alone("Not", "c", {"c": ((2, 3), BOOL)}),
    "And": lambda: alone("And", "cd", {"c": ((2, 3), BOOL), "d": ((3,), BOOL)}),
    "Mod": lambda: alone("Mod", "xw", {"x": (2, 3)}, {"w": np.float32([1.5, 2, 3])}, fmod=1),
    "Cast": lambda: alone("Cast", "x", {"x": (2, 3)}, to=INT),
    "ScatterND": lambda: alone("ScatterND", "xiu", {"x": (4, 3)}, {"i": np.array([[1], [-1]], I64), "u": normal(2, 3)}),
    "GatherND": lambda: alone("GatherND", "xi", {"x": (4, 3)}, {"i": np.array([[1, 2], [-1, 0]], I64)}),
    "GatherElements": lambda: alone("GatherElements", "xi", {"x": (4, 3)}, {"i": np.array([[0, 1, -1]], I64)}),
    "ScatterElements": lambda: alone(
        "ScatterElements", "xiu", {"x": (4, 3)}, {"i": np.array([[0, -1]], I64), "u": normal(1, 2)}, axis=1
    ),
    "GridSample": lambda: alone("GridSample", "xg", {"x": (1, 2, 5, 6), "g": (1, 3, 4, 2)}, padding_mode="border"),
    "ReduceL1": lambda: alone("ReduceL1", "x", {"x": (2, 3, 4)}, axes=[1], keepdims=0),
    "ReduceSumSquare": lambda: alone("ReduceSumSquare", "x", {"x": (2, 3, 4)}, axes=[-1]),
    "ReduceLogSumExp": lambda: alone("ReduceLogSumExp", "x", {"x": (2, 3, 4)}, axes=[-1]),
    "LRN": lambda: alone("LRN", "x", {"x": (2, 6, 4, 4)}, size=5, alpha=0.5),
    "IsNaN": lambda: alone("IsNaN", "x", {"x": (2, 3)}),
}


@pytest.mark.parametrize("op", BY_TORCH)
def test_operator_keeps_its_name_and_is_run_by_torch(op):
    made = BY_TORCH[op]()
    assert made.op == op
    assert "why" not in made.attrs


BY_REFERENCE = {
    "Einsum": lambda: alone("Einsum", "xz", {"x": (2, 3, 4), "z": (2, 4, 5)}, equation="bij,bjk->ik"),
    "ReduceProd": lambda: alone("ReduceProd", "x", {"x": (2, 3)}, axes=[1]),
    "Mean": lambda: alone("Mean", "xz", {"x": (2, 3), "z": (3,)}),
    "Trilu": lambda: alone("Trilu", "x", {"x": (4, 4)}),
    "LpPool": lambda: alone("LpPool", "x", {"x": (1, 2, 6, 6)}, kernel_shape=[2, 2], strides=[2, 2]),
}


@pytest.mark.parametrize("op", BY_REFERENCE)
def test_operator_keeps_its_name_and_says_why_it_is_carried(op):
    made = BY_REFERENCE[op]()
    assert made.op == op
    assert made.attrs == {"why": "no operator for it"}


def test_a_form_that_the_vocabulary_cannot_say_is_opaque_with_its_reason():
    made = alone("PRelu", "xs", {"x": (2, 3, 4)}, {"s": normal(4)})
    assert (made.op, made.source_op) == ("Opaque", "onnx:PRelu")
    assert "another axis" in made.attrs["why"]
    pool = alone("MaxPool", "x", {"x": (1, 2, 6, 6)}, outputs=("y", "i"), kernel_shape=[2, 2])
    assert (pool.op, pool.outputs) == ("Opaque", ("the_MaxPool:0", "the_MaxPool:1"))


def body(nodes, inputs, outputs):
    infos = [helper.make_tensor_value_info(n, t, s) for n, t, s in inputs]
    return helper.make_graph(nodes, "body", infos, [helper.make_tensor_value_info(n, t, s) for n, t, s in outputs])


def branches():
    then = body([node("Mul", "xw", "t", "inner_mul")], [], [("t", FLOAT, None)])
    other = body([node("Neg", "x", "e", "inner_neg")], [], [("e", FLOAT, None)])
    return then, other


def test_a_branch_on_data_is_opaque_and_right_on_both_sides():
    then, other = branches()
    nodes = [
        node("ReduceSum", ["x"], ["s"], "sum", keepdims=0),
        node("Greater", ["s", "zero"], ["c"], "test"),
        node("If", "c", "y", "branch", then_branch=then, else_branch=other),
    ]
    content = model(nodes, {"x": (2, 3)}, ("y",), {"w": np.float32(3), "zero": np.float32(0)}, 13)
    graph = read_onnx(content)
    made = graph.nodes["branch"]
    assert (made.op, made.attrs["why"]) == ("Opaque", "If runs a nested graph")
    assert set(made.inputs) == {"test", "x", "w"}
    for sign in (1, -1):
        assert distance(graph, content, {"x": sign * torch.ones(2, 3)}) == 0


def test_a_branch_that_is_known_is_taken():
    then, other = branches()
    nodes = [node("If", "c", "z", "branch", then_branch=then, else_branch=other), node("Relu", "z", "y", "relu")]
    for condition, name in ((True, "inner_mul"), (False, "inner_neg")):
        weights = {"w": np.float32(3), "c": np.array(condition)}
        assert imported(model(nodes, {"x": (2, 3)}, ("y",), weights, 13)).nodes.names() == (name, "relu")


def test_a_loop_is_opaque_and_runs():
    inner = body(
        [node("Identity", "c", ["d"], "keep"), node("Add", ["a", "x"], ["b"], "step")],
        [("i", INT, []), ("c", BOOL, []), ("a", FLOAT, [2, 3])],
        [("d", BOOL, []), ("b", FLOAT, [2, 3])],
    )
    nodes = [node("Loop", ("n", "", "x"), ("y",), "loop", body=inner)]
    content = model(nodes, {"x": (2, 3)}, ("y",), {"n": np.array(3, I64)}, 13)
    graph = read_onnx(content)
    assert (graph.nodes["loop"].op, graph.nodes["loop"].attrs["why"]) == ("Opaque", "Loop runs a nested graph")
    assert distance(graph, content) <= 1e-6


def test_a_scan_is_opaque_and_runs():
    inner = body(
        [node("Add", "ai", ["b"], "step"), node("Identity", "b", ["o"], "copy")],
        [("a", FLOAT, [3]), ("i", FLOAT, [3])],
        [("b", FLOAT, [3]), ("o", FLOAT, [3])],
    )
    nodes = [node("Scan", "sx", "ty", "scan", body=inner, num_scan_inputs=1)]
    content = model(nodes, {"x": (4, 3)}, ("y", "t"), {"s": np.zeros(3, np.float32)}, 13)
    graph = read_onnx(content)
    assert graph.nodes["scan"].op == "Opaque"
    assert distance(graph, content) <= 1e-6


def test_what_follows_a_shape_that_depends_on_data_is_carried_too():
    nodes = [
        node("NonZero", "x", "i", "places"),
        node("Transpose", "i", "t", "turn", perm=[1, 0]),
        node("Shape", "t", "s", "count"),
    ]
    content = model(nodes, {"x": (2, 3)}, ("t", "s"), opset=13)
    graph = read_onnx(content)
    for x in (torch.ones(2, 3), torch.eye(3)[:2]):
        assert distance(graph, content, {"x": x}) == 0
    assert all(n.call is not None for n in graph.nodes)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("op", ["LSTM", "GRU"])
def test_recurrent_layers_run_in_every_direction(op, direction):
    gates, d = (4 if op == "LSTM" else 3), (2 if direction == "bidirectional" else 1)
    weights = {"w": normal(d, gates * 5, 3), "r": normal(d, gates * 5, 5), "b": normal(d, gates * 10)}
    extra = {"linear_before_reset": 1} if op == "GRU" else {}
    made = alone(op, "xwrb", {"x": (6, 2, 3)}, weights, outputs=("y", "h"), hidden_size=5, direction=direction, **extra)
    assert made.op == op
    assert made.attrs["bidirectional"] == (d == 2)
    assert "why" not in made.attrs


def test_local_functions_are_opened():
    function = helper.make_function(
        "acme", "Twice", ["a"], ["b"],
        [helper.make_node("Add", ["a", "a"], ["b"], name="inside")], [helper.make_opsetid("", 17)],
    )  # fmt: skip
    proto = onnx.load_from_string(model([node("Twice", "x", "y", "outer", domain="acme")], {"x": (4,)}, ("y",)))
    proto.functions.append(function)
    assert ops(imported(proto.SerializeToString())) == ["Add"]


def test_integer_division_rounds_toward_zero():
    content = model([node("Div", "xw", "y")], {"x": ((3,), INT)}, ("y",), {"w": np.array([2, 2, 2], I64)})
    assert distance(read_onnx(content), content, {"x": torch.tensor([-3, 3, 5])}) == 0


def test_every_carried_operator_is_outside_the_vocabulary_or_opaque():
    content = model([node("Trilu", "x", "a"), node("MaxPool", "a", "yi", kernel_shape=[2, 2])],
                    {"x": (1, 4, 4, 4)}, ("y", "i"))  # fmt: skip
    carried = [n for n in read_onnx(content).nodes if n.call is not None]
    assert len(carried) == 2
    assert not any(n.op in OPS for n in carried)


def test_initializers_that_are_listed_as_inputs_are_weights():
    proto = onnx.load_from_string(model([node("Add", "xw", "y")], {"x": (2,), "w": (2,)}, ("y",)))
    proto.graph.initializer.append(numpy_helper.from_array(np.float32([1, 2]), "w"))
    graph = read_onnx(proto.SerializeToString())
    assert graph.inputs == ("x",)
    assert graph.tensor("w").tolist() == [1, 2]
