"""Files that cannot be read: one FileFormatError each, with the value and the way out."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from qworkbench.errors import CaptureError, FileFormatError
from qworkbench.graph.onnx_frontend import file, read_onnx
from tests.graph_onnx.files import model, node, normal, ops


def relu(**options):
    return model([node("Relu", "x", "y")], {"x": (1, 4)}, ("y",), **options)


def fails(content, match, error=FileFormatError, **options):
    with pytest.raises(error, match=match):
        read_onnx(content, **options)


def test_missing_file(tmp_path):
    fails(tmp_path / "none.onnx", "no file .*none.onnx")


def test_a_folder_is_no_file(tmp_path):
    fails(tmp_path, "cannot read|no file")


def test_truncated_file(tmp_path):
    content = model([node("Conv", ("x", "w"), ("y",))], {"x": (1, 3, 8, 8)}, ("y",), {"w": normal(4, 3, 3, 3)})
    for size in (len(content) - 1, len(content) // 2, 40):
        path = tmp_path / "cut.onnx"
        path.write_bytes(content[:size])
        fails(path, "truncated|no graph|no outputs|damaged|nothing makes")


@pytest.mark.parametrize("content", [b"", b"not an onnx file", b"\x89PNG\r\n\x1a\n" + bytes(64), bytes(100)])
def test_what_is_not_onnx(content):
    fails(content, "no ONNX model")


def test_a_pickle_is_never_loaded(tmp_path):
    import pickle

    class Boom:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    path = tmp_path / "model.onnx"
    path.write_bytes(pickle.dumps(Boom()))
    fails(path, "no ONNX model")
    assert not (tmp_path / "ran").exists()


def test_an_opset_before_nine_names_the_converter():
    fails(relu(opset=8), "opset 8.*version_converter")


def test_two_gigabytes(tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    path.write_bytes(relu())
    monkeypatch.setattr(file, "LARGEST_FILE", 20)
    fails(path, "2 GB.*save_as_external_data")
    fails(relu(), "2 GB")


def with_external(tmp_path, location, *, length=None, offset=None, write=True):
    content = model([node("Add", "xw", "y")], {"x": (4,)}, ("y",), {"w": np.arange(4, dtype=np.float32)})
    proto = onnx.load_from_string(content)
    tensor = proto.graph.initializer[0]
    if write:
        (tmp_path / "weights.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("length", length), ("offset", offset)):
        if value is not None:
            tensor.external_data.add(key=key, value=str(value))
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def test_weights_beside_the_model_are_read(tmp_path):
    graph = read_onnx(with_external(tmp_path, "weights.bin", length=16, offset=0))
    assert graph.tensor("w").tolist() == [0, 1, 2, 3]


def test_missing_weights(tmp_path):
    fails(with_external(tmp_path, "weights.bin", write=False), "weights.bin.*missing")


@pytest.mark.parametrize("location", ["../weights.bin", "a/../../weights.bin", "..\\weights.bin", "", "a\0b"])
def test_weights_on_a_way_out_of_the_folder(tmp_path, location):
    folder = tmp_path / "inside"
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(bytes(16))
    fails(with_external(folder, location), "outside of the model's folder")


@pytest.mark.parametrize("location", ["/etc/hostname", "C:\\weights.bin", "\\\\server\\weights.bin"])
def test_weights_at_an_absolute_path(tmp_path, location):
    fails(with_external(tmp_path, location), "outside of the model's folder")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_weights_behind_a_link(tmp_path):
    folder = tmp_path / "inside"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    fails(with_external(folder, "link.bin"), "link")
    (folder / "door").symlink_to(tmp_path)
    fails(with_external(folder, "door/secret.bin"), "link")


@pytest.mark.parametrize(("length", "offset"), [(17, 0), (16, 1), (16, -1), (-2, 0), ("many", 0)])
def test_weights_that_are_too_short(tmp_path, length, offset):
    fails(with_external(tmp_path, "weights.bin", length=length, offset=offset), "needs bytes|not a number")


def test_weights_that_do_not_fill_their_shape(tmp_path):
    fails(with_external(tmp_path, "weights.bin", length=8), "tensor 'w'.*damaged")


def test_bytes_cannot_name_a_second_file(tmp_path):
    fails(with_external(tmp_path, "weights.bin").read_bytes(), "pass the path")


def test_cyclic_graph():
    nodes = [node("Add", "xb", "a", "first"), node("Relu", "a", "b", "second"), node("Relu", "b", "y", "third")]
    fails(model(nodes, {"x": (4,)}, ("y",)), "cyclic.*'(first|second)'")


def test_a_tensor_that_nothing_makes():
    fails(model([node("Add", "xq", "y", "sum")], {"x": (4,)}, ("y",)), "'sum'.*'q'")


def test_a_tensor_that_is_made_twice():
    fails(model([node("Relu", "x", "y", "a"), node("Neg", "x", "y", "b")], {"x": (4,)}, ("y",)), "'y' is made twice")


def test_an_input_that_is_text():
    fails(model([node("Identity", "x", "y")], {"x": ((2,), TensorProto.STRING)}, ("y",)), "input 'x'.*type 8")


def test_nodes_out_of_order_are_sorted():
    nodes = [node("Relu", "a", "y", "second"), node("Neg", "x", "a", "first")]
    assert read_onnx(model(nodes, {"x": (4,)}, ("y",))).nodes.names() == ("first", "second")


def test_an_operator_of_a_foreign_domain_that_is_needed():
    foreign = node("Magic", "x", "a", "wand", domain="acme.ops")
    fails(
        model([foreign, node("Relu", "a", "y")], {"x": (4,)}, ("y",)),
        "Magic 'wand' of domain 'acme.ops'.*cut the model",
    )


def test_an_operator_of_a_foreign_domain_that_nothing_needs():
    foreign = node("Magic", "x", "a", "wand", domain="acme.ops")
    assert ops(read_onnx(model([foreign, node("Relu", "x", "y")], {"x": (4,)}, ("y",)))) == ["Relu"]


def test_shapes_that_do_not_fit_name_the_node():
    content = model([node("Conv", ("x", "w"), ("y",), "stem")], {"x": (1, 4, 8, 8)}, ("y",), {"w": normal(4, 3, 3, 3)})
    fails(content, "Conv 'stem'")


def test_a_constant_that_would_fill_the_memory():
    nodes = [node("ConstantOfShape", "s", "a", "flood"), node("Add", "xa", "y")]
    fails(model(nodes, {"x": (4,)}, ("y",), {"s": np.array([2**20, 2**20, 4])}), "'flood'.*elements")


def test_an_open_axis_asks_for_its_size():
    content = model([node("Relu", "x", "y")], {"x": ("N", 3, "H", "W")}, ("y",))
    fails(content, r"\(N, 3, H, W\).*axis 2.*input_shapes=\{'x': \(1, 3, 224, 224\)\}", CaptureError)
    graph = read_onnx(content, input_shapes={"x": (2, 3, 8, 9)})
    assert [str(d) for d in graph.values["x"].shape] == ["B", "3", "8", "9"]
    assert graph.batch == 2
    fails(content, "axis 1 of input 'x' at 3, got 4", CaptureError, input_shapes={"x": (1, 4, 8, 8)})
    fails(content, "one size per axis", CaptureError, input_shapes={"x": (1, 4)})
    fails(content, "no input 'image'", CaptureError, input_shapes={"image": (1, 3, 8, 8)})


@pytest.mark.parametrize("broken", ["w", "r", "b"])
def test_a_recurrent_layer_whose_weights_do_not_belong_together(broken):
    weights = {"w": normal(1, 20, 3), "r": normal(1, 20, 5), "b": normal(1, 40)}
    weights[broken] = weights[broken][:, :-4]
    content = model([node("LSTM", "xwrb", ("y",), "rnn", hidden_size=5)], {"x": (6, 2, 3)}, ("y",), weights)
    fails(content, "LSTM 'rnn'")


def test_names_that_are_no_text():
    content = relu().replace(b"the_Relu", b"the\xff\xfelu")
    fails(content, "names that are no text|truncated")


def test_an_attribute_of_another_kind():
    content = model([node("Conv", ("x", "w"), ("y",), "stem", pads="wide")], {"x": (1, 3, 8, 8)}, ("y",),
                    {"w": normal(4, 3, 3, 3)})  # fmt: skip
    fails(content, "Conv 'stem'")


def test_recursive_functions():
    inner = helper.make_function(
        "acme", "Self", ["a"], ["b"], [helper.make_node("Self", ["a"], ["b"], domain="acme")],
        [helper.make_opsetid("", 17), helper.make_opsetid("acme", 1)],
    )  # fmt: skip
    proto = onnx.load_from_string(model([node("Self", "x", "y", domain="acme")], {"x": (4,)}, ("y",)))
    proto.functions.append(inner)
    fails(proto.SerializeToString(), "functions|Self")


def test_importing_the_package_does_not_import_onnx():
    code = "import sys, qworkbench, qworkbench.workbench.session; sys.exit('onnx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0
