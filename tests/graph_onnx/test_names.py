"""Nodes are called what the file calls them; scopes fold modules; tensors of the file can be found."""

from __future__ import annotations

import onnx

from qworkbench.graph.onnx_frontend import read_onnx
from tests.graph_onnx.files import model, node


def test_names_scopes_and_source_are_those_of_the_file():
    nodes = [
        node("Relu", ["x"], ["/model.0/act/Relu_output_0"], "/model.0/act/Relu"),
        node("Neg", ["/model.0/act/Relu_output_0"], ["n"], "/layer1/layer1.0/Neg"),
        node("Split", ["n"], ["a", "b"], "/Split", axis=1),
        node("Add", ["a", "b"], ["out"], "Add_7"),
    ]
    graph = read_onnx(model(nodes, {"x": (2, 4)}, ("out",), opset=11))
    assert graph.nodes.names() == ("/model.0/act/Relu", "/layer1/layer1.0/Neg", "/Split", "Add_7")
    assert [n.scope for n in graph.nodes] == ["model.0.act", "layer1.0", "", ""]
    assert {n.source_op for n in graph.nodes} == {"onnx:Relu", "onnx:Neg", "onnx:Split", "onnx:Add"}
    assert graph.nodes["/Split"].outputs == ("/Split:0", "/Split:1")
    assert graph.nodes["Add_7"].outputs == ("Add_7",)
    assert graph.tensor_names["/model.0/act/Relu"] == "/model.0/act/Relu_output_0"
    assert graph.tensor_names["/Split:1"] == "b"
    assert (graph.outputs, graph.output_names) == (("Add_7",), ("out",))
    assert (graph.source, graph.root) == ("onnx", None)


def test_scopes_of_the_newer_exporter_come_from_its_metadata():
    proto = onnx.load_from_string(model([node("Relu", "x", "y", "node_relu_3")], {"x": (2,)}, ("y",)))
    entry = proto.graph.node[0].metadata_props.add()
    entry.key, entry.value = "pkg.torch.onnx.name_scopes", "['', 'layer1', 'layer1.0', 'relu_3']"
    assert read_onnx(proto.SerializeToString()).nodes["node_relu_3"].scope == "layer1.0"


def test_unnamed_and_twice_named_nodes_get_names_of_their_own():
    nodes = [node("Relu", "x", ["12"]), node("Neg", ["12"], ["13"]), node("Abs", ["13"], ["y"])]
    for each, name in zip(nodes, ("", "same", "same"), strict=True):
        each.name = name
    assert read_onnx(model(nodes, {"x": (2,)}, ("y",))).nodes.names() == ("12", "same", "same#1")


def test_a_node_called_like_an_input_steps_aside():
    graph = read_onnx(model([node("Relu", ["x"], ["y"], "x")], {"x": (2,)}, ("y",)))
    assert (graph.inputs, graph.nodes.names()) == (("x",), ("x#1",))


def test_recomposed_names_keep_the_tensor_of_the_last_node():
    nodes = [node("Sigmoid", "x", "g", "/act/Sigmoid"), node("Mul", "xg", ["out"], "/act/Mul")]
    graph = read_onnx(model(nodes, {"x": (2,)}, ("out",)))
    assert graph.nodes.names() == ("/act/Mul",)
    assert graph.tensor_names == {"x": "x", "/act/Mul": "out"}


def test_the_name_of_the_graph_is_the_file_or_what_is_asked_for(tmp_path):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(model([node("Relu", "x", "y")], {"x": (2,)}, ("y",)))
    assert read_onnx(path).name == "tiny"
    assert read_onnx(str(path), name="mine").name == "mine"
